//! The operator's writes are refused, cut and answered with half a word: it ends where it ends without faults.

use std::time::Duration;

use anyhow::{Result, ensure};
use claviger_tests::{ApiCall, ApiFault, ApiRule, wait_until};

use crate::{
    ground::SOON,
    operator::made,
    operator_faults::{Reference, Stage, about},
};

/// What may become of a write.
const FAULTS: [(&str, ApiFault); 7] = [
    ("cut-before", ApiFault::CutBefore),
    ("cut-after", ApiFault::CutAfter),
    ("half", ApiFault::Half),
    ("conflict", ApiFault::CONFLICT),
    ("busy", ApiFault::too_many(2)),
    ("broken", ApiFault::Status(500, "InternalError", None)),
    ("away", ApiFault::Status(503, "ServiceUnavailable", None)),
];

/// A Secret that could not be written is told of in the status; one whose answer was lost is written again.
const MORE: usize = 1;

#[tokio::test(flavor = "multi_thread")]
async fn writes_that_are_refused_or_lost_cost_no_second_order() -> Result<()> {
    let stage = Stage::new().await?;
    let (daemon, reference) = stage.start().await?;
    let (orders, keys, accounts) = made(&stage.cluster);
    let all: usize = reference.writes.values().sum();
    let mut names = Vec::new();
    for (word, fault) in &FAULTS {
        for number in 0..all {
            let name = format!("{word}-{number}");
            let about_it = name.clone();
            let such = move |call: &ApiCall| call.is_write() && about(call, &about_it);
            stage.api.inject(ApiRule::on(such, fault.clone()).after(number).times(1));
            names.push(name);
        }
    }
    for name in &names {
        stage.ask(name).await?;
    }
    for name in &names {
        stage.judge(name, &reference, MORE).await?;
    }
    assert_eq!(made(&stage.cluster), (orders + names.len(), keys, accounts));
    a_minute_of_conflicts(&stage, &reference).await?;
    daemon.stop().await.map(drop)
}

/// Somebody writes all the time, for a minute of the daemon's time, from the moment on at which the order is made.
async fn a_minute_of_conflicts(stage: &Stage, reference: &Reference) -> Result<()> {
    let outside = made(&stage.cluster);
    let such = |call: &ApiCall| call.is_write() && about(call, "web");
    stage.api.inject(ApiRule::on(such, ApiFault::CONFLICT).after(1));
    stage.ask("web").await?;
    let tried = || stage.api.count(such);
    wait_until(SOON, "the first conflict", async || tried() > 1).await?;
    for _ in 0..6 {
        let before = tried();
        stage.cluster.ground.pass(Duration::from_secs(10))?;
        wait_until(SOON, "another try", async || tried() > before).await?;
    }
    // Some tries in a row, then a pause of ten seconds.
    ensure!(tried() < 60, "{} tries in a minute", tried());
    stage.api.heal();
    stage.cluster.ground.pass(Duration::from_secs(10))?;
    stage.judge("web", reference, 0).await?;
    assert_eq!(made(&stage.cluster), (outside.0 + 1, outside.1, outside.2));
    Ok(())
}
