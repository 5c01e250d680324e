//! `clavigerd dev`: killed it goes on where it was, ended it leaves nothing behind.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use claviger_tests::{Process, Program, Scratch, tools, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How long a demonstration may take for anything.
const LONG: Duration = Duration::from_secs(90);
/// An hour a second.
const SPEED: &str = "1h/s";

fn dev(arguments: &[&str]) -> Result<Process> {
    let program = Program::new("clavigerd", tools::binary("clavigerd")?)?.argument("dev");
    program.arguments(["--speed", SPEED]).arguments(arguments.iter().copied()).start()
}

fn ctl(folder: &Path, arguments: &[&str]) -> Result<Value> {
    let mut command = std::process::Command::new(tools::binary("clavigerctl")?);
    let output =
        command.arg("--socket").arg(folder.join("admin.sock")).args(arguments).args(["-o", "json"]).output()?;
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// How many certificates are ready, of four.
fn ready(folder: &Path) -> usize {
    let list = ctl(folder, &["get", "certificates"]).unwrap_or_default();
    let items = list["items"].as_array().cloned().unwrap_or_default();
    let ready = |item: &&Value| claviger_tests::condition_of(item, "Ready").is_some_and(|it| it["status"] == "True");
    items.iter().filter(ready).count()
}

async fn certificates(process: &mut Process, folder: &Path, count: usize) -> Result<()> {
    process.ready(LONG, async || ready(folder) >= count).await
}

/// What the simulators remember: certificates by names, accounts and keys.
fn kept(folder: &Path) -> Result<(BTreeMap<String, u64>, u64, usize)> {
    let read =
        |name: &str| -> Result<Value> { Ok(serde_json::from_slice(&fs::read(folder.join("simulators").join(name))?)?) };
    let (acme, kms) = (read("acme.json")?, read("kms.json")?);
    let by_names = serde_json::from_value(acme["counts"]["by_names"].clone())?;
    let accounts = acme["counts"]["accounts"].as_u64().context("accounts")?;
    Ok((by_names, accounts, kms["keys"].as_object().context("keys")?.len()))
}

fn served(folder: &Path) -> Result<Vec<Vec<u8>>> {
    let names = ["staging-web", "staging-api", "staging-legacy", "test-ci"];
    names.into_iter().map(|name| Ok(fs::read(folder.join("certificates").join(name).join("tls.crt"))?)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_demonstration_goes_on_where_it_was() -> Result<()> {
    let scratch = Scratch::new("demonstration")?;
    let folder = scratch.path().join("demo");
    let directory = folder.display().to_string();
    for count in [1, 2, 3] {
        let mut process = dev(&["--directory", &directory])?;
        certificates(&mut process, &folder, count).await?;
        process.kill()?;
    }
    let mut process = dev(&["--directory", &directory])?;
    certificates(&mut process, &folder, 4).await?;
    let before = served(&folder)?;
    process.kill()?;
    let (by_names, accounts, keys) = kept(&folder)?;
    assert_eq!((by_names.len(), accounts, keys), (4, 2, 5), "{by_names:?}");
    ensure!(by_names.values().all(|count| *count == 1), "{by_names:?}");
    let mut process = dev(&["--directory", &directory])?;
    certificates(&mut process, &folder, 4).await?;
    assert_eq!(served(&folder)?, before, "the same certificates");
    wait_until(LONG, "the closing words", async || process.stdout().contains("It runs.")).await?;
    assert!(process.stdout().contains("The demonstration goes on"), "{}", process.stdout());
    process.terminate()?;
    assert_eq!(process.wait(LONG).await?.code(), Some(0));
    assert_eq!(kept(&folder)?, (by_names, accounts, keys), "nothing was made twice");
    let verified = std::process::Command::new(tools::binary("clavigerctl")?)
        .args(["audit", "verify"])
        .arg(folder.join("state/audit.jsonl"))
        .output()?;
    assert!(verified.status.success(), "{}", crate::stage::text(&verified));
    Ok(())
}

/// The folders that demonstrations without a folder of their own have made.
fn temporary(process: &Process) -> Result<Vec<std::path::PathBuf>> {
    let entries = fs::read_dir(process.folder())?.collect::<Result<Vec<_>, _>>()?;
    let paths = entries.into_iter().map(|entry| entry.path());
    Ok(paths.filter(|path| path.to_string_lossy().contains("claviger-dev-")).collect())
}

fn interrupt(process: &Process) -> Result<()> {
    let id = Pid::from_raw(process.id().cast_signed()).context("a process id")?;
    Ok(kill_process(id, Signal::INT)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_temporary_demonstration_that_is_ended_removes_its_folder() -> Result<()> {
    for runs in [false, true] {
        let mut process = dev(&[])?;
        let there = async || {
            let folders = temporary(&process).unwrap_or_default();
            folders.first().is_some_and(|folder| !runs || ready(folder) > 0)
        };
        wait_until(LONG, "its folder", there).await?;
        interrupt(&process)?;
        assert_eq!(process.wait(LONG).await?.code(), Some(0));
        assert_eq!(temporary(&process)?, Vec::<std::path::PathBuf>::new());
        assert!(process.stdout().contains("everything is removed"), "{}", process.stdout());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_demonstration_in_the_same_folder_is_refused() -> Result<()> {
    let scratch = Scratch::new("demonstration")?;
    let directory = scratch.path().display().to_string();
    let mut first = dev(&["--directory", &directory])?;
    certificates(&mut first, scratch.path(), 1).await?;
    let mut second = dev(&["--directory", &directory])?;
    assert_eq!(second.wait(LONG).await?.code(), Some(1));
    assert!(second.stderr().contains("does another `clavigerd dev` run"), "{}", second.stderr());
    ensure!(first.ended()?.is_none(), "the first one runs on");
    Ok(())
}
