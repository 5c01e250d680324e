//! Cloudflare's limits are respected before they are hit, and a closed gate is closed for everybody.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use claviger_sim::fault::{Fault, RetryAfter, Rule, Service};
use claviger_tests::Daemon;

use crate::{
    customers::{STEP, stage, stage_with},
    stage::{Stage, text},
};

fn names(count: usize) -> impl Iterator<Item = (String, String)> {
    (0..count).map(|number| (format!("customer-{number:02}"), format!("shop.customer-{number:02}.example")))
}

/// All in one file, so that they are wanted at once.
fn want(stage: &Stage, count: usize) -> Result<()> {
    let documents = names(count).map(|(tenant, hostname)| {
        stage.point(&hostname);
        claviger_tests::documents::hostname("production", &tenant, &hostname, &tenant)
    });
    stage.site.document("customers.yaml", &documents.collect::<Vec<_>>().join("---\n"))
}

/// Calls that Cloudflare refused because there were too many.
async fn throttled(daemon: &Daemon<'_>) -> Result<Vec<String>> {
    let metrics = daemon.metrics().await?;
    let refused = |line: &&str| {
        line.starts_with("claviger_cloudflare_requests_total")
            && ["code=\"971\"", "code=\"429\""].iter().any(|code| line.contains(code))
    };
    Ok(metrics.lines().filter(refused).map(str::to_owned).collect())
}

fn calls(stage: &Stage) -> u64 {
    stage.world.calls().all(Service::Cloudflare)
}

#[tokio::test]
async fn forty_names_at_once_wait_their_turn_and_are_told_when_it_comes() -> Result<()> {
    let stage = stage().await?;
    want(&stage, 40)?;
    let daemon = stage.start().await?;
    stage.wait_settled().await?;
    let began = stage.now();
    let made = stage.changes().0;
    ensure!((1..=15).contains(&made), "{made} at once");
    the_last_in_line_is_foretold(&stage).await?;
    let mut a_minute = 0;
    stage
        .pass_until("all names to be created", Duration::from_secs(5), async || {
            if stage.now() - began <= 60_000 {
                a_minute = stage.changes().0;
            }
            stage.changes().0 == 40
        })
        .await?;
    ensure!(a_minute <= 15, "{a_minute} in the first minute");
    let took = (stage.now() - began) / 1_000;
    ensure!((90..400).contains(&took), "40 names at 15 a minute took {took} s");
    for (_, hostname) in names(40) {
        stage.pass_until_reason(&hostname, STEP, "Active").await?;
    }
    assert_eq!(throttled(&daemon).await?, Vec::<String>::new(), "not one call was refused");
    assert_eq!(stage.changes(), (40, 0, 0));
    Ok(())
}

/// Not "soon", but when: in the list, in `explain` and as a metric.
async fn the_last_in_line_is_foretold(stage: &Stage) -> Result<()> {
    let list = stage.ask("GET", "hostnames", None).await?.1;
    let rows = list["items"].as_array().context("a list")?;
    let waiting: Vec<_> = rows.iter().filter(|row| row["reason"] == "BudgetSpent").collect();
    ensure!(waiting.len() >= 25 && waiting.iter().all(|row| row["turn"] == "Claviger"), "{list:#}");
    let last = waiting.iter().max_by_key(|row| row["nextCheck"].to_string()).context("somebody waits")?;
    let at: jiff::Timestamp = last["nextCheck"].as_str().context("it has a forecast")?.parse()?;
    let away = (at.as_millisecond() - stage.now()) / 1_000;
    ensure!((90..400).contains(&away), "the last of {} is foretold in {away} s", waiting.len());
    let name = last["object"]["name"].as_str().context("a name")?;
    let explained = text(&stage.site.ctl(&["explain", &format!("hostname/{name}")])?);
    ensure!(explained.contains("BudgetSpent") && explained.contains("before it in line"), "{explained}");
    // Waiting in line is the plan: it asks for nobody's attention.
    assert_eq!(stage.status()?["attention"], serde_json::json!([]));
    Ok(())
}

#[tokio::test]
async fn the_rate_of_issuance_is_the_environments_own() -> Result<()> {
    let stage = stage_with(", issuancePerMinute: 60").await?;
    stage.world.cloudflare().steering.issuance = None; // raised by the account team
    want(&stage, 40)?;
    let daemon = stage.start().await?;
    let began = stage.now();
    stage.pass_until("all names to be created", Duration::from_secs(5), async || stage.changes().0 == 40).await?;
    let took = (stage.now() - began) / 1_000;
    ensure!(took < 90, "40 names at 60 a minute took {took} s");
    assert_eq!(throttled(&daemon).await?, Vec::<String>::new());
    Ok(())
}

/// `Ratelimit: r=0` is as good as a refusal, and comes before it.
#[tokio::test]
async fn the_last_call_that_is_left_is_the_last_one() -> Result<()> {
    let stage = stage().await?;
    stage.world.cloudflare().steering.requests = Some((6, 300_000));
    want(&stage, 5)?;
    let daemon = stage.start().await?;
    stage.pass_until("the limit to be reached", Duration::from_secs(1), async || calls(&stage) >= 6).await?;
    stage.wait_settled().await?;
    stage.pass(Duration::from_secs(100))?;
    stage.wait_settled().await?;
    ensure!(calls(&stage) <= 6, "{} calls in a window of 6", calls(&stage));
    assert_eq!(throttled(&daemon).await?, Vec::<String>::new(), "not one call was refused");
    stage.world.cloudflare().steering.requests = Some((1_200, 300_000));
    for (_, hostname) in names(5) {
        stage.pass_until_reason(&hostname, STEP, "Active").await?;
    }
    Ok(())
}

/// One name meets the limit; all of them stop until Cloudflare's own instant, by either notation.
#[tokio::test]
async fn a_429_closes_the_gate_for_everybody() -> Result<()> {
    for after in [RetryAfter::Seconds(240), RetryAfter::Date(240)] {
        let stage = stage().await?;
        stage.world.faults().add(Rule::once(Service::Cloudflare, "*", Fault::Throttle(after)));
        want(&stage, 5)?;
        let daemon = stage.start().await?;
        stage.wait_settled().await?;
        let asked = calls(&stage);
        stage.pass(Duration::from_secs(200))?;
        stage.wait_settled().await?;
        let looked = stage.wait_reason("shop.customer-00.example", "BudgetSpent").await?;
        ensure!(looked["nextCheck"].is_string() && looked["turn"] == "Claviger", "{looked:#}");
        ensure!(calls(&stage) == asked && asked <= 5, "{asked} calls before, {} behind the closed gate", calls(&stage));
        assert_eq!(throttled(&daemon).await?.len(), 1, "one refusal is enough");
        for (_, hostname) in names(5) {
            stage.pass_until_reason(&hostname, STEP, "Active").await?;
        }
    }
    Ok(())
}
