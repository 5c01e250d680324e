//! YAML as a tree in which every node knows its line and column.
//!
//! Only what a document needs is read: maps, lists and scalars. Anchors, aliases, tags and directives are refused, so a
//! document means what it shows and cannot grow when it is read.

use std::collections::HashMap;

use serde_json::{Map, Number};
use serde_saphyr::granit_parser::{self, Event, Parser, ScalarStyle, ScanError, Span, StrInput};

use super::finding::{Code, shown};
use crate::{admin::Finding, desired::Place};

/// No file is larger, in bytes.
pub const MAX_BYTES: usize = 1 << 20;
/// No document is deeper.
pub const MAX_DEPTH: usize = 32;
/// No document has more nodes.
pub const MAX_NODES: usize = 10_000;

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
    /// Whether nothing in it has been refused yet.
    pub sound: bool,
}

/// All documents of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Forest {
    /// The documents that could be read.
    pub trees: Vec<Tree>,
    /// Whether nothing in the file was lost: otherwise an object may stand in it that is not in `trees`.
    pub whole: bool,
}

/// Read every document of a file. What cannot be read is told to `findings`.
pub fn parse(file: &str, bytes: &[u8], findings: &mut Vec<Finding>) -> Forest {
    let whole_file = Place { file: file.to_owned(), line: 0, column: 0 };
    if bytes.len() > MAX_BYTES {
        findings.push(Code::FileTooLarge.at(&whole_file, &[("found", &bytes.len().to_string())]));
        return Forest::default();
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Reader::new(file, text, findings).read(),
        Err(error) => {
            let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let byte = format!("0x{:02x}", bytes[error.valid_up_to()]);
            findings.push(Code::NotUtf8.at(&end_of(&good).of(file), &[("found", &byte)]).found(byte));
            Forest::default()
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
    findings: &'a mut Vec<Finding>,
    forest: Forest,
}

/// A document cannot be read on.
struct GiveUp;

impl<'a> Reader<'a> {
    fn new(file: &'a str, text: &'a str, findings: &'a mut Vec<Finding>) -> Self {
        let options = granit_parser::options! {
            disallow_directives: true,
            emit_comments: false,
            flow_nesting_limit: 2 * MAX_DEPTH,
            block_nesting_limit: 2 * MAX_DEPTH,
        };
        let parser = Parser::new_from_str_with_options(text, options);
        Self { file, parser, findings, forest: Forest { trees: Vec::new(), whole: true } }
    }

    fn read(mut self) -> Forest {
        let mut growing = Growing::default();
        while let Some(next) = self.parser.next() {
            if self.hear(next, &mut growing).is_err() {
                self.forest.whole = false;
                growing = Growing::default();
                if !matches!(self.parser.proceed_next_document(), Ok(true)) {
                    break;
                }
            }
        }
        self.forest
    }

    fn hear(&mut self, next: Result<(Event<'a>, Span), ScanError>, growing: &mut Growing) -> Result<(), GiveUp> {
        let (event, span) = next.map_err(|error| self.refuse(&error))?;
        match event {
            Event::DocumentStart(..) => *growing = Growing::default(),
            Event::DocumentEnd => self.keep(growing),
            event => growing.take(event, span, &mut |code, at| self.findings.push(code.plain(&at.of(self.file))))?,
        }
        Ok(())
    }

    fn keep(&mut self, growing: &mut Growing) {
        let Growing { root, sound, duplicates, .. } = std::mem::take(growing);
        let sound = sound && duplicates.is_empty();
        for (key, at, first) in duplicates {
            let blanks = [("field", shown(&key)), ("first", first.line.to_string())];
            let blanks: Vec<_> = blanks.iter().map(|(name, value)| (*name, value.as_str())).collect();
            self.findings.push(Code::DuplicateField.at(&at.of(self.file), &blanks).found(key));
        }
        self.forest.trees.extend(root.map(|root| Tree { root, sound }));
    }

    fn refuse(&mut self, error: &ScanError) -> GiveUp {
        let at = At { line: count(error.marker().line()), column: count(error.marker().col() + 1) };
        self.findings.push(Code::SyntaxError.at(&at.of(self.file), &[("found", &error.info())]));
        GiveUp
    }
}

/// A document while its events come in.
struct Growing {
    open: Vec<Open>,
    root: Option<Node>,
    nodes: usize,
    sound: bool,
    duplicates: Vec<(String, At, At)>,
}

impl Default for Growing {
    fn default() -> Self {
        Self { open: Vec::new(), root: None, nodes: 0, sound: true, duplicates: Vec::new() }
    }
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

type Tell<'a> = &'a mut dyn FnMut(Code, At);

impl Growing {
    fn take(&mut self, event: Event<'_>, span: Span, tell: Tell<'_>) -> Result<(), GiveUp> {
        let at = At { line: count(span.start.line()), column: count(span.start.col() + 1) };
        self.properties(&event, at, tell);
        match event {
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                self.refuse(Code::AliasRefused, at, tell);
                self.place(Node { at, value: Value::Broken }, tell);
            }
            Event::Scalar(text, style, ..) => {
                let scalar = Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain };
                self.place(Node { at, value: Value::Scalar(scalar) }, tell);
            }
            Event::SequenceStart(..) => self.open.push(Open::List(at, Vec::new())),
            Event::MappingStart(..) => {
                let map = OpenMap { at, entries: Vec::new(), seen: HashMap::new(), key: None };
                self.open.push(Open::Map(map));
            }
            Event::SequenceEnd | Event::MappingEnd => {
                self.close(tell);
                return Ok(());
            }
            _ => return Ok(()),
        }
        self.limits(at, tell)
    }

    fn limits(&mut self, at: At, tell: Tell<'_>) -> Result<(), GiveUp> {
        self.nodes += 1;
        let code = if self.open.len() > MAX_DEPTH {
            Code::DocumentTooDeep
        } else if self.nodes > MAX_NODES {
            Code::DocumentTooLarge
        } else {
            return Ok(());
        };
        tell(code, at);
        Err(GiveUp)
    }

    fn properties(&mut self, event: &Event<'_>, at: At, tell: Tell<'_>) {
        if event.anchor_id().is_some() {
            self.refuse(Code::AliasRefused, at, tell);
        }
        if event.tag().is_some() {
            self.refuse(Code::TagRefused, at, tell);
        }
    }

    fn refuse(&mut self, code: Code, at: At, tell: Tell<'_>) {
        self.sound = false;
        tell(code, at);
    }

    fn close(&mut self, tell: Tell<'_>) {
        let node = match self.open.pop() {
            Some(Open::List(at, items)) => Node { at, value: Value::List(items) },
            Some(Open::Map(map)) => Node { at: map.at, value: Value::Map(map.entries) },
            None => return,
        };
        self.place(node, tell);
    }

    fn place(&mut self, node: Node, tell: Tell<'_>) {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List(_, items)) => items.push(node),
            Some(Open::Map(map)) => match map.key.take() {
                Some(Key(name, at)) => self.duplicates.extend(name.and_then(|name| map.keep(name, at, node))),
                None => self.key(node, tell),
            },
        }
    }

    fn key(&mut self, node: Node, tell: Tell<'_>) {
        let name = match node.value {
            Value::Scalar(scalar) => Some(scalar.text),
            _ => None,
        };
        if name.is_none() {
            self.refuse(Code::KeyNotText, node.at, tell);
        }
        if let Some(Open::Map(map)) = self.open.last_mut() {
            map.key = Some(Key(name, node.at));
        }
    }
}

impl OpenMap {
    /// Take in a field, or answer with its name and both places when it is there already.
    fn keep(&mut self, key: String, at: At, value: Node) -> Option<(String, At, At)> {
        match self.seen.get(&key) {
            Some(first) => Some((key, at, *first)),
            None => {
                self.seen.insert(key.clone(), at);
                self.entries.push(Entry { key, at, value });
                None
            }
        }
    }
}
