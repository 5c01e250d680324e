//! The process is killed, as hard as anybody could, before and after each thing that it stores, asks or does; it starts again and
//! goes on: the same key, the same order, nothing twice.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use claviger_sim::model::acme::Advice;
use claviger_tests::wait_until;
use serde_json::{Value, json};

use crate::{
    company::{
        ONCE, audited, company, counted, dies_at, failed, is_settled, record, remains, serves, settle, settles, stops,
    },
    stage::{SOON, Stage},
};

/// From nothing to everything, with a death at that point on the way. Whether it was reached.
async fn onboards(point: &str) -> Result<bool> {
    let stage = company().await?;
    let died = dies_at(&stage, point, is_settled).await?;
    let left = remains(&stage, 0)?;
    let daemon = stage.start().await?;
    settles(&stage).await?;
    let key = serves(&stage)?;
    ensure!(left.key.as_ref().is_none_or(|left| *left == key), "{key} is not the key that was stored: {left:?}");
    daemon.stop().await?;
    let mut found = counted(&stage);
    ensure!(found.orders == ONCE.orders + left.lost + failed(&stage, 0), "{found:?}, {left:?}");
    found.orders = ONCE.orders;
    ensure!(found == ONCE, "{found:?}");
    ensure!(stage.site.path().join("reloads").exists(), "the hook has not run");
    audited(&stage)?;
    Ok(died)
}

async fn dies_onboarding(point: &str) -> Result<bool> {
    onboards(point).await.with_context(|| point.to_owned())
}

/// Every commit, until a life ends without having reached the point.
async fn killed_at_each_commit(side: &str) -> Result<()> {
    let mut number = 1;
    while dies_onboarding(&format!("commit:{number}:{side}")).await? {
        number += 1;
    }
    ensure!(number > 12, "only {number} steps were stored");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_it_stores_a_step_it_does_nothing_twice() -> Result<()> {
    killed_at_each_commit("before").await
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_each_stored_step_it_does_nothing_twice() -> Result<()> {
    killed_at_each_commit("after").await
}

/// What is done and asked on the way; twice where both environments do it.
const WORDS: [&str; 25] = [
    "find_key:1",
    "find_key:2",
    "create_key:1",
    "create_key:2",
    "read_key:1",
    "create_alias:1",
    "create_alias:2",
    "set_rotation:1",
    "set_rotation:2",
    "find_account_key:1",
    "seal_new_key:1",
    "seal_new_key:2",
    "keep_account_key:1",
    "register_account:1",
    "read_outlet:1",
    "open_order:1",
    "answer_challenges:1",
    "read_order:1",
    "finalize:1",
    "download_certificate:1",
    "deliver:1",
    "reload:1",
    "read_renewal_window:1",
    "read_hostname:1",
    "create_hostname:1",
];

async fn killed_around_everything(side: &str) -> Result<()> {
    for word in WORDS {
        ensure!(dies_onboarding(&format!("{word}:{side}")).await?, "{word} was never reached");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_every_effect_and_question_it_does_nothing_twice() -> Result<()> {
    killed_around_everything("before").await
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_every_effect_and_question_it_does_nothing_twice() -> Result<()> {
    killed_around_everything("after").await
}

/// One company, lives of one to six stored steps: no life may undo what another one has done.
#[tokio::test(flavor = "multi_thread")]
async fn many_short_lives_come_to_their_end() -> Result<()> {
    let stage = company().await?;
    stage.world.acme().steering.reuse_orders = true;
    let mut deaths = 0;
    while dies_at(&stage, &format!("commit:{}:after", 1 + deaths % 6), is_settled).await? {
        deaths += 1;
        ensure!(deaths < 80, "it does not get on");
        stage.pass(Duration::from_mins(1))?;
    }
    ensure!(deaths > 3, "only {deaths} deaths");
    let mut found = counted(&stage);
    found.orders -= failed(&stage, 0);
    ensure!(found == ONCE, "{found:?}");
    audited(&stage).map(drop)
}

/// Killed while it asks whether an unanswered effect happened, and killed again.
#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_asks_what_became_of_an_effect_it_asks_again() -> Result<()> {
    for word in ["create_key", "open_order", "create_hostname"] {
        let stage = company().await?;
        stage.world.acme().steering.reuse_orders = true;
        ensure!(dies_at(&stage, &format!("{word}:1:after"), is_settled).await?, "{word}");
        for side in ["before", "after"] {
            ensure!(dies_at(&stage, &format!("recall:1:{side}"), is_settled).await?, "{word} {side}");
        }
        settle(&stage).await.context(word)?;
        assert_eq!(counted(&stage), ONCE, "{word}");
        audited(&stage)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_that_hands_back_its_pending_order_sees_no_stray_one() -> Result<()> {
    for point in ["open_order:1:before", "open_order:1:after"] {
        let stage = company().await?;
        stage.world.acme().steering.reuse_orders = true;
        ensure!(dies_at(&stage, point, is_settled).await?, "{point}");
        settle(&stage).await?;
        assert_eq!(counted(&stage), ONCE, "{point}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_answer_was_lost_costs_one_stray_order_and_no_more() -> Result<()> {
    for (point, stray) in [("open_order:1:before", 0), ("open_order:1:after", 1)] {
        let stage = company().await?;
        ensure!(dies_at(&stage, point, is_settled).await?, "{point}");
        settle(&stage).await?;
        assert_eq!(counted(&stage).orders, ONCE.orders + stray, "{point}");
    }
    Ok(())
}

/// What the CA says next of the certificate in service: renew now. Time passes, since one that has just come is not renewed.
fn renew_now(stage: &Stage) -> Result<String> {
    stage.pass(Duration::from_hours(48))?;
    let record = record(stage, "TlsCertificate", "web")?;
    let serial = record["memory"]["issued"]["chain"]["serial"].as_str().context("a certificate")?.to_owned();
    let (start, end) = (stage.now() - 7_200_000, stage.now() - 3_600_000);
    let window = Advice::Window { start, end, explanation: None, retry_after: None };
    let info = &mut stage.world.acme().steering.renewal_info;
    info.clear();
    info.insert(serial.clone(), window);
    Ok(serial)
}

/// A renewal with a death at that point on the way: one order, the old pair or the new one is served all the time.
async fn renews(stage: &Stage, point: &str) -> Result<bool> {
    let (before, old) = (counted(stage), renew_now(stage)?);
    let (since, was) = (stage.now(), serves(stage)?);
    let renewed = |stage: &Stage| {
        let web = stage.site.resource("certificate", "staging", "web");
        is_settled(stage) && web["status"]["certificate"]["serial"].as_str().is_some_and(|serial| serial != old)
    };
    let died = dies_at(stage, point, renewed).await?;
    let left = remains(stage, since)?;
    serves(stage)?;
    let daemon = stage.start().await?;
    wait_until(SOON, "the renewal", async || renewed(stage) || !passes(stage)).await?;
    let key = serves(stage)?;
    daemon.stop().await?;
    ensure!(key != was, "the new certificate has a new key");
    ensure!(left.key.is_none_or(|left| left == was || left == key), "a stored key was thrown away");
    let after = counted(stage);
    let stray = left.lost + failed(stage, since);
    ensure!(after.orders == before.orders + 1 + stray, "{before:?}, {after:?}, {stray} strays");
    ensure!(after.certificates == before.certificates + 1, "{before:?}, {after:?}");
    ensure!((after.keys, after.accounts, after.hostnames) == (before.keys, before.accounts, before.hostnames));
    Ok(died)
}

fn passes(stage: &Stage) -> bool {
    stage.pass(Duration::from_secs(5)).is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_each_stored_step_of_a_renewal_it_renews_once() -> Result<()> {
    let stage = company().await?;
    settle(&stage).await?;
    for side in ["before", "after"] {
        let mut number = 1;
        while renews(&stage, &format!("commit:{number}:{side}")).await.with_context(|| format!("{number} {side}"))? {
            number += 1;
        }
        ensure!(number > 3, "only {number} steps were stored");
    }
    audited(&stage).map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_around_every_effect_of_a_renewal_it_renews_once() -> Result<()> {
    let stage = company().await?;
    settle(&stage).await?;
    let words =
        ["seal_new_key", "open_order", "answer_challenges", "finalize", "download_certificate", "deliver", "reload"];
    for word in words {
        for side in ["before", "after"] {
            let point = format!("{word}:1:{side}");
            ensure!(renews(&stage, &point).await.with_context(|| point.clone())?, "{point} was never reached");
        }
    }
    audited(&stage).map(drop)
}

/// What is stored of each object, how often it was stored, and what is said of it.
fn told(stage: &Stage) -> Result<Vec<Value>> {
    let kinds = ["environments", "kmskeys", "certificates", "hostnames"];
    let told = kinds.map(|kind| stage.site.ctl_json(&["get", kind]));
    let items = told.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flat_map(|list| {
        let items = list["items"].as_array().cloned().unwrap_or_default();
        items.into_iter().map(|item| json!([item["kind"], item["metadata"], item["status"]["conditions"]]))
    });
    Ok(items.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_is_no_news() -> Result<()> {
    let stage = company().await?;
    settle(&stage).await?;
    let daemon = stage.start().await?;
    settles(&stage).await?;
    let before = told(&stage)?;
    stops(daemon).await?;
    // It would die of storing anything.
    let daemon = stage.start_with(&[("CLAVIGER_CRASH", "commit:1:before")]).await?;
    wait_until(SOON, "everything to be looked at", async || is_settled(&stage)).await?;
    assert_eq!(told(&stage)?, before);
    assert_eq!(counted(&stage), ONCE);
    stops(daemon).await
}
