//! From bytes to trees, within limits.
//!
//! Anchors, aliases, tags and directives are refused, so a document means what it shows and cannot grow when it is read.

use std::collections::HashMap;

use serde_saphyr::granit_parser::{self, Event, Parser, ScalarStyle, ScanError, Span, StrInput};

use super::{
    finding::{Code, MOST, shown},
    tree::{At, Entry, Forest, Node, Scalar, Tree, Value},
};
use crate::{admin::Finding, desired::Place};

/// No file is larger, in bytes.
pub const MAX_BYTES: usize = 1 << 20;
/// No document is deeper.
pub const MAX_DEPTH: usize = 32;
/// No document has more nodes.
pub const MAX_NODES: usize = 10_000;

/// No file has more documents.
pub const MAX_DOCUMENTS: usize = 10_000;

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
