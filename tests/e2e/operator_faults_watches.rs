//! What the operator sees comes late, together, twice, not at all, or is long past: it ends where it ends without faults.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use claviger_tests::{Daemon, Watches, wait_until};
use serde_json::Value;

use crate::{
    ground::SOON,
    operator::{made, quiet},
    operator_faults::{Stage, about, host},
};

/// How long a watch lasts here, in seconds; otherwise the API server ends one after four minutes.
const BRIEF: (&str, &str) = ("CLAVIGER_WATCH", "3");

/// A document comes, changes, loses its Secret, and is made anew under the same name: what a user has in the end.
async fn life(stage: &Stage, name: &str) -> Result<Value> {
    let kubernetes = &stage.cluster.kubernetes;
    stage.ask(name).await?;
    stage.settled(name).await?;
    let before = stage.cluster.secret(&format!("{name}-tls")).await?;
    let more = host(name).replace("dnsNames: [", &format!("dnsNames: [more-{name}.staging.example.com, "));
    ensure!(more.contains(&format!("more-{name}")), "{more}");
    kubernetes.apply(&more).await?;
    let changed = async || {
        let now = stage.cluster.secret(&format!("{name}-tls")).await;
        now.is_ok_and(|now| now["tls.crt"] != before["tls.crt"])
    };
    wait_until(SOON, &format!("{name} with more names"), changed).await?;
    let pair = stage.cluster.secret(&format!("{name}-tls")).await?;
    stage.settled(name).await?;
    kubernetes.kubectl(&["delete", "secret", &format!("{name}-tls"), "--namespace=staging"], "").await?;
    let back = async || stage.cluster.secret(&format!("{name}-tls")).await.is_ok_and(|now| now == pair);
    wait_until(SOON, &format!("the secret of {name} to come back"), back).await?;
    kubernetes.kubectl(&["delete", "tlscertificate", name, "--namespace=staging"], "").await?;
    kubernetes.apply(&more).await?;
    let end = stage.settled(name).await?;
    ensure!(stage.cluster.secret(&format!("{name}-tls")).await? == pair, "{name}: made anew, it has its pair again");
    Ok(end)
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_are_missed_merged_late_or_long_past_change_nothing_in_the_end() -> Result<()> {
    let stage = Stage::new().await?;
    stage.cluster.apply(&[]).await?;
    let daemon = stage.cluster.ground.site.start_with(&[BRIEF]).await?;
    let first = life(&stage, "reference").await?;
    let outside = made(&stage.cluster);
    let writes = stage.writes("reference");
    println!("without faults: {writes:?}, {outside:?}");
    let weathers = [
        ("dropped", Watches::Drop(Duration::from_millis(500))),
        ("merged", Watches::Merge(Duration::from_millis(700))),
        ("expired", Watches::Expired),
        ("replayed", Watches::Replay),
        ("silent", Watches::Pass),
    ];
    for (number, (name, weather)) in weathers.into_iter().enumerate() {
        stage.api.watches(weather);
        if name == "silent" {
            stage.api.silence();
            wait_until(SOON, "the silence", async || stage.api.silent() > 3).await?;
        }
        let end = life(&stage, name).await.with_context(|| name.to_owned())?;
        stage.api.heal();
        ensure!(end == first, "{name} ends in {end:#}, and without faults in {first:#}");
        let now = made(&stage.cluster);
        ensure!(now == (outside.0 * (number + 2), outside.1, outside.2), "{name}: {now:?}, once {outside:?}");
        let found = stage.writes(name);
        println!("{name}: {found:?}");
        let bounded = |(deed, count): (&String, &usize)| *count <= writes.get(deed).unwrap_or(&0) + 2;
        ensure!(found.iter().all(bounded), "{name}: {found:?}, and without faults {writes:?}");
    }
    behind(&stage).await?;
    daemon.stop().await.map(drop)
}

/// The watches hang for the whole of an issuance: the daemon knows its own writes, and finds nothing to do twice when they come.
async fn behind(stage: &Stage) -> Result<()> {
    let before = made(&stage.cluster);
    stage.ask("behind").await?;
    let begun = async || stage.api.count(|call| call.wrote() && about(call, "behind")) > 0;
    wait_until(SOON, "the first write", begun).await?;
    stage.api.watches(Watches::Hold);
    stage.settled("behind").await?;
    let written = stage.writes("behind");
    stage.api.heal();
    quiet(&stage.cluster).await?;
    assert_eq!(stage.writes("behind"), written);
    assert_eq!(made(&stage.cluster), (before.0 + 1, before.1, before.2));
    Ok(())
}

/// Starts a daemon that is shown an old list of everything, and none of what came after it.
async fn in_the_past(stage: &Stage) -> Result<Daemon<'_>> {
    stage.api.keep_lists();
    stage.api.watches(Watches::Hold);
    let delete = ["delete", "lease", "claviger", "--namespace=default"];
    stage.cluster.kubernetes.kubectl(&delete, "").await?;
    stage.cluster.ground.start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_starts_in_the_past_deletes_nothing_and_orders_nothing() -> Result<()> {
    let stage = Stage::new().await?;
    let (daemon, reference) = stage.start().await?;
    daemon.kill()?;
    let daemon = stage.next_life().await?; // its lists show `second` with one name
    let renamed = host("second").replace("dnsNames: [", "dnsNames: [more.staging.example.com, ");
    let before = stage.cluster.secret("second-tls").await?;
    stage.cluster.kubernetes.apply(&renamed).await?;
    let changed =
        async || stage.cluster.secret("second-tls").await.is_ok_and(|now| now["tls.crt"] != before["tls.crt"]);
    wait_until(SOON, "the new certificate", changed).await?;
    stage.settled("second").await?;
    stage.ask("third").await?;
    stage.settled("third").await?;
    let (outside, mut pairs) = (made(&stage.cluster), Vec::new());
    for name in ["reference", "second", "third"] {
        pairs.push(stage.cluster.secret(&format!("{name}-tls")).await?);
    }
    daemon.kill()?;

    let daemon = in_the_past(&stage).await?;
    let works = async || daemon.log().contains("this replica is at work");
    wait_until(SOON, "the daemon to be at work", works).await?;
    let complete =
        async || stage.cluster.ground.site.ctl_json(&["status"]).is_ok_and(|status| status["complete"] == true);
    wait_until(SOON, "everything to be looked at", complete).await?;
    quiet(&stage.cluster).await?;
    let same = async || -> Result<()> {
        for (name, pair) in ["reference", "second", "third"].iter().zip(&pairs) {
            ensure!(stage.cluster.secret(&format!("{name}-tls")).await? == *pair, "{name} has another pair");
        }
        assert_eq!(made(&stage.cluster), outside);
        Ok(())
    };
    same().await.context("in the past")?;
    stage.api.heal();
    for name in ["second", "third"] {
        let end = stage.settled(name).await?;
        ensure!(end == reference.end, "{name} ends in {end:#}");
    }
    quiet(&stage.cluster).await?;
    same().await.context("back in the present")?;
    daemon.stop().await.map(drop)
}
