//! The process dies where it hurts most, starts again, and goes on: the same order, the same key, nothing twice. The simulators
//! count.

use std::{collections::BTreeMap, fs, time::Duration};

use anyhow::{Context, Result, ensure};
use claviger_sim::{
    fault::{Fault, Rule, Service},
    model::dns::Kind,
};
use claviger_tests::{documents, wait_until};

use crate::stage::{SOON, Stage, TARGET, ZONE};

/// What the outside counts.
#[derive(Debug, Eq, PartialEq)]
struct Counted {
    keys: usize,
    accounts: u64,
    orders: usize,
    hostnames: usize,
}

fn counted(stage: &Stage) -> Counted {
    let keys = stage.world.kms().keys().count();
    let (accounts, orders) = {
        let acme = stage.world.acme();
        (acme.counts().accounts, acme.orders().count())
    };
    let hostnames = stage.world.cloudflare().hostnames().count();
    Counted { keys, accounts, orders, hostnames }
}

/// A company with two keys, one certificate and one customer; everything that may not happen twice happens once.
async fn company() -> Result<Stage> {
    let stage = Stage::new().await?;
    {
        let mut acme = stage.world.acme();
        acme.steering.limits = None;
        acme.steering.reuse_orders = false; // the harder case: RFC 8555 promises nothing
    }
    let certificate = documents::certificate("staging", "web", &["www.staging.example.com"], "");
    stage.site.document("staging.yaml", &format!("{}---\n{certificate}", stage.staging().with_wrapping_key()))?;
    let customer = documents::hostname("production", "shop", "shop.customer.example", "customer");
    let production = stage.production()?.with_wrapping_key();
    stage.site.document("production.yaml", &format!("{production}---\n{customer}"))?;
    stage.world.dns().add(stage.now(), "shop.customer.example", Kind::Cname, TARGET);
    Ok(stage)
}

const ONCE: Counted = Counted { keys: 2, accounts: 1, orders: 1, hostnames: 1 };

async fn settles(stage: &Stage) -> Result<()> {
    let ready = async || {
        let ready = |kind, namespace, name| {
            let resource = stage.site.resource(kind, namespace, name);
            claviger_tests::condition_of(&resource, "Ready").is_some_and(|condition| condition["status"] == "True")
        };
        let keys = ready("kmskey", "staging", "wrapping") && ready("kmskey", "production", "wrapping");
        keys && ready("certificate", "staging", "web") && ready("hostname", "production", "shop")
    };
    // Hours of back-off and of looking again pass quickly.
    stage.pass_until("everything to be ready", Duration::from_secs(30), ready).await
}

/// Starts a daemon that dies at that point, waits until it is dead or all is well, and starts it again without the point.
async fn dies_at(point: &str) -> Result<(Stage, bool)> {
    let stage = company().await?;
    let mut died = false;
    {
        let mut daemon = stage.start_with(&[("CLAVIGER_CRASH", point)]).await.ok(); // or dead before it answered
        if let Some(daemon) = &mut daemon {
            let mut calm = 0;
            for _ in 0..400 {
                died = daemon.process().ended()?.is_some();
                calm = if settles_now(&stage) { calm + 1 } else { 0 };
                if died || calm > 50 {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
                stage.pass(Duration::from_secs(1))?;
            }
        } else {
            died = true;
        }
    }
    let daemon = stage.start().await.with_context(|| format!("after {point}"))?;
    settles(&stage).await.with_context(|| format!("after {point}: {}", daemon.log()))?;
    drop(daemon);
    Ok((stage, died))
}

fn settles_now(stage: &Stage) -> bool {
    stage.site.outlet("web").join("tls.crt").exists()
        && stage.world.cloudflare().named(ZONE, "shop.customer.example").is_some()
}

/// One point: whatever was really asked twice is a fault, but for newOrder, which RFC 8555 gives no question for.
async fn nothing_twice(point: &str) -> Result<bool> {
    let (stage, died) = dies_at(point).await?;
    let mut found = counted(&stage);
    // Beside it: a dead listener answers no http-01, so an order whose proof the CA fetched meanwhile has failed for good.
    let stray = usize::from(
        point == "open_order:1:after" || point == "answer_challenges:1:after" || point.starts_with("commit"),
    );
    ensure!(found.orders <= ONCE.orders + stray, "{point}: {} orders", found.orders);
    let certificates = stage.world.acme().counts().of(&["www.staging.example.com"]);
    ensure!(certificates == 1, "{point}: {certificates} certificates");
    found.orders = ONCE.orders;
    ensure!(found == ONCE, "{point}: {found:?}");
    let journal = stage.site.ctl(&["audit", "verify", &stage.site.journal().display().to_string()])?;
    ensure!(journal.status.success(), "{point}: {}", crate::stage::text(&journal));
    Ok(died)
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_around_every_effect_it_does_nothing_twice() -> Result<()> {
    let words = ["create_key", "create_alias", "set_rotation", "seal_new_key", "keep_account_key", "register_account"];
    let more = ["open_order", "answer_challenges", "finalize", "deliver", "create_hostname"];
    let mut deaths = BTreeMap::new();
    for word in words.into_iter().chain(more) {
        for side in ["before", "after"] {
            let point = format!("{word}:1:{side}");
            deaths.insert(point.clone(), nothing_twice(&point).await?);
        }
    }
    let alive: Vec<_> = deaths.iter().filter(|(_, died)| !**died).collect();
    assert!(alive.is_empty(), "these points were never reached: {alive:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_each_stored_step_it_does_nothing_twice() -> Result<()> {
    let mut deaths = 0;
    for number in 1..=24 {
        if !nothing_twice(&format!("commit:{number}:after")).await? {
            break;
        }
        deaths += 1;
    }
    assert!(deaths >= 12, "only {deaths} stored steps were reached");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_lost_is_found_again() -> Result<()> {
    let lost = [
        (Service::Kms, "CreateKey", 0),
        (Service::Kms, "CreateAlias", 0),
        (Service::Acme, "newAccount", 0),
        (Service::Acme, "newOrder", 1),
        (Service::Acme, "finalize", 0),
        (Service::Cloudflare, "create", 0),
    ];
    for (service, operation, stray) in lost {
        let stage = company().await?;
        stage.world.faults().add(Rule::once(service, operation, Fault::AnswerLost));
        let daemon = stage.start().await?;
        settles(&stage).await.with_context(|| format!("{operation}: {}", daemon.log()))?;
        assert!(stage.world.faults().spent(), "{operation} was never asked");
        let mut found = counted(&stage);
        assert!(found.orders <= ONCE.orders + stray, "{operation}: {} orders", found.orders);
        found.orders = ONCE.orders;
        assert_eq!(found, ONCE, "{operation}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_that_hands_back_its_pending_order_sees_no_stray_one() -> Result<()> {
    let stage = company().await?;
    stage.world.acme().steering.reuse_orders = true;
    stage.world.faults().add(Rule::once(Service::Acme, "newOrder", Fault::AnswerLost));
    let _daemon = stage.start().await?;
    settles(&stage).await?;
    assert_eq!(counted(&stage), ONCE);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_memory_that_is_lost_costs_nothing() -> Result<()> {
    let stage = company().await?;
    let daemon = stage.start().await?;
    settles(&stage).await?;
    let served = fs::read_to_string(stage.site.outlet("web").join("tls.crt"))?;
    daemon.stop().await?;
    for name in ["claviger.db", "claviger.db-wal", "claviger.db-shm"] {
        let _ = fs::remove_file(stage.site.path().join("state").join(name));
    }
    let _daemon = stage.start().await?;
    settles(&stage).await?;
    assert_eq!(counted(&stage), ONCE, "0 orders, 0 keys, 0 accounts, 0 host names");
    assert_eq!(fs::read_to_string(stage.site.outlet("web").join("tls.crt"))?, served);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_document_is_released_and_nothing_outside_is_touched() -> Result<()> {
    let stage = company().await?;
    let _daemon = stage.start().await?;
    settles(&stage).await?;
    let production = stage.production()?.with_wrapping_key();
    stage.site.document("production.yaml", &production)?;
    let released = async || {
        let shop = stage.site.resource("hostname", "production", "shop");
        claviger_tests::condition_of(&shop, "Ready").is_some_and(|condition| condition["reason"] == "Released")
    };
    wait_until(SOON, "the host name to be released", released).await?;
    assert_eq!(counted(&stage), ONCE, "Cloudflare stays untouched");
    let customer = documents::hostname("production", "shop", "shop.customer.example", "customer");
    stage.site.document("production.yaml", &format!("{production}---\n{customer}"))?;
    settles(&stage).await?;
    assert_eq!(counted(&stage), ONCE, "it goes on where it was");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_on_the_same_state_is_refused_and_names_the_first() -> Result<()> {
    let stage = company().await?;
    let mut first = stage.start().await?;
    let holder = first.process().id();
    let mut second = stage.site.spawn(&[])?;
    let status = second.wait(Duration::from_secs(20)).await?;
    assert_eq!(status.code(), Some(2));
    assert!(second.stderr().contains(&holder.to_string()), "{}", second.stderr());
    assert!(first.process().ended()?.is_none(), "the first one runs on");
    Ok(())
}
