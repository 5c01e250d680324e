//! The log: a line for every decision with its reason, for people or for machines; and a log that cannot be written stops nobody.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use claviger_tests::{Process, Program, documents, tools, wait_until};
use serde_json::Value;

use crate::{
    sight::value,
    stage::{SOON, Stage},
};

async fn stage_with(settings: &str) -> Result<Stage> {
    let mut stage = Stage::new().await?;
    stage.site.setting(settings);
    stage.site.document("staging.yaml", &stage.staging().with_wrapping_key())?;
    stage.site.document("web.yaml", &documents::certificate("staging", "web", &["www.staging.example.com"], ""))?;
    Ok(stage)
}

#[tokio::test]
async fn every_decision_is_a_line_with_its_reason() -> Result<()> {
    let stage = stage_with("").await?;
    let daemon = stage.start().await?;
    stage.site.wait_ready("certificate", "staging", "web").await?;
    stage.site.document("refused.yaml", &documents::certificate("staging", "refused", &["www.example.org"], ""))?;
    stage.site.wait_attention("certificate", "staging", "refused", "NameOutsideZones").await?;
    let log = daemon.log();
    for (object, step, reason) in [
        ("KmsKey/staging/wrapping", "does create_key", "Missing"),
        ("Environment/staging", "does register_account", "AccountPending"),
        ("TlsCertificate/staging/web", "does open_order", "Missing"),
        ("TlsCertificate/staging/web", "does deliver", "Missing"),
        ("TlsCertificate/staging/web", "rests", "Issued"),
        ("TlsCertificate/staging/refused", "rests: `www.example.org` lies outside", "NameOutsideZones"),
    ] {
        let words = [object, step, &format!("reason=\"{reason}\""), "environment=\"staging\"", "turn=\""];
        ensure!(
            log.lines().any(|line| words.iter().all(|word| line.contains(word))),
            "{words:?} are in no line of:\n{log}"
        );
    }
    let lines = log.lines().count();
    // Nothing is new, so nothing is said, however much time passes.
    stage.pass(std::time::Duration::from_secs(6 * 3_600))?;
    stage.wait_settled().await?;
    let said: Vec<_> = daemon.log().lines().skip(lines).map(str::to_owned).collect();
    ensure!(said.len() <= 2, "{said:#?}");
    Ok(())
}

#[tokio::test]
async fn for_machines_every_line_is_json_with_the_names_of_ecs() -> Result<()> {
    let stage = stage_with("log: { format: json }").await?;
    let daemon = stage.start().await?;
    stage.site.wait_ready("certificate", "staging", "web").await?;
    stage.site.document("bad.yaml", "kind: Nothing\n")?;
    stage.wait_rejected("CLV-0133").await?;
    daemon.stop().await?;
    let daemon = stage.start().await?;
    stage.wait_settled().await?;
    let mut reasons = BTreeSet::new();
    let log = daemon.log();
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        for field in
            ["@timestamp", "log.level", "message", "log.logger", "service.name", "service.version", "ecs.version"]
        {
            ensure!(line[field].is_string(), "`{field}` is missing in {line:#}");
        }
        let at: jiff::Timestamp = line["@timestamp"].as_str().unwrap_or_default().parse()?;
        ensure!(at.as_second() > 1_700_000_000 && line["service.name"] == "clavigerd", "{line:#}");
        ensure!(["info", "warn", "error"].iter().any(|level| line["log.level"] == *level), "{line:#}");
        if line["object"].is_string() {
            ensure!(
                line["reason"].is_string() && line["environment"].is_string() && line["turn"].is_string(),
                "{line:#}"
            );
        }
        reasons.extend(line["reason"].as_str().map(str::to_owned));
    }
    ensure!(reasons.contains("DocumentRejected"), "a start tells what is rejected: {reasons:?}");
    Ok(())
}

/// Starts the daemon with its standard error led elsewhere by a shell, which the daemon takes the place of.
fn start_with(stage: &Stage, redirection: &str) -> Result<Process> {
    let (daemon, settings) = (tools::binary("clavigerd")?, stage.site.write_settings()?);
    let script = format!("exec \"$0\" run --config \"$1\" {redirection}");
    let program = Program::new("clavigerd", "/bin/sh")?.arguments(["-c", &script]).argument(daemon).argument(settings);
    program.variable("AWS_EC2_METADATA_DISABLED", "true").variable("CLAVIGER_LOG", "debug").start()
}

async fn works_all_the_same(stage: &Stage) -> Result<String> {
    stage.site.wait_ready("certificate", "staging", "web").await?;
    let url = format!("http://127.0.0.1:{}/metrics", stage.site.metrics_port());
    Ok(claviger_tests::plain_client()?.get(url).send().await?.text().await?)
}

#[tokio::test]
async fn a_log_on_a_full_disk_is_counted_and_stops_nobody() -> Result<()> {
    let stage = stage_with("").await?;
    let mut process = start_with(&stage, "2>/dev/full")?;
    let metrics = works_all_the_same(&stage).await?;
    ensure!(value(&metrics, "claviger_log_lines_lost_total", &[]) > Some(10.0), "{metrics}");
    ensure!(process.ended()?.is_none(), "it goes on");
    Ok(())
}

#[tokio::test]
async fn a_closed_log_stops_nobody() -> Result<()> {
    let stage = stage_with("").await?;
    let mut process = start_with(&stage, "2>&-")?;
    works_all_the_same(&stage).await?;
    ensure!(process.ended()?.is_none(), "it goes on");
    process.terminate()?;
    ensure!(process.wait(SOON).await?.success(), "and ends as it should");
    Ok(())
}

/// A pipe whose reader has stopped reading fills up, and stays full.
#[tokio::test]
async fn a_log_that_nobody_reads_holds_nobody_up() -> Result<()> {
    let stage = stage_with("").await?;
    let pipe = stage.site.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status()?;
    ensure!(made.success(), "mkfifo");
    // Open for reading and writing, so that neither side waits for the other, and nobody ever reads.
    let mut process = start_with(&stage, &format!("2<>'{}'", pipe.display()))?;
    let mut names = Vec::new();
    for number in 0..40 {
        let (name, host) = (format!("web-{number}"), format!("www-{number}.staging.example.com"));
        names.push(documents::certificate("staging", &name, &[&host], ""));
    }
    stage.site.document("many.yaml", &names.join("---\n"))?;
    works_all_the_same(&stage).await?;
    let all = async || {
        let metrics = works_all_the_same(&stage).await.unwrap_or_default();
        value(&metrics, "claviger_certificates", &["Ready"]) == Some(41.0)
    };
    wait_until(SOON, "41 certificates", all).await?;
    process.terminate()?;
    ensure!(process.wait(SOON).await?.success(), "it ends although nobody reads its last words");
    Ok(())
}
