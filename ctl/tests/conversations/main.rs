//! The command line, pinned by conversations: `tests/scripts/*.txt` holds what a person types and what comes back.
//!
//! A line `$ clavigerctl …` is run against a small daemon whose answers are made of the views of `claviger-config`, so that
//! they cannot drift from what the real one says. Below it stands what is written: data as it is, talk behind `2> `, and
//! `=> N` when the exit code is not 0. A line `# world: NAME` chooses what the daemon knows; other lines with `# ` are remarks.
//! `CLAVIGER_ACCEPT=1 cargo test -p clavigerctl` writes down what is said now.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends here")]

mod daemon;
mod script;
mod world;

use std::{
    io::Read,
    process::{Command, Stdio},
};

use crate::{daemon::Daemon, script::Script};

#[test]
fn every_conversation_goes_as_it_is_written() {
    let mut files: Vec<_> = std::fs::read_dir(script::FOLDER).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    assert!(!files.is_empty(), "no conversation in {}", script::FOLDER);
    let accept = std::env::var_os("CLAVIGER_ACCEPT").is_some_and(|value| value == "1");
    let drifts: Vec<String> = files.iter().filter_map(|path| Script::read(path).play(accept)).collect();
    assert!(drifts.is_empty(), "{}\nCLAVIGER_ACCEPT=1 accepts what is said now", drifts.join("\n"));
}

#[test]
fn a_reason_and_a_ticket_reach_the_daemon() {
    let daemon = Daemon::start("troubled");
    let said = daemon.run(&["renew", "certificate/staging/web", "--reason", "key seen in a log", "--ticket", "OPS-7"]);
    assert!(said.status.success());
    assert_eq!(
        daemon.bodies(),
        [
            r#"{"verb":"renew","object":{"kind":"TlsCertificate","namespace":"staging","name":"web"}}"#,
            r#"{"reason":"key seen in a log","ticket":"OPS-7"}"#
        ]
    );
}

#[test]
fn a_dry_run_executes_nothing() {
    let daemon = Daemon::start("troubled");
    assert!(daemon.run(&["renew", "certificate/staging/web", "--dry-run"]).status.success());
    assert!(daemon.asked().iter().all(|asked| !asked.contains("execute")), "{:?}", daemon.asked());
}

#[test]
fn a_host_name_is_asked_for_with_what_was_typed_and_nothing_else() {
    let daemon = Daemon::start("troubled");
    let words = ["hostname", "add", "NEW.customer.example", "--tenant", "customer-gmbh", "--validation", "txt"];
    assert!(daemon.run(&words).status.success());
    assert_eq!(daemon.bodies(), [r#"{"tenant":"customer-gmbh","validation":"txt"}"#]);
    assert!(daemon.asked().contains(&"PUT /v1/environments/production/hostnames/new.customer.example".to_owned()));
}

#[test]
fn a_long_list_is_read_page_by_page() {
    let daemon = Daemon::start("crowded");
    let said = daemon.run(&["hostname", "list", "-o", "name"]);
    let names = String::from_utf8(said.stdout).unwrap();
    assert_eq!(names.lines().count(), world::CROWD);
    assert!(daemon.asked().iter().filter(|asked| asked.contains("after=")).count() > 1);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let daemon = Daemon::start("troubled");
    let mut child =
        daemon.command(&["completion", "bash"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut talk = String::new();
    child.stderr.take().unwrap().read_to_string(&mut talk).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(talk, "");
}

#[test]
fn a_daemon_that_hangs_up_counts_as_not_reached() {
    let daemon = Daemon::start("rude");
    let said = daemon.run(&["status"]);
    assert_eq!(said.status.code(), Some(8));
    assert!(String::from_utf8(said.stderr).unwrap().starts_with("error: the connection broke while `/v1/status`"));
}

#[test]
fn a_full_disk_is_told() {
    let daemon = Daemon::start("troubled");
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let said = daemon.command(&["status"]).stdout(full).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(said.status.code(), Some(1));
    assert!(String::from_utf8(said.stderr).unwrap().starts_with("error: cannot write the answer: No space left"));
}

#[test]
fn what_programs_read_is_what_the_daemon_said() {
    let daemon = Daemon::start("troubled");
    let status = daemon.run(&["status", "-o", "json"]).stdout;
    let status: serde_json::Value = serde_json::from_slice(&status).unwrap();
    assert_eq!(status, serde_json::to_value(world::World::named("troubled").status).unwrap());
}

#[test]
fn a_completion_script_is_understood_by_the_shell() {
    let daemon = Daemon::start("troubled");
    let script = daemon.run(&["completion", "bash"]).stdout;
    let path = daemon.folder().join("completion.bash");
    std::fs::write(&path, script).unwrap();
    let Ok(said) = Command::new("bash").arg("-n").arg(&path).output() else { return };
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
}

#[test]
fn a_journal_can_come_through_a_pipe() {
    let daemon = Daemon::start("nobody");
    let journal = std::fs::File::open(daemon.folder().join("good.jsonl")).unwrap();
    let said = daemon.command(&["audit", "verify", "-", "-o", "name"]).stdin(journal).output().unwrap();
    assert!(said.status.success());
    assert_eq!(said.stdout, daemon.run(&["audit", "verify", "good.jsonl", "-o", "name"]).stdout);
}
