//! Two replicas of the operator, each behind a proxy of its own: whoever may have lost the lease does nothing any more.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use claviger_tests::{ApiCall, ApiFault, ApiFaults, ApiRule, Daemon, Process, Site, plain_client, wait_until};

use crate::{
    ground::SOON,
    operator::{looked_at, made, quiet},
    operator_faults::{Stage, about},
};

/// The replica that is to lead, behind a proxy of its own. The one at the stage's site stands by, since the CA knocks there: any replica
/// answers http-01.
async fn replica(stage: &Stage) -> Result<(Site, ApiFaults)> {
    let mut site = stage.cluster.ground.site.replica()?;
    let api = stage.cluster.kubernetes.faults_for("clavigerd", &["system:masters"]).await?;
    site.in_cluster(api.kubeconfig().path());
    Ok((site, api))
}

/// Waits until a daemon has ended, as one that lost its lease does.
async fn deposed(process: &mut Process) -> Result<()> {
    let ended = process.wait(SOON).await?;
    let said = process.stderr();
    ensure!(!ended.success() && said.contains("the lease was lost"), "{ended}: {said}");
    Ok(())
}

/// Who holds the lease, and for which term.
async fn term(stage: &Stage) -> Result<(String, u64)> {
    let lease = stage.cluster.get("lease", "default", "claviger").await?;
    let holder = lease["spec"]["holderIdentity"].as_str().context("somebody holds it")?;
    Ok((holder.to_owned(), lease["spec"]["leaseTransitions"].as_u64().context("a term")?))
}

/// The leader and another that stands by; everything but `web` is in order.
async fn two<'a>(stage: &'a Stage, leader: &'a Site) -> Result<(Daemon<'a>, Daemon<'a>)> {
    stage.cluster.apply(&[]).await?;
    let first = leader.start().await?;
    let works = async || first.log().contains("this replica is at work");
    wait_until(SOON, "the first replica to lead", works).await?;
    quiet(&stage.cluster).await?;
    let second = stage.cluster.ground.start().await?;
    Ok((first, second))
}

/// Writes of a replica about `web` that were done.
fn wrote(api: &ApiFaults) -> usize {
    api.count(|call| call.wrote() && about(call, "web"))
}

/// The sharpest moment: the intent is written, the order is not yet asked for, and the answer to the write comes when another replica
/// has long made the order.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_was_stopped_in_mid_order_and_goes_on_does_nothing_more() -> Result<()> {
    let stage = Stage::new().await?;
    let (site, api) = replica(&stage).await?;
    let (mut first, second) = two(&stage, &site).await?;
    stage.ask("first").await?; // the account is there, so that the first write for `web` is the intent to order
    stage.settled("first").await?;
    quiet(&stage.cluster).await?;
    let before = term(&stage).await?;
    let such = |call: &ApiCall| call.is_write() && about(call, "web");
    api.inject(ApiRule::on(such, ApiFault::Stop(true)).times(1));
    stage.ask("web").await?;
    wait_until(SOON, "the intent", async || api.stands_still()).await?;
    let shown = stage.cluster.get("tlscertificate", "staging", "web").await?;
    ensure!(shown["status"]["pending"]["effect"] == "open_order", "{shown:#}");
    first.process().freeze()?;
    stage.settled("web").await.context("the other replica finishes")?;
    quiet(&stage.cluster).await?;
    let (outside, written, ours) = (made(&stage.cluster), wrote(&stage.api), wrote(&api));
    assert_eq!((outside, ours), ((2, 1, 1), 1));
    let after = term(&stage).await?;
    ensure!(after.0 != before.0 && after.1 > before.1, "{before:?}, {after:?}");

    let answers = api.answers();
    api.heal();
    wait_until(SOON, "the answer to its write to lie in its socket", async || api.answers() > answers).await?;
    first.process().thaw()?;
    deposed(first.process()).await?;
    assert_eq!((made(&stage.cluster), wrote(&api), wrote(&stage.api)), (outside, ours, written));
    ensure!(term(&stage).await? == after, "the lease stays with the other one");
    second.stop().await.map(drop)
}

/// The network of the leader is gone, and nothing is closed.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_cannot_renew_its_lease_ends_before_another_begins() -> Result<()> {
    let stage = Stage::new().await?;
    let (site, api) = replica(&stage).await?;
    let (mut first, second) = two(&stage, &site).await?;
    let before = term(&stage).await?;
    api.stand_still();
    stage.ask("web").await?;
    let mut held = before.clone();
    let ended = async || {
        held = term(&stage).await.unwrap_or_default();
        first.process().ended().is_ok_and(|ended| ended.is_some())
    };
    wait_until(Duration::from_secs(20), "the first replica to end", ended).await?;
    assert_eq!(held, before, "nobody else led while it lived");
    deposed(first.process()).await?;
    api.heal();
    stage.settled("web").await?;
    assert_eq!((made(&stage.cluster), wrote(&api)), ((1, 1, 1), 0));
    ensure!(wrote(&stage.api) > 0 && term(&stage).await?.1 > before.1, "the other replica did it");
    second.stop().await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_is_away_for_long_costs_one_restart_and_no_order() -> Result<()> {
    let mut stage = Stage::new().await?;
    stage.cluster.apply(&[]).await?;
    let mut process = stage.cluster.ground.site.spawn(&[])?;
    let works = async || process.stderr().contains("this replica is at work");
    wait_until(SOON, "the daemon to be at work", works).await?;
    stage.ask("web").await?;
    wait_until(SOON, "the order", async || stage.cluster.ground.orders() > 0).await?;
    stage.cluster.kubernetes.stop()?;
    deposed(&mut process).await?;
    // What a kubelet does; it comes up although the API server is away all the time, and says so.
    let mut process = stage.cluster.ground.site.spawn(&[])?;
    let site = &stage.cluster.ground.site;
    let health = format!("http://127.0.0.1:{}/healthz", site.metrics_port());
    let client = plain_client()?;
    let healthy = async || client.get(&health).send().await.is_ok_and(|answer| answer.status().is_success());
    process.ready(SOON, healthy).await?;
    let stands_by = async || {
        let status = site.ctl(&["status"]);
        status.is_ok_and(|status| String::from_utf8_lossy(&status.stderr).contains("stands by"))
    };
    wait_until(SOON, "the daemon to stand by", stands_by).await?;
    let said = process.stderr();
    ensure!(said.contains("the lease `default/claviger` cannot be had"), "{said}");
    stage.cluster.kubernetes.start_again().await?;
    stage.settled("web").await?;
    wait_until(SOON, "everything to be looked at", async || looked_at(&stage.cluster).await).await?;
    let (orders, keys, accounts) = made(&stage.cluster);
    // One stray order when its URL could not be stored any more.
    ensure!(orders <= 2 && (keys, accounts) == (1, 1), "{orders} orders, {keys} keys, {accounts} accounts");
    ensure!(process.ended()?.is_none(), "it lives");
    Ok(())
}
