//! One line of the journal: one JSON object, safe to show on a terminal, whatever text came in.

use std::{borrow::Cow, io};

use aws_lc_rs::digest::{SHA256, digest};
use claviger_config::{EnvironmentName, Moment, Reason};
use claviger_core::ports::{Actor, Entry};
use serde::{Serialize, Serializer, ser::SerializeMap as _};
use serde_json::ser::Formatter;

/// Before the effect or after it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub(super) enum Stage {
    Intent,
    Outcome,
}

/// The end of the chain.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Head {
    /// The number of the last line; 0 before the first.
    pub(super) seq: u64,
    /// SHA-256 over the last line without its newline, lower hexadecimal.
    pub(super) sha256: String,
}

impl Head {
    /// The head of an empty journal.
    pub(super) fn empty() -> Self {
        Self { seq: 0, sha256: "0".repeat(64) }
    }

    /// The head once `line` (without its newline) stands there as number `seq`.
    pub(super) fn behind(seq: u64, line: &[u8]) -> Self {
        Self { seq, sha256: hex::encode(digest(&SHA256, line)) }
    }
}

/// Appends the line for an entry to `buffer` and gives the new head.
pub(super) fn append(buffer: &mut Vec<u8>, head: &Head, at: Moment, stage: Stage, entry: &Entry) -> io::Result<Head> {
    let outcome = entry
        .outcome
        .as_ref()
        .map(|(result, message)| Outcome { result: cap(result, SHORT), message: cap(message, LONG) });
    let asked = entry.asked.as_ref();
    let line = Line {
        v: 1,
        seq: head.seq + 1,
        prev_sha256: &head.sha256,
        timestamp: at,
        actor: Capped(&entry.actor),
        verb: cap(&entry.verb, SHORT),
        environment: entry.environment.as_ref(),
        object: &entry.object,
        reason: entry.reason,
        intent: cap(&entry.intent, SHORT),
        plan_sha256: asked.and_then(|asked| asked.plan_sha256.as_deref()).map(|hash| cap(hash, SHORT)),
        justification: asked.map(|asked| cap(&asked.justification, LONG)).filter(|words| !words.is_empty()),
        ticket: asked.and_then(|asked| asked.ticket.as_deref()).map(|ticket| cap(ticket, SHORT)),
        stage,
        outcome,
    };
    write(buffer, &line)
}

/// Appends the line that says that a torn line was cut off. It has no object of the fleet: the journal itself is meant.
pub(super) fn append_repair(buffer: &mut Vec<u8>, head: &Head, at: Moment, message: &str) -> io::Result<Head> {
    let actor = Actor { via: "start".to_owned(), ..Actor::system() };
    let line = Line {
        v: 1,
        seq: head.seq + 1,
        prev_sha256: &head.sha256,
        timestamp: at,
        actor: Capped(&actor),
        verb: "journal.repair".into(),
        environment: None,
        object: &ItsOwn { kind: "Journal", name: super::NAME },
        reason: Reason::StoreFailed,
        intent: Cow::Borrowed(""),
        plan_sha256: None,
        justification: None,
        ticket: None,
        stage: Stage::Outcome,
        outcome: Some(Outcome { result: "Done".into(), message: cap(message, LONG) }),
    };
    write(buffer, &line)
}

fn write<O: Serialize>(buffer: &mut Vec<u8>, line: &Line<'_, O>) -> io::Result<Head> {
    let begin = buffer.len();
    line.serialize(&mut serde_json::Serializer::with_formatter(&mut *buffer, Safe))?;
    let head = Head::behind(line.seq, &buffer[begin..]);
    buffer.push(b'\n');
    Ok(head)
}

/// Field names as in the Elastic Common Schema where it has one.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a, O> {
    v: u32,
    seq: u64,
    prev_sha256: &'a str,
    #[serde(rename = "@timestamp")]
    timestamp: Moment,
    actor: Capped<'a>,
    verb: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<&'a EnvironmentName>,
    object: &'a O,
    reason: Reason,
    intent: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan_sha256: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    justification: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ticket: Option<Cow<'a, str>>,
    stage: Stage,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<Outcome<'a>>,
}

#[derive(Serialize)]
struct Outcome<'a> {
    result: Cow<'a, str>,
    message: Cow<'a, str>,
}

#[derive(Serialize)]
struct ItsOwn {
    kind: &'static str,
    name: &'static str,
}

struct Capped<'a>(&'a Actor);

impl Serialize for Capped<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("kind", &cap(&self.0.kind, SHORT))?;
        map.serialize_entry("id", &cap(&self.0.id, SHORT))?;
        map.serialize_entry("via", &cap(&self.0.via, SHORT))?;
        map.end()
    }
}

/// The beginning of a text that is too long, and how much is missing.
fn cap(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most {
        return Cow::Borrowed(text);
    }
    let end = text.floor_char_boundary(most);
    Cow::Owned(format!("{}… ({} bytes more)", &text[..end], text.len() - end))
}

/// Compact JSON that escapes, beside what JSON demands, every character that could steer a terminal or turn the reading direction.
struct Safe;

impl Formatter for Safe {
    fn write_string_fragment<W: io::Write + ?Sized>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, character)) = rest.char_indices().find(|(_, character)| unsafe_to_show(*character)) {
            write!(writer, "{}\\u{:04x}", &rest[..at], u32::from(character))?;
            rest = &rest[at + character.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }
}

/// Control characters, line and paragraph separators, marks that turn or hide text. All below U+10000, so one escape is enough.
fn unsafe_to_show(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

const SHORT: usize = 256;
const LONG: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;
    use claviger_config::{Kind, ObjectName};
    use claviger_core::ports::Asked;
    use proptest::prelude::*;

    fn entry(text: &str) -> Entry {
        let actor = Actor { kind: text.to_owned(), id: text.to_owned(), via: text.to_owned() };
        let object = ObjectName {
            kind: Kind::KmsKey,
            namespace: Some("staging".parse().unwrap()),
            name: "wrapping".parse().unwrap(),
        };
        Entry {
            actor,
            verb: text.to_owned(),
            environment: Some("staging".parse().unwrap()),
            object,
            reason: Reason::Missing,
            intent: text.to_owned(),
            asked: Some(Asked {
                justification: text.to_owned(),
                ticket: Some(text.to_owned()),
                plan_sha256: Some(text.to_owned()),
            }),
            outcome: Some((text.to_owned(), text.to_owned())),
        }
    }

    fn line(text: &str) -> String {
        let mut buffer = Vec::new();
        append(&mut buffer, &Head::empty(), Moment(0), Stage::Outcome, &entry(text)).unwrap();
        String::from_utf8(buffer).unwrap()
    }

    #[test]
    fn a_line_reads_as_the_contract_says() {
        let expected = concat!(
            r#"{"v":1,"seq":1,"prevSha256":"0000000000000000000000000000000000000000000000000000000000000000","#,
            r#""@timestamp":"1970-01-01T00:00:00Z","actor":{"kind":"a","id":"a","via":"a"},"verb":"a","environment":"staging","#,
            r#""object":{"kind":"KmsKey","namespace":"staging","name":"wrapping"},"reason":"Missing","intent":"a","#,
            r#""planSha256":"a","justification":"a","ticket":"a","#,
            r#""stage":"Outcome","outcome":{"result":"a","message":"a"}}"#,
            "\n"
        );
        assert_eq!(line("a"), expected);
    }

    #[test]
    fn a_megabyte_of_text_is_cut_and_the_cut_is_told() {
        let line = line(&"é".repeat(500_000));
        assert!(line.len() < 15_000, "{}", line.len());
        assert!(line.contains("… (995904 bytes more)"), "{line}");
    }

    #[test]
    fn nothing_that_steers_a_terminal_reaches_the_line() {
        let line = line("a\r\n\u{1b}[31m\u{7f}\u{9b}\u{202e}\u{2028}\0\u{feff}b");
        assert!(line.ends_with('\n') && !line[..line.len() - 1].contains(unsafe_to_show), "{line}");
        assert!(line.contains(r"a\r\n\u001b[31m\u007f\u009b\u202e\u2028\u0000\ufeffb"), "{line}");
    }

    proptest! {
        #[test]
        fn any_text_is_one_line_that_reads_back(text in any::<String>()) {
            let line = line(&text);
            prop_assert_eq!(line.matches('\n').count(), 1);
            let value: serde_json::Value = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(value["outcome"]["message"].as_str().unwrap(), cap(&text, LONG));
        }
    }
}
