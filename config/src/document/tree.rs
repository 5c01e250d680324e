//! YAML as a tree in which every node knows its line and column.
//!
//! Only what a document needs is read: maps, lists and scalars. Anchors, aliases, tags and directives are refused, so a
//! document means what it shows and cannot grow when it is read.

use std::collections::HashMap;

use serde_json::{Map, Number};
use serde_saphyr::granit_parser::{self, Event, Parser, ScalarStyle, ScanError, Span, StrInput};

use super::finding::{Code, MOST, shown};
use crate::{admin::Finding, desired::Place};

/// No file is larger, in bytes.
pub const MAX_BYTES: usize = 1 << 20;
/// No document is deeper.
pub const MAX_DEPTH: usize = 32;
/// No document has more nodes.
pub const MAX_NODES: usize = 10_000;

/// No file has more documents.
pub const MAX_DOCUMENTS: usize = 10_000;

/// A line and a column, both from 1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct At {
    /// The line.
    pub line: u32,
    /// The column, in characters.
    pub column: u32,
}

impl At {
    /// The same in a file.
    pub fn of(self, file: &str) -> Place {
        Place { file: file.to_owned(), line: self.line, column: self.column }
    }
}

/// A value and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it begins.
    pub at: At,
    /// What it is.
    pub value: Value,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Already refused; nothing more is said about it.
    Broken,
    /// `[a, b]` or lines with `-`.
    List(Vec<Node>),
    /// `{a: b}` or lines with `:`.
    Map(Vec<Entry>),
    /// Anything else.
    Scalar(Scalar),
}

/// One field of a map.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its name.
    pub key: String,
    /// Where the name begins.
    pub at: At,
    /// What it holds.
    pub value: Node,
}

/// Text, number, truth or nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Scalar {
    /// As written, escapes resolved.
    pub text: String,
    /// Whether it stands without quotes.
    pub plain: bool,
}

/// What a scalar means (YAML 1.2.2 section 10.3, the core schema).
#[derive(Clone, Debug, PartialEq)]
pub enum Meaning {
    /// `true` or `false`.
    Boolean(bool),
    /// Nothing.
    Null,
    /// An integer, or a number with a fraction.
    Number(Number),
    /// Anything else.
    Text,
}

impl Scalar {
    /// What it means.
    pub fn meaning(&self) -> Meaning {
        if !self.plain {
            return Meaning::Text;
        }
        match self.text.as_str() {
            "" | "~" | "null" | "Null" | "NULL" => Meaning::Null,
            "true" | "True" | "TRUE" => Meaning::Boolean(true),
            "false" | "False" | "FALSE" => Meaning::Boolean(false),
            text => number(text).map_or(Meaning::Text, Meaning::Number),
        }
    }
}

fn number(text: &str) -> Option<Number> {
    if !text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first)) {
        return None;
    }
    let digits = text.strip_prefix('+').unwrap_or(text);
    let integer = match (digits.strip_prefix("0x"), digits.strip_prefix("0o")) {
        (Some(hexadecimal), _) => return u64::from_str_radix(hexadecimal, 16).ok().map(Number::from),
        (_, Some(octal)) => return u64::from_str_radix(octal, 8).ok().map(Number::from),
        _ => digits.parse::<i64>().map(Number::from).or_else(|_| digits.parse::<u64>().map(Number::from)),
    };
    let fraction = || digits.bytes().any(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
    integer.ok().or_else(|| fraction().and_then(Number::from_f64))
}

impl Node {
    /// The field of that name, when this is a map.
    pub fn field(&self, name: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == name)
    }

    /// The fields; none when this is not a map.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items; none when this is not a list.
    pub fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The text, when this is a scalar that means text.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) if scalar.meaning() == Meaning::Text => Some(&scalar.text),
            _ => None,
        }
    }

    /// Whether nothing stands here.
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.meaning() == Meaning::Null)
    }

    /// The place of what `path` leads to, or of the last step that exists. A step is a field or the number of an item.
    pub fn find(&self, path: &[&str]) -> At {
        let Some((step, rest)) = path.split_first() else { return self.at };
        let item = step.parse::<usize>().ok().and_then(|number| self.items().get(number));
        match (self.field(step), item) {
            (Some(entry), _) if entry.value.is_null() => entry.at,
            (Some(entry), _) => entry.value.find(rest),
            (None, Some(item)) => item.find(rest),
            (None, None) => self.at,
        }
    }

    /// The same as JSON.
    pub fn json(&self) -> serde_json::Value {
        match &self.value {
            Value::Broken => serde_json::Value::Null,
            Value::List(items) => items.iter().map(Self::json).collect(),
            Value::Map(entries) => {
                entries.iter().map(|entry| (entry.key.clone(), entry.value.json())).collect::<Map<_, _>>().into()
            }
            Value::Scalar(scalar) => match scalar.meaning() {
                Meaning::Boolean(truth) => truth.into(),
                Meaning::Null => serde_json::Value::Null,
                Meaning::Number(number) => number.into(),
                Meaning::Text => scalar.text.clone().into(),
            },
        }
    }
}

/// One document of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    /// Its root.
    pub root: Node,
    /// What was refused while it was read.
    pub findings: Vec<Finding>,
}

/// All documents of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Forest {
    /// The documents that could be read.
    pub trees: Vec<Tree>,
    /// Why something in the file was lost: otherwise an object may stand in it that is not in `trees`.
    pub lost: Vec<Finding>,
}

/// Read every document of a file.
pub fn parse(file: &str, bytes: &[u8]) -> Forest {
    let whole_file = Place { file: file.to_owned(), line: 0, column: 0 };
    let lost = |finding: Finding| Forest { lost: vec![finding], ..Forest::default() };
    if bytes.len() > MAX_BYTES {
        return lost(Code::FileTooLarge.at(&whole_file, &[("found", &bytes.len().to_string())]));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Reader::new(file, text).read(),
        Err(error) => {
            let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let byte = format!("0x{:02x}", bytes[error.valid_up_to()]);
            lost(Code::NotUtf8.at(&end_of(&good).of(file), &[("found", &byte)]).found(byte))
        }
    }
}

fn end_of(text: &str) -> At {
    let line = text.bytes().filter(|byte| *byte == b'\n').count();
    let column = text.rsplit('\n').next().map_or(0, |last| last.chars().count());
    At { line: count(line + 1), column: count(column + 1) }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

struct Reader<'a> {
    file: &'a str,
    parser: Parser<'a, StrInput<'a>>,
    forest: Forest,
}

/// A document cannot be read on.
struct GiveUp;

impl<'a> Reader<'a> {
    fn new(file: &'a str, text: &'a str) -> Self {
        let options = granit_parser::options! {
            disallow_directives: true,
            emit_comments: false,
            flow_nesting_limit: 2 * MAX_DEPTH,
            block_nesting_limit: 2 * MAX_DEPTH,
        };
        Self { file, parser: Parser::new_from_str_with_options(text, options), forest: Forest::default() }
    }

    fn read(mut self) -> Forest {
        let mut growing = Growing::new(self.file);
        while let Some(next) = self.parser.next() {
            if self.hear(next, &mut growing).is_err() {
                self.forest.lost.append(&mut growing.findings);
                growing = Growing::new(self.file);
                if self.full() || !matches!(self.parser.proceed_next_document(), Ok(true)) {
                    break;
                }
            }
        }
        self.forest
    }

    fn full(&self) -> bool {
        self.forest.lost.len() > MOST || self.forest.trees.len() >= MAX_DOCUMENTS
    }

    fn hear(&mut self, next: Result<(Event<'a>, Span), ScanError>, growing: &mut Growing<'a>) -> Result<(), GiveUp> {
        let (event, span) = next.map_err(|error| {
            let at = At { line: count(error.marker().line()), column: count(error.marker().col() + 1) };
            growing.findings.push(Code::SyntaxError.at(&at.of(self.file), &[("found", &error.info())]));
            GiveUp
        })?;
        match event {
            Event::DocumentStart(..) if self.full() => {
                let at = At { line: count(span.start.line()), column: count(span.start.col() + 1) };
                growing.refuse(Code::TooManyDocuments, at);
                return Err(GiveUp);
            }
            Event::DocumentStart(..) => *growing = Growing::new(self.file),
            Event::DocumentEnd => {
                let Growing { root, findings, .. } = std::mem::replace(growing, Growing::new(self.file));
                self.forest.trees.extend(root.map(|root| Tree { root, findings }));
            }
            event => growing.take(event, span)?,
        }
        Ok(())
    }
}

/// A document while its events come in.
struct Growing<'a> {
    file: &'a str,
    open: Vec<Open>,
    root: Option<Node>,
    nodes: usize,
    findings: Vec<Finding>,
}

enum Open {
    List(At, Vec<Node>),
    Map(OpenMap),
}

struct OpenMap {
    at: At,
    entries: Vec<Entry>,
    seen: HashMap<String, At>,
    key: Option<Key>,
}

/// What stands before the colon; no name when it is not text.
struct Key(Option<String>, At);

impl<'a> Growing<'a> {
    fn new(file: &'a str) -> Self {
        Self { file, open: Vec::new(), root: None, nodes: 0, findings: Vec::new() }
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), GiveUp> {
        let at = At { line: count(span.start.line()), column: count(span.start.col() + 1) };
        self.properties(&event, at);
        match event {
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                self.refuse(Code::AliasRefused, at);
                self.place(Node { at, value: Value::Broken });
            }
            Event::Scalar(text, style, ..) => {
                let scalar = Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain };
                self.place(Node { at, value: Value::Scalar(scalar) });
            }
            Event::SequenceStart(..) => self.open.push(Open::List(at, Vec::new())),
            Event::MappingStart(..) => self.open.push(Open::Map(OpenMap::new(at))),
            Event::SequenceEnd | Event::MappingEnd => {
                self.close();
                return Ok(());
            }
            _ => return Ok(()),
        }
        self.limits(at)
    }

    fn limits(&mut self, at: At) -> Result<(), GiveUp> {
        self.nodes += 1;
        let code = if self.open.len() > MAX_DEPTH {
            Code::DocumentTooDeep
        } else if self.nodes > MAX_NODES {
            Code::DocumentTooLarge
        } else {
            return Ok(());
        };
        self.refuse(code, at);
        Err(GiveUp)
    }

    fn properties(&mut self, event: &Event<'_>, at: At) {
        if event.anchor_id().is_some() {
            self.refuse(Code::AliasRefused, at);
        }
        if event.tag().is_some() {
            self.refuse(Code::TagRefused, at);
        }
    }

    fn refuse(&mut self, code: Code, at: At) {
        self.say(code.plain(&at.of(self.file)));
    }

    fn say(&mut self, finding: Finding) {
        if self.findings.len() <= MOST {
            self.findings.push(finding);
        }
    }

    fn close(&mut self) {
        let node = match self.open.pop() {
            Some(Open::List(at, items)) => Node { at, value: Value::List(items) },
            Some(Open::Map(map)) => Node { at: map.at, value: Value::Map(map.entries) },
            None => return,
        };
        self.place(node);
    }

    fn place(&mut self, node: Node) {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List(_, items)) => items.push(node),
            Some(Open::Map(map)) => match map.key.take() {
                Some(Key(Some(name), at)) => {
                    if let Err((name, first)) = map.keep(name, at, node) {
                        self.twice(&name, at, first);
                    }
                }
                Some(Key(None, _)) => {}
                None => self.key(node),
            },
        }
    }

    fn twice(&mut self, name: &str, at: At, first: At) {
        let blanks = [("field", &*shown(name)), ("first", &*first.line.to_string())];
        self.say(Code::DuplicateField.at(&at.of(self.file), &blanks).found(name));
    }

    fn key(&mut self, node: Node) {
        let name = match node.value {
            Value::Scalar(scalar) => Some(scalar.text),
            _ => None,
        };
        if name.is_none() {
            self.refuse(Code::KeyNotText, node.at);
        }
        if let Some(Open::Map(map)) = self.open.last_mut() {
            map.key = Some(Key(name, node.at));
        }
    }
}

impl OpenMap {
    fn new(at: At) -> Self {
        Self { at, entries: Vec::new(), seen: HashMap::new(), key: None }
    }

    /// Take in a field, or give its name back with the first place when it is there already.
    fn keep(&mut self, key: String, at: At, value: Node) -> Result<(), (String, At)> {
        if let Some(first) = self.seen.get(&key) {
            return Err((key, *first));
        }
        self.seen.insert(key.clone(), at);
        self.entries.push(Entry { key, at, value });
        Ok(())
    }
}
