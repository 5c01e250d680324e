//! The state folder: held by one daemon, closed to others, and what becomes of it when a process or a disk fails.

use std::{fs, io::Write as _, os::unix::fs::PermissionsExt, process::ExitStatus, time::Duration};

use anyhow::{Context, Result, ensure};
use claviger_tests::{Process, Program, documents, plain_client, tools, wait_until};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::{
    company::{ONCE, audited, company, counted, dies_at, is_settled, settle, settles, stops},
    stage::{SOON, Stage, text},
};

/// Runs a daemon that ends by itself.
async fn ends(stage: &Stage) -> Result<(ExitStatus, String)> {
    let mut process = stage.spawn_with(&[])?;
    let status = process.wait(SOON).await?;
    Ok((status, process.stderr()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_is_refused_soon_and_the_holder_is_named() -> Result<()> {
    let stage = company().await?;
    let mut first = stage.start().await?;
    let mut second = stage.spawn_with(&[])?;
    let status = second.wait(Duration::from_secs(3)).await?; // it tries for half a second
    let said = second.stderr();
    assert_eq!(status.code(), Some(2));
    let holder = format!("process {}", first.process().id());
    assert!(said.contains(&holder) && said.contains("stop that clavigerd first"), "{said}");
    settles(&stage).await?;
    assert_eq!(counted(&stage), ONCE, "the first one works on");
    stops(first).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_daemon_leaves_neither_a_lock_nor_a_socket_in_the_way() -> Result<()> {
    let stage = company().await?;
    for _ in 0..3 {
        let daemon = stage.start().await?;
        daemon.kill()?;
        ensure!(stage.site.socket().exists(), "nobody has cleaned up");
    }
    settle(&stage).await?;
    assert_eq!(counted(&stage), ONCE);
    Ok(())
}

/// Whatever it is at: what has begun comes to its end, and the end is clean.
#[tokio::test(flavor = "multi_thread")]
async fn told_to_end_it_ends_cleanly_at_any_time() -> Result<()> {
    let stage = company().await?;
    for commits in 0..6 {
        let daemon = stage.start().await?;
        let before = stage.site.journal();
        let lines = || fs::read_to_string(&before).unwrap_or_default().lines().count();
        wait_until(SOON, "work to be done", async || lines() >= commits * 2 || is_settled(&stage)).await?;
        stops(daemon).await?;
        ensure!(!stage.site.socket().exists(), "the socket is left behind");
        stage.pass(Duration::from_secs(30))?;
    }
    settle(&stage).await?;
    let open = stage.site.ctl_json(&["audit", "verify", &stage.site.journal().display().to_string()])?;
    assert_eq!(open["unanswered"], serde_json::json!([]), "every effect has its outcome");
    assert_eq!(counted(&stage), ONCE);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_folder_that_others_may_enter_is_refused() -> Result<()> {
    let stage = company().await?;
    let folder = stage.site.path().join("state");
    fs::create_dir(&folder)?;
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o750))?;
    let (status, said) = ends(&stage).await?;
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(said.contains("0750") && said.contains("chmod 700"), "{said}");
    assert_eq!(stage.world.calls().iter().count(), 0, "nobody was asked anything");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
    settle(&stage).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_journal_is_mended_and_what_was_torn_off_is_kept() -> Result<()> {
    let stage = company().await?;
    ensure!(dies_at(&stage, "deliver:1:after", is_settled).await?);
    let torn = br#"{"v":1,"seq":999,"prevSha256":"00"#;
    fs::OpenOptions::new().append(true).open(stage.site.journal())?.write_all(torn)?;
    settle(&stage).await?;
    let lines = audited(&stage)?;
    let repair = lines.iter().find(|line| line["verb"] == "journal.repair").context("the repair is recorded")?;
    let words = repair.to_string();
    assert!(words.contains(&format!("{} bytes", torn.len())), "{words}");
    let kept = fs::read_dir(stage.site.path().join("state"))?
        .filter_map(Result::ok)
        .find(|entry| entry.file_name().to_string_lossy().starts_with("audit.torn-"));
    assert_eq!(fs::read(kept.context("the torn end is kept")?.path())?, torn);
    assert_eq!(counted(&stage), ONCE);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_journal_is_found_out_and_kept_as_evidence() -> Result<()> {
    let stage = company().await?;
    settle(&stage).await?;
    let path = stage.site.journal();
    let lines = fs::read_to_string(&path)?;
    let edited = lines.replacen("create_key", "create_tea", 1);
    fs::write(&path, &edited)?;
    let verified = stage.site.ctl(&["audit", "verify", &path.display().to_string()])?;
    let said = text(&verified);
    assert_eq!(verified.status.code(), Some(1), "{said}");
    assert!(said.contains("one of the two was changed"), "{said}");
    let daemon = stage.start().await?;
    settles(&stage).await?;
    assert!(daemon.log().contains("the chain of the audit journal is broken"), "{}", daemon.log());
    assert!(fs::read_to_string(&path)?.starts_with(&edited));
    stops(daemon).await
}

/// A daemon whose files cannot grow when the limit says so: the signal that goes with it is not for it.
fn spawn_limitable(stage: &Stage) -> Result<Process> {
    let settings = stage.site.write_settings()?;
    let program = Program::new("clavigerd", "/bin/sh")?.arguments(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]);
    let program = program.argument(tools::binary("clavigerd")?).arguments(["run", "--config"]).argument(settings);
    let variables = stage.variables();
    variables.iter().fold(program, |program, (name, value)| program.variable(*name, value)).start()
}

fn limit(process: &Process, bytes: Option<u64>) -> Result<()> {
    let id = Pid::from_raw(process.id().cast_signed()).context("a process id")?;
    prlimit(Some(id), Resource::Fsize, Rlimit { current: bytes, maximum: None })?;
    Ok(())
}

/// Status and text of `/readyz`.
async fn readiness(stage: &Stage) -> Result<(u16, String)> {
    let answer = plain_client()?.get(format!("http://127.0.0.1:{}/readyz", stage.site.metrics_port())).send().await?;
    Ok((answer.status().as_u16(), answer.text().await?))
}

async fn becomes(stage: &Stage, status: u16) -> Result<()> {
    let there = async || readiness(stage).await.is_ok_and(|(found, _)| found == status) || stage.pass(SECOND).is_err();
    wait_until(SOON, &format!("/readyz to answer {status}"), there).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_takes_nothing_turns_readyz_red_and_everything_goes_on_once_it_does() -> Result<()> {
    let stage = company().await?;
    let mut process = spawn_limitable(&stage)?;
    process.ready(SOON, async || readiness(&stage).await.is_ok()).await?;
    settles(&stage).await?;
    assert_eq!(readiness(&stage).await?.0, 200);
    limit(&process, Some(1))?;
    stage.site.document("late.yaml", &documents::key("staging", "late", "data", "365d"))?;
    becomes(&stage, 503).await?;
    let (_, said) = readiness(&stage).await?;
    assert!(said.contains("not ready: ") && said.contains("cannot"), "{said}");
    assert_eq!(stage.world.kms().keys().count(), ONCE.keys, "nothing is done that could not be written down");
    limit(&process, None)?;
    becomes(&stage, 200).await?;
    settles(&stage).await?;
    stage.site.wait_ready("kmskey", "staging", "late").await?;
    assert_eq!(stage.world.kms().keys().count(), ONCE.keys + 1);
    ensure!(process.ended()?.is_none());
    process.terminate()?;
    assert_eq!(process.wait(SOON).await?.code(), Some(0));
    settle(&stage).await?; // what was accepted meanwhile is remembered
    assert_eq!(stage.world.kms().keys().count(), ONCE.keys + 1);
    audited(&stage).map(drop)
}

const SECOND: Duration = Duration::from_secs(1);
