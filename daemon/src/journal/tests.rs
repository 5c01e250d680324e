use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use claviger_config::{Kind, Moment, ObjectName, Reason};
use claviger_core::ports::Actor;
use futures::{FutureExt as _, future::join_all};
use proptest::prelude::*;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;

use super::*;

struct Still;
impl Clock for Still {
    fn now(&self) -> Moment {
        Moment(1_800_000_000_000)
    }
    fn draw(&self) -> u64 {
        0
    }
}

/// In memory where the system offers that, since these tests open a journal a thousand times and each time syncs.
fn folder() -> TempDir {
    let mut builder = tempfile::Builder::new();
    builder.permissions(fs::Permissions::from_mode(0o700));
    builder.tempdir_in("/dev/shm").or_else(|_| builder.tempdir()).unwrap()
}

fn open(folder: &Path) -> Journal {
    Journal::open(&State::open(folder).unwrap(), Arc::new(Still)).unwrap()
}

fn entry(intent: &str, outcome: Option<&str>) -> Entry {
    Entry {
        actor: Actor::system(),
        verb: "create_key".to_owned(),
        environment: Some("staging".parse().unwrap()),
        object: ObjectName {
            kind: Kind::KmsKey,
            namespace: Some("staging".parse().unwrap()),
            name: "wrapping".parse().unwrap(),
        },
        reason: Reason::Missing,
        intent: intent.to_owned(),
        asked: None,
        outcome: outcome.map(|word| (word.to_owned(), String::new())),
    }
}

fn text(folder: &Path) -> String {
    fs::read_to_string(folder.join("audit.jsonl")).unwrap()
}

/// A second reading of the rules, by means of its own: number, hash and place of each line.
fn verified(text: &str) -> Vec<serde_json::Value> {
    assert!(text.is_empty() || text.ends_with('\n'), "the last line is whole");
    let mut previous = "0".repeat(64);
    let mut entries = Vec::new();
    for (line, number) in text.lines().zip(1_u64..) {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!((entry["seq"].as_u64(), entry["prevSha256"].as_str()), (Some(number), Some(previous.as_str())));
        previous = hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, line.as_bytes()));
        entries.push(entry);
    }
    entries
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

#[tokio::test]
async fn an_intent_is_on_the_disk_when_it_returns_and_its_outcome_follows() {
    let folder = folder();
    let journal = open(folder.path());
    journal.intend(&entry("a-1", None)).await.unwrap();
    let lines = verified(&text(folder.path()));
    assert_eq!((lines.len(), lines[0]["stage"].as_str(), lines[0].get("outcome")), (1, Some("Intent"), None));
    journal.conclude(&entry("a-1", Some("Done"))).await.unwrap();
    journal.intend(&entry("a-2", None)).await.unwrap();
    drop(journal);
    let lines = verified(&text(folder.path()));
    let told: Vec<_> =
        lines.iter().map(|line| (line["intent"].as_str().unwrap(), line["stage"].as_str().unwrap())).collect();
    assert_eq!(told, [("a-1", "Intent"), ("a-1", "Outcome"), ("a-2", "Intent")]);
    assert_eq!(lines[1]["outcome"]["result"], "Done");
    let mode = fs::metadata(folder.path().join("audit.jsonl")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn the_chain_goes_on_after_a_restart() {
    let folder = folder();
    for round in 0..3 {
        let journal = open(folder.path());
        assert_eq!((journal.start().entries, journal.start().broken), (round * 2, 0));
        journal.intend(&entry("a", None)).await.unwrap();
        journal.conclude(&entry("a", Some("Done"))).await.unwrap();
    }
    assert_eq!(verified(&text(folder.path())).len(), 6);
}

#[tokio::test]
async fn many_who_write_at_once_get_one_whole_chain() {
    let folder = folder();
    let journal = open(folder.path());
    let entries: Vec<_> = (0..500).map(|number| entry(&number.to_string(), None)).collect();
    for answer in join_all(entries.iter().map(|entry| journal.intend(entry))).await {
        answer.unwrap();
    }
    assert_eq!(verified(&text(folder.path())).len(), 500);
}

#[tokio::test]
async fn an_intent_that_nobody_waits_for_any_more_is_written_all_the_same() {
    let folder = folder();
    let journal = open(folder.path());
    let _ = journal.intend(&entry("given-up", None)).now_or_never();
    drop(journal);
    assert_eq!(verified(&text(folder.path())).len(), 1);
}

/// Three entries, whole.
fn sample() -> String {
    let folder = folder();
    let journal = open(folder.path());
    block_on(async {
        for number in 0..3 {
            journal.intend(&entry(&number.to_string(), None)).await.unwrap();
        }
    });
    text(folder.path())
}

/// Opens a journal with that content and writes one more entry. Gives its text and what the start told.
fn opened_with(content: &[u8]) -> (String, Start, Option<Vec<u8>>) {
    let folder = folder();
    fs::write(folder.path().join("audit.jsonl"), content).unwrap();
    let journal = open(folder.path());
    block_on(journal.intend(&entry("next", None))).unwrap();
    let start = journal.start().clone();
    let kept = start.torn.as_ref().map(|torn| fs::read(&torn.kept_in).unwrap());
    (text(folder.path()), start, kept)
}

#[test]
fn a_journal_that_was_torn_anywhere_keeps_every_whole_line_and_records_the_cut() {
    let whole = sample();
    for length in 0..=whole.len() {
        let kept_lines = whole[..length].matches('\n').count();
        let end = whole[..length].rfind('\n').map_or(0, |at| at + 1);
        let (text, start, torn) = opened_with(&whole.as_bytes()[..length]);
        let entries = verified(&text);
        assert!(text.starts_with(&whole[..end]), "length {length}: earlier lines are as they were");
        assert_eq!((start.entries, start.broken), (kept_lines as u64, 0), "length {length}");
        if end == length {
            assert_eq!((entries.len(), torn), (kept_lines + 1, None), "length {length}: nothing was torn");
        } else {
            assert_eq!(torn.unwrap(), &whole.as_bytes()[end..length], "length {length}: what was cut is kept");
            let repair = &entries[kept_lines];
            assert_eq!((repair["verb"].as_str(), entries.len()), (Some("journal.repair"), kept_lines + 2));
            let message = repair["outcome"]["message"].as_str().unwrap();
            assert!(message.contains(&format!("`audit.torn-{}`", kept_lines + 1)), "{message}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn whatever_stands_behind_the_last_entry_is_cut_off_and_kept(tail in proptest::collection::vec(any::<u8>(), 1..200)) {
        let whole = sample();
        let (text, start, torn) = opened_with(&[whole.as_bytes(), &tail].concat());
        prop_assert_eq!(verified(&text).len(), 5);
        prop_assert!(text.starts_with(&whole));
        prop_assert_eq!(start.broken, 0);
        prop_assert_eq!(torn, Some(tail));
    }
}

#[test]
fn a_torn_end_may_be_zeros_lines_of_no_meaning_or_one_endless_line() {
    let whole = sample();
    for tail in [vec![0; 4_096], b"{}\nno json\n[1]\n".to_vec(), vec![b'x'; 3 << 20]] {
        let (text, _, torn) = opened_with(&[whole.as_bytes(), &tail].concat());
        assert_eq!(verified(&text).len(), 5);
        assert_eq!(torn, Some(tail));
    }
}

#[test]
fn a_crash_between_the_cut_and_its_record_leaves_no_cut_unrecorded() {
    let folder = folder();
    let whole = sample();
    fs::write(folder.path().join("audit.jsonl"), &whole).unwrap();
    fs::write(folder.path().join("audit.torn-4"), "{\"seq\":4,").unwrap();
    drop(open(folder.path()));
    let entries = verified(&text(folder.path()));
    assert_eq!((entries.len(), entries[3]["verb"].as_str()), (4, Some("journal.repair")));
    drop(open(folder.path()));
    assert_eq!(verified(&text(folder.path())).len(), 4, "recorded once");
}

#[test]
fn a_broken_chain_is_told_by_line_and_left_as_it_is() {
    let whole = sample();
    let lines: Vec<_> = whole.lines().collect();
    let edited = whole.replacen("create_key", "delete_key", 1);
    let cases = [
        (edited, 2, "does not carry the hash of the line before it"),
        (format!("{}\n{}\n", lines[0], lines[2]), 2, "has seq 3, expected 2"),
        (format!("{}\n{}\n{}\n", lines[1], lines[0], lines[2]), 1, "has seq 2, expected 1"),
        (format!("{}\nnothing\n{}\n{}\n", lines[0], lines[1], lines[2]), 2, "is no entry"),
    ];
    for (content, line, found) in cases {
        let (text, start, torn) = opened_with(content.as_bytes());
        assert!(text.starts_with(&content), "left as it is");
        assert_eq!(start.breaks[0], Break { line, found: found.to_owned() });
        assert_eq!(torn, None);
        let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!(last["seq"].as_u64(), Some(start.entries + 1), "and written on");
    }
}

/// The other half of the next test: runs where SIGXFSZ is ignored, so that a limit acts like a full disk.
#[tokio::test]
async fn daemon_whose_disk_is_full() {
    let Some(folder) = std::env::var_os("CLAVIGER_TEST_FULL") else { return };
    let folder = Path::new(&folder);
    let state = State::open(folder).unwrap();
    assert!(!*state.reserve_spent().borrow());
    let journal = Journal::open(&state, Arc::new(Still)).unwrap();
    journal.intend(&entry("first", None)).await.unwrap();
    let (before, was) = (text(folder), getrlimit(Resource::Fsize));
    // Half of the next line fits.
    setrlimit(Resource::Fsize, Rlimit { current: Some(before.len() as u64 * 3 / 2), ..was }).unwrap();
    let failure = journal.intend(&entry("second", None)).await.unwrap_err();
    assert!(failure.message.starts_with("cannot write the audit journal"), "{}", failure.message);
    assert!(failure.fix[0].starts_with("free space on the volume"), "{:?}", failure.fix);
    journal.conclude(&entry("first", Some("Done"))).await.unwrap();
    assert!(journal.intend(&entry("third", None)).await.is_err());
    assert_eq!(text(folder), before, "no half line stays");
    assert!(*state.reserve_spent().borrow(), "what was kept for this day was given up first");
    setrlimit(Resource::Fsize, was).unwrap();
    journal.intend(&entry("fourth", None)).await.unwrap();
    let told: Vec<_> = verified(&text(folder)).iter().map(|line| line["intent"].as_str().unwrap().to_owned()).collect();
    assert_eq!(told, ["first", "first", "fourth"], "the outcome was kept and stands in order");
}

#[test]
fn a_full_disk_leaves_no_half_line_and_is_over_when_there_is_space() {
    let folder = folder();
    let child = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" --exact journal::tests::daemon_whose_disk_is_full"])
        .arg(std::env::current_exe().unwrap())
        .env("CLAVIGER_TEST_FULL", folder.path())
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    assert_eq!(verified(&text(folder.path())).len(), 3);
}
