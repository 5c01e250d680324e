//! The tree, walked beside its shape: every error at once.

use std::collections::HashMap;

use super::{
    finding::{Code, MOST, cannot_be_seen, shown},
    format,
    shape::{Bounds, Object, Shape},
    suggest::nearest,
    tree::{At, Entry, Meaning, Node, Scalar, Value},
};
use crate::{admin::Finding, name::DnsName};

/// Compare a tree with a shape; what does not fit is told to `findings`.
pub(crate) fn walk(file: &str, node: &Node, shape: &Shape, findings: &mut Vec<Finding>) {
    let most = findings.len() + MOST;
    Walk { file, path: Vec::new(), secret: false, most, findings }.node(node, shape);
}

struct Walk<'a> {
    file: &'a str,
    path: Vec<Step>,
    /// Inside a reference to a secret nothing is repeated: it may be the secret itself.
    secret: bool,
    /// When so many findings are told, the walk ends.
    most: usize,
    findings: &'a mut Vec<Finding>,
}

enum Step {
    Field(String),
    Item(usize),
}

impl Walk<'_> {
    fn node(&mut self, node: &Node, shape: &Shape) {
        if self.findings.len() > self.most {
            return;
        }
        match (&node.value, shape) {
            (Value::Broken, _) | (_, Shape::Any) => {}
            (Value::Scalar(scalar), _) if scalar.meaning() == Meaning::Null => self.empty(node.at, shape),
            (Value::List(items), Shape::List { items: shape, count }) => self.list(node.at, items, shape, *count),
            (Value::Map(entries), Shape::Map { values, keys }) => self.map(entries, values, keys.as_deref()),
            (Value::Map(_), Shape::Object(object)) => self.object(node, object),
            (Value::Scalar(scalar), _) => self.scalar(node.at, scalar, shape),
            (_, Shape::Object(object)) if object.secret_reference => self.secret_inline(node.at, object),
            (Value::List(_) | Value::Map(_), _) => self.wrong_type(node, shape),
        }
    }

    fn empty(&mut self, at: At, shape: &Shape) {
        let fix = match shape {
            Shape::Object(object) if object.fields.is_empty() => "write `{}`".to_owned(),
            _ => Code::FieldEmpty.plain(&at.of(self.file)).fix,
        };
        let finding = Code::FieldEmpty.at(&at.of(self.file), &[("within", &self.within())]).fixed_by(fix);
        self.findings.push(finding);
    }

    fn list(&mut self, at: At, items: &[Node], shape: &Shape, count: Bounds) {
        if !count.hold(items.len()) {
            self.out_of_range(at, &counted(items.len() as u64, "items"), count, "items");
        }
        for (number, item) in items.iter().enumerate() {
            self.inside(Step::Item(number), |walk| walk.node(item, shape));
        }
        match shape {
            Shape::Object(object) if object.field("name").is_some_and(|field| field.required) => {
                let named = items.iter().filter_map(|item| item.field("name").map(|entry| &entry.value));
                self.twice(Code::DuplicateName, named.collect());
            }
            Shape::Text { format: Some(_), .. } | Shape::Word(_) => {
                self.twice(Code::DuplicateValue, items.iter().collect());
            }
            _ => {}
        }
    }

    /// Two spellings of one host name are one name.
    fn twice(&mut self, code: Code, nodes: Vec<&Node>) {
        let mut seen: HashMap<String, At> = HashMap::new();
        for node in nodes {
            let Some(text) = node.text() else { continue };
            let canonical = text.parse::<DnsName>().map_or_else(|_| text.to_owned(), String::from);
            let first = *seen.entry(canonical).or_insert(node.at);
            if first != node.at && self.findings.len() <= self.most {
                let blanks = [("within", self.within()), ("found", shown(text)), ("first", first.line.to_string())];
                self.say(code, node.at, &blanks, Some(text));
            }
        }
    }

    fn map(&mut self, entries: &[Entry], values: &Shape, keys: Option<&str>) {
        for entry in entries {
            if let Some(format) = keys.filter(|_| self.findings.len() <= self.most) {
                self.inside(Step::Field(entry.key.clone()), |walk| walk.formatted(entry.at, &entry.key, format));
            }
            self.inside(Step::Field(entry.key.clone()), |walk| walk.node(&entry.value, values));
        }
    }

    fn object(&mut self, node: &Node, object: &Object) {
        let outside = self.secret;
        self.secret |= object.secret_reference;
        let mut meant = Vec::new();
        for entry in node.entries() {
            if self.findings.len() > self.most {
                break;
            }
            match object.field(&entry.key) {
                Some(field) => {
                    self.inside(Step::Field(entry.key.clone()), |walk| walk.node(&entry.value, &field.shape))
                }
                None => meant.push(self.unknown_field(entry, node, object)),
            }
        }
        self.missing_fields(node, object, &meant);
        if !object.exactly_one.is_empty() {
            self.exactly_one(node, object, !meant.is_empty());
        }
        self.secret = outside;
    }

    /// A field that was meant by a typo is not called missing too.
    fn missing_fields(&mut self, node: &Node, object: &Object, meant: &[Option<String>]) {
        for field in object.fields.iter().filter(|field| field.required && node.field(&field.name).is_none()) {
            if !meant.iter().flatten().any(|name| *name == field.name) {
                let blanks = [("field", field.name.clone()), ("within", self.within())];
                self.say(Code::MissingField, node.at, &blanks, None);
            }
        }
    }

    /// Tell of a field that is not accepted; answers with the one that was probably meant.
    fn unknown_field(&mut self, entry: &Entry, node: &Node, object: &Object) -> Option<String> {
        let free: Vec<&str> = object.names().filter(|name| node.field(name).is_none()).collect();
        let meant = nearest(&entry.key, free.iter().copied()).map(str::to_owned);
        if object.secret_reference && meant.is_none() {
            self.secret_inline(entry.at, object);
            return None;
        }
        if self.path.is_empty() && entry.key == "status" {
            self.say(Code::StatusInDocument, entry.at, &[], None);
            return None;
        }
        let blanks = [("field", shown(&entry.key)), ("within", self.within())];
        let finding = Code::UnknownField.at(&entry.at.of(self.file), &borrowed(&blanks)).found(&entry.key);
        self.findings.push(match (&meant, elsewhere(&entry.key)) {
            (Some(meant), _) => finding.accepts([meant]).fixed_by(format!("write `{meant}`")),
            (None, Some(fix)) => finding.accepts(object.names()).fixed_by(fix),
            (None, None) => finding.accepts(object.names()),
        });
        meant
    }

    fn exactly_one(&mut self, node: &Node, object: &Object, explained: bool) {
        let there: Vec<&str> =
            object.exactly_one.iter().map(String::as_str).filter(|name| node.field(name).is_some()).collect();
        if there.len() == 1 || there.is_empty() && explained {
            return;
        }
        let found = if there.is_empty() { "none".to_owned() } else { listed(&there) };
        let blanks = [("within", self.within()), ("wanted", listed(&object.exactly_one)), ("found", found)];
        let finding = Code::NotExactlyOne.at(&node.at.of(self.file), &borrowed(&blanks));
        let fix = if there.is_empty() { "write exactly one of them" } else { "keep exactly one of them" };
        self.findings.push(finding.accepts(object.exactly_one.iter()).fixed_by(fix));
    }

    fn scalar(&mut self, at: At, scalar: &Scalar, shape: &Shape) {
        match (shape, scalar.meaning()) {
            (Shape::Boolean, Meaning::Boolean(_)) => {}
            (Shape::Integer { least, most }, Meaning::Number(number)) => match number.as_u64() {
                Some(value) if (*least..=*most).contains(&value) => {}
                _ => self.out_of_range(at, &number.to_string(), Bounds { least: *least, most: *most }, ""),
            },
            (Shape::Text { format, length }, Meaning::Text) => self.text(at, &scalar.text, format.as_deref(), *length),
            (Shape::Word(words), Meaning::Text) => self.word(at, &scalar.text, words),
            (Shape::Text { .. } | Shape::Word(_), meaning) => self.unquoted(at, scalar, &meaning, shape),
            (Shape::Object(object), _) if object.secret_reference => self.secret_inline(at, object),
            _ => self.wrong_type(&Node { at, value: Value::Scalar(scalar.clone()) }, shape),
        }
    }

    fn text(&mut self, at: At, text: &str, format: Option<&str>, length: Bounds) {
        let invisible = text.chars().find(|character| cannot_be_seen(*character));
        if let Some(character) = invisible.filter(|_| format != Some(format::FREE)) {
            let blanks = [("within", self.within()), ("found", character.escape_unicode().to_string())];
            self.say(Code::ForbiddenCharacter, at, &blanks, None);
        } else if let Some(format) = format {
            self.formatted(at, text, format);
        } else if !length.hold(text.chars().count()) {
            self.out_of_range(at, &counted(text.chars().count() as u64, "characters"), length, "characters");
        }
    }

    fn formatted(&mut self, at: At, text: &str, format: &str) {
        let Some(Err(refused)) = format::check(format).map(|check| check(text)) else { return };
        let found = if self.secret { HIDDEN.to_owned() } else { shown(text) };
        let blanks = [("within", self.within()), ("found", found.clone()), ("wanted", refused.accepted.to_owned())];
        let finding = Code::BadValue.at(&at.of(self.file), &borrowed(&blanks)).found(found).accepts([refused.accepted]);
        let suggestion = refused.suggestion.filter(|_| !self.secret);
        self.findings.push(match suggestion {
            Some(meant) => finding.fixed_by(format!("write `{meant}`")),
            None => finding,
        });
    }

    fn word(&mut self, at: At, text: &str, words: &[String]) {
        if words.iter().any(|word| word == text) {
            return;
        }
        let blanks = [("within", self.within()), ("found", shown(text)), ("wanted", listed(words))];
        let finding = Code::UnknownWord.at(&at.of(self.file), &borrowed(&blanks)).found(text).accepts(words);
        self.findings.push(match nearest(text, words.iter().map(String::as_str)) {
            Some(meant) => finding.fixed_by(format!("write `{meant}`")),
            None => finding,
        });
    }

    /// A number or truth value where text is wanted: quotes help when the text would be accepted.
    fn unquoted(&mut self, at: At, scalar: &Scalar, meaning: &Meaning, shape: &Shape) {
        match shape {
            Shape::Word(words) if !words.contains(&scalar.text) => self.word(at, &scalar.text, words),
            Shape::Text { format: Some(format), .. } if !fits(format, &scalar.text) => {
                self.formatted(at, &scalar.text, format);
            }
            _ => self.quotes_missing(at, scalar, meaning),
        }
    }

    fn quotes_missing(&mut self, at: At, scalar: &Scalar, meaning: &Meaning) {
        let kind = if matches!(meaning, Meaning::Number(_)) { "number" } else { "truth value" };
        let blanks = [("within", self.within()), ("found", kind.to_owned())];
        let finding = Code::QuotesMissing.at(&at.of(self.file), &borrowed(&blanks));
        let repeat = !self.secret && shown(&scalar.text) == scalar.text;
        self.findings.push(match repeat {
            true => finding.found(&scalar.text).fixed_by(format!("write `\"{}\"`", scalar.text)),
            false => finding,
        });
    }

    /// The value itself is not repeated: what stands in the wrong place may be anything.
    fn wrong_type(&mut self, node: &Node, shape: &Shape) {
        let blanks = [("within", self.within()), ("wanted", wanted(shape)), ("found", kind(node).to_owned())];
        let finding = Code::WrongType.at(&node.at.of(self.file), &borrowed(&blanks)).found(kind(node));
        let fix = match (shape, &node.value) {
            (Shape::List { .. }, Value::Scalar(_) | Value::Map(_)) => {
                Some("write it as a list: `[…]`, or lines that begin with `- `")
            }
            _ => None,
        };
        let finding = finding.accepts([wanted(shape)]);
        self.findings.push(match fix {
            Some(fix) => finding.fixed_by(fix),
            None => finding,
        });
    }

    fn secret_inline(&mut self, at: At, object: &Object) {
        let finding = Code::SecretInline.at(&at.of(self.file), &[("within", &self.within())]);
        self.findings.push(match object.field("file") {
            Some(_) => finding.accepts(["{ file: NAME }"]),
            None => {
                let fix = "change the secret, because it has been in a document; then put it in a Secret beside the certificate \
                           and write `{ name: SECRET, key: KEY }`";
                finding.accepts(["{ name: SECRET, key: KEY }"]).fixed_by(fix)
            }
        });
    }

    fn out_of_range(&mut self, at: At, found: &str, bounds: Bounds, of: &str) {
        let found = if self.secret { HIDDEN } else { found };
        let range = range(bounds, of);
        let blanks = [("within", self.within()), ("found", found.to_owned()), ("wanted", range.clone())];
        let finding = Code::OutOfRange.at(&at.of(self.file), &borrowed(&blanks)).found(found).accepts([range]);
        self.findings.push(finding);
    }

    fn say(&mut self, code: Code, at: At, blanks: &[(&'static str, String)], found: Option<&str>) {
        let finding = code.at(&at.of(self.file), &borrowed(blanks));
        self.findings.push(match found {
            Some(found) => finding.found(found),
            None => finding,
        });
    }

    fn inside(&mut self, step: Step, then: impl FnOnce(&mut Self)) {
        self.path.push(step);
        then(self);
        self.path.pop();
    }

    /// The path as people write it: `spec.zones[0].name`.
    fn within(&self) -> String {
        let mut text = String::new();
        for step in &self.path {
            match step {
                Step::Field(name) if text.is_empty() => text.push_str(&shown(name)),
                Step::Field(name) => text.extend([".", &shown(name)]),
                Step::Item(number) => text.extend(["[", &number.to_string(), "]"]),
            }
        }
        if text.is_empty() { "the document".to_owned() } else { format!("`{text}`") }
    }
}

const HIDDEN: &str = "…(not repeated)…";

fn fits(format: &str, text: &str) -> bool {
    format::check(format).is_none_or(|check| check(text).is_ok())
}

/// Fields that people look for in the wrong place.
fn elsewhere(field: &str) -> Option<&'static str> {
    Some(match field {
        "speed" => "time runs faster only in `clavigerd dev --speed`, never by the settings",
        "environment" => "remove it: the environment of a resource is the one that claims its namespace",
        "renewBefore" | "duration" => {
            "remove it: claviger plans renewals from the CA's own information and the lifetime"
        }
        "keystores" => "remove it: keystores are fields of a Secret, write them below `secret`",
        "<<" => "write the fields out: documents are not merged",
        "uid" | "resourceVersion" | "generation" | "creationTimestamp" | "managedFields" => {
            "remove it: the API server writes it, a document does not"
        }
        _ => return None,
    })
}

fn borrowed<'a>(blanks: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    blanks.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

fn listed<Text: AsRef<str>>(words: &[Text]) -> String {
    words.iter().map(|word| format!("`{}`", word.as_ref())).collect::<Vec<_>>().join(", ")
}

fn counted(number: u64, of: &str) -> String {
    match (number, of.is_empty()) {
        (_, true) => number.to_string(),
        (1, false) => format!("1 {}", of.trim_end_matches('s')),
        (_, false) => format!("{number} {of}"),
    }
}

fn range(bounds: Bounds, of: &str) -> String {
    match bounds {
        Bounds { least, most: u64::MAX } => format!("at least {}", counted(least, of)),
        Bounds { least: 0, most } => format!("at most {}", counted(most, of)),
        Bounds { least, most } => format!("{least} to {}", counted(most, of)),
    }
}

fn wanted(shape: &Shape) -> String {
    match shape {
        Shape::Any => "anything".to_owned(),
        Shape::Boolean => "`true` or `false`".to_owned(),
        Shape::Integer { .. } => "a whole number".to_owned(),
        Shape::List { .. } => "a list".to_owned(),
        Shape::Map { .. } => "a map of names to values".to_owned(),
        Shape::Object(object) if object.fields.is_empty() => "`{}`".to_owned(),
        Shape::Object(object) => {
            let names: Vec<&str> = object.names().collect();
            format!("a map with the fields {}", listed(&names))
        }
        Shape::Text { .. } => "text".to_owned(),
        Shape::Word(words) => format!("one of {}", listed(words)),
    }
}

fn kind(node: &Node) -> &'static str {
    match &node.value {
        Value::Broken => "something that was refused",
        Value::List(_) => "a list",
        Value::Map(_) => "a map",
        Value::Scalar(scalar) => match scalar.meaning() {
            Meaning::Boolean(_) => "a truth value",
            Meaning::Null => "nothing",
            Meaning::Number(_) => "a number",
            Meaning::Text => "text",
        },
    }
}
