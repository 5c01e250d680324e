//! The chain of an audit journal, checked without trusting who wrote it.
//!
//! Each line is a JSON object. `seq` counts from 1 without a gap; `prevSha256` is the SHA-256 of the exact bytes of the line
//! before, without its newline, and 64 zeros in the first line. So nothing in front of a known head can be changed, taken out,
//! put in or moved. What the chain alone cannot show is that lines are missing at its end, or that it was written anew as a
//! whole: for that a head that was kept elsewhere must still be in it.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    io::{self, BufRead},
};

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a check has found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    /// `AuditReport`.
    pub(crate) kind: &'static str,
    /// Lines that hold, from the first one on.
    pub(crate) lines: u64,
    /// SHA-256 of the last line that holds.
    pub(crate) head: String,
    /// Whether a line has the hash that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) includes: Option<bool>,
    /// The first line that does not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) broken: Option<Broken>,
    /// Bytes behind the last newline: a line that was being written when writing ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) torn_bytes: Option<u64>,
    /// Intents whose outcome is not in the journal, oldest first.
    pub(crate) unanswered: Vec<Unanswered>,
}

/// A line that does not hold.
#[derive(Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Broken {
    /// Which, from 1.
    pub(crate) line: u64,
    /// What differs.
    pub(crate) what: String,
}

/// An intent whose outcome is not known.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Unanswered {
    /// Where it stands.
    pub(crate) line: u64,
    /// Its id.
    pub(crate) intent: String,
    /// When.
    #[serde(rename = "@timestamp", skip_serializing_if = "Value::is_null")]
    pub(crate) timestamp: Value,
    /// What was to be done.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub(crate) verb: Value,
    /// To what.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub(crate) object: Value,
}

/// Check a journal to its end, or to its first line that does not hold; `head` is one that was kept elsewhere.
pub(crate) fn verify(mut journal: impl BufRead, head: Option<&str>) -> io::Result<Report> {
    let mut chain = Chain::new();
    let mut includes = head.map(|head| head == chain.head);
    let mut line = Vec::new();
    let (broken, torn_bytes) = loop {
        line.clear();
        match next_line(&mut journal, &mut line)? {
            Ending::Newline => {}
            Ending::File => break (None, Some(line.len() as u64).filter(|bytes| *bytes > 0)),
            Ending::TooLong => break (Some(format!("it is longer than {LONGEST} bytes")), None),
        }
        if let Err(what) = chain.take(&line) {
            break (Some(what), None);
        }
        includes = includes.map(|found| found || head == Some(chain.head.as_str()));
    };
    let broken = broken.map(|what| Broken { line: chain.lines + 1, what });
    let unanswered = chain.unanswered();
    Ok(Report { kind: "AuditReport", lines: chain.lines, head: chain.head, includes, broken, torn_bytes, unanswered })
}

struct Chain {
    lines: u64,
    head: String,
    /// Every intent, and its place while it has no outcome.
    intents: HashMap<String, Option<Unanswered>>,
}

#[derive(Deserialize)]
struct Line {
    seq: u64,
    #[serde(rename = "prevSha256")]
    prev_sha256: String,
    stage: Option<String>,
    intent: Option<String>,
    #[serde(default, rename = "@timestamp")]
    timestamp: Value,
    #[serde(default)]
    verb: Value,
    #[serde(default)]
    object: Value,
}

impl Chain {
    fn new() -> Self {
        Self { lines: 0, head: "0".repeat(64), intents: HashMap::new() }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), String> {
        let line: Line =
            serde_json::from_slice(bytes).map_err(|error| format!("it is no line of a journal: {error}"))?;
        if line.seq != self.lines + 1 {
            return Err(format!(
                "`seq` is {}, {} must follow: lines are missing, moved or added",
                line.seq,
                self.lines + 1
            ));
        }
        if line.prev_sha256 != self.head {
            return Err(format!(
                "`prevSha256` is {}, the line before hashes to {}: one of the two was changed",
                line.prev_sha256, self.head
            ));
        }
        self.answer(line)?;
        self.lines += 1;
        self.head = hex::encode(digest(&SHA256, bytes));
        Ok(())
    }

    fn answer(&mut self, line: Line) -> Result<(), String> {
        let stage = line.stage.as_deref();
        if !matches!(stage, Some("Intent" | "Outcome")) {
            return Ok(());
        }
        let intent = line.intent.ok_or("it has a `stage` and no `intent`")?;
        if intent.is_empty() && line.verb == REPAIR {
            return Ok(()); // no effect outside: the journal tells of itself
        }
        if stage == Some("Intent") {
            let Line { timestamp, verb, object, .. } = line;
            let open = Unanswered { line: self.lines + 1, intent: intent.clone(), timestamp, verb, object };
            self.intents.insert(intent, Some(open));
            return Ok(());
        }
        match self.intents.entry(intent) {
            Entry::Occupied(mut known) => known.insert(None),
            Entry::Vacant(unknown) => {
                return Err(format!("it is the outcome of `{}`, whose intent is not before it", unknown.key()));
            }
        };
        Ok(())
    }

    fn unanswered(&self) -> Vec<Unanswered> {
        let open: BTreeMap<u64, &Unanswered> = self.intents.values().flatten().map(|open| (open.line, open)).collect();
        open.into_values().cloned().collect()
    }
}

enum Ending {
    File,
    Newline,
    TooLong,
}

/// Read up to a newline, which is left out; never keep more than the longest line.
fn next_line(journal: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Ending> {
    loop {
        let ready = match journal.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            ready => ready?,
        };
        if ready.is_empty() {
            return Ok(Ending::File);
        }
        let end = ready.iter().position(|byte| *byte == b'\n');
        line.extend_from_slice(&ready[..end.unwrap_or(ready.len())]);
        let used = end.map_or(ready.len(), |end| end + 1);
        journal.consume(used);
        if line.len() > LONGEST {
            return Ok(Ending::TooLong);
        }
        if end.is_some() {
            return Ok(Ending::Newline);
        }
    }
}

/// What the daemon writes when it has cut off a line that was not written whole.
const REPAIR: &str = "journal.repair";
/// Far more than a line of the journal takes; a file that is no journal must not fill the memory.
const LONGEST: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    /// A journal with these bodies, chained as the module says.
    fn chained(bodies: &[&str]) -> Vec<u8> {
        let mut journal = Vec::new();
        let mut previous = "0".repeat(64);
        for (seq, body) in (1..).zip(bodies) {
            let line = format!(r#"{{"v":1,"seq":{seq},"prevSha256":"{previous}",{body}}}"#);
            previous = hex::encode(digest(&SHA256, line.as_bytes()));
            journal.extend_from_slice(line.as_bytes());
            journal.push(b'\n');
        }
        journal
    }

    const GOOD: [&str; 4] = [
        r#""stage":"Intent","intent":"a-1","verb":"newOrder""#,
        r#""stage":"Outcome","intent":"a-1","outcome":"Done""#,
        r#""stage":"Intent","intent":"a-2","verb":"finalize""#,
        r#""stage":"Intent","intent":"b-1","verb":"createKey""#,
    ];

    #[test]
    fn a_good_journal_holds_and_open_intents_are_listed() {
        let journal = chained(&GOOD);
        let report = verify(&journal[..], None).unwrap();
        assert_eq!((report.lines, &report.broken, report.torn_bytes), (4, &None, None));
        let open: Vec<_> = report.unanswered.iter().map(|open| (open.line, open.intent.as_str())).collect();
        assert_eq!(open, [(3, "a-2"), (4, "b-1")]);
        let last = journal.split(|byte| *byte == b'\n').nth(3).unwrap();
        assert_eq!(report.head, hex::encode(digest(&SHA256, last)));
    }

    #[test]
    fn an_empty_journal_holds() {
        let report = verify(&b""[..], None).unwrap();
        assert_eq!((report.lines, report.head, report.broken), (0, "0".repeat(64), None));
    }

    #[test]
    fn no_byte_before_the_last_line_can_be_changed_unnoticed() {
        let journal = chained(&GOOD);
        let last_line = journal[..journal.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
        for place in 0..last_line {
            for bit in 0..8 {
                let mut changed = journal.clone();
                changed[place] ^= 1 << bit;
                let report = verify(&changed[..], None).unwrap();
                assert!(report.broken.is_some(), "byte {place} bit {bit}");
            }
        }
    }

    #[test]
    fn lines_cannot_be_taken_out_doubled_or_swapped() {
        let journal = chained(&GOOD);
        let lines: Vec<&[u8]> = journal.split_inclusive(|byte| *byte == b'\n').collect();
        for order in [vec![1, 2, 3], vec![0, 2, 3], vec![0, 1, 1, 2], vec![1, 0, 2, 3]] {
            let changed = order.iter().map(|line| lines[*line]).collect::<Vec<_>>().concat();
            let broken = verify(&changed[..], None).unwrap().broken.unwrap();
            assert!(broken.what.starts_with("`seq` is"), "{broken:?}");
        }
    }

    #[test]
    fn a_torn_last_line_is_told_from_a_broken_one() {
        let journal = chained(&GOOD);
        let report = verify(&journal[..journal.len() - 5], None).unwrap();
        assert!(report.broken.is_none() && report.lines == 3 && report.torn_bytes.is_some());
    }

    #[test]
    fn an_outcome_needs_its_intent_before_it() {
        let report = verify(&chained(&[GOOD[1], GOOD[0]])[..], None).unwrap();
        assert_eq!(
            report.broken,
            Some(Broken { line: 1, what: "it is the outcome of `a-1`, whose intent is not before it".to_owned() })
        );
    }

    #[test]
    fn an_outcome_that_was_heard_twice_is_no_break() {
        let report = verify(&chained(&[GOOD[0], GOOD[1], GOOD[1]])[..], None).unwrap();
        assert!(report.broken.is_none() && report.unanswered.is_empty());
    }

    #[test]
    fn a_field_that_is_there_twice_is_refused() {
        let broken = verify(&chained(&[r#""seq":1"#])[..], None).unwrap().broken.unwrap();
        assert!(broken.what.contains("duplicate field"), "{broken:?}");
    }

    #[test]
    fn a_huge_line_is_refused_without_being_kept() {
        let endless = io::BufReader::new(io::repeat(b'x'));
        assert!(verify(endless, None).unwrap().broken.unwrap().what.contains("longer than"));
    }

    #[test]
    fn what_is_no_journal_is_refused() {
        for odd in ["\n", "{}\n", "[]\n", "nonsense\n", "{\"seq\":0}\n", "{\"seq\":-1}\n", "\u{0}\n", "\u{feff}{}\n"] {
            assert!(verify(odd.as_bytes(), None).unwrap().broken.is_some(), "{odd:?}");
        }
    }

    #[test]
    fn a_head_that_was_kept_elsewhere_shows_that_the_end_is_missing() {
        let journal = chained(&GOOD);
        let head = verify(&journal[..], None).unwrap().head;
        let end = journal[..journal.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
        assert_eq!(verify(&journal[..], Some(&head)).unwrap().includes, Some(true));
        assert_eq!(verify(&journal[..end], Some(&head)).unwrap().includes, Some(false));
        assert_eq!(verify(&journal[..end], None).unwrap().includes, None);
    }
}
