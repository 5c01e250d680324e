//! It was done, and the answer never came: the far side is asked, and nothing is done twice.

use anyhow::{Context, Result, ensure};
use claviger_sim::fault::{Fault, Rule, Service};
use claviger_tests::wait_until;
use serde_json::{Value, json};

use crate::{
    company::{ONCE, audited, company, counted, failed, serves, settle, settles, stops},
    stage::{SOON, Stage, ZONE},
};

/// Both ways to lose an answer: none comes, or half of one.
const LOST: [Fault; 2] = [Fault::AnswerLost, Fault::Tear];

/// From nothing to everything, while one answer is lost. Gives the journal.
async fn loses(service: Service, operation: &str, fault: Fault, stray: u64) -> Result<Vec<Value>> {
    let stage = company().await?;
    stage.world.faults().add(Rule::once(service, operation, fault));
    let daemon = stage.start().await?;
    settles(&stage).await?;
    ensure!(stage.world.faults().spent(), "it was never asked");
    serves(&stage)?;
    stops(daemon).await?;
    let mut found = counted(&stage);
    ensure!(found.orders == ONCE.orders + stray && failed(&stage, 0) == 0, "{found:?}");
    found.orders = ONCE.orders;
    ensure!(found == ONCE, "{found:?}");
    audited(&stage)
}

/// What the journal says of an effect, one word for each line.
fn said<'a>(journal: &'a [Value], verb: &str) -> Vec<&'a str> {
    let lines = journal.iter().filter(|line| line["verb"] == verb);
    lines
        .map(|line| line["outcome"]["result"].as_str().or_else(|| line["stage"].as_str()).unwrap_or_default())
        .collect()
}

async fn is_found_again(service: Service, operation: &str, verb: &str, stray: u64) -> Result<()> {
    for fault in LOST {
        let journal = loses(service, operation, fault.clone(), stray);
        let journal = journal.await.with_context(|| format!("{operation}: {fault:?}"))?;
        let said = said(&journal, verb);
        ensure!(said.starts_with(&["Intent"]) && said.contains(&"Unknown") || stray == 0, "{verb}: {said:?}");
        ensure!(said.last() == Some(&"Done"), "{verb}: {said:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_whose_answer_was_lost_is_found_by_its_tag() -> Result<()> {
    is_found_again(Service::Kms, "CreateKey", "create_key", 0).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_whose_answer_was_lost_is_found_to_point_there() -> Result<()> {
    is_found_again(Service::Kms, "CreateAlias", "create_alias", 0).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_whose_answer_was_lost_is_found_by_its_key() -> Result<()> {
    is_found_again(Service::Acme, "newAccount", "register_account", 0).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_answer_was_lost_costs_one_stray_order() -> Result<()> {
    is_found_again(Service::Acme, "newOrder", "open_order", 1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finalization_whose_answer_was_lost_gives_the_certificate_all_the_same() -> Result<()> {
    is_found_again(Service::Acme, "finalize", "finalize", 0).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_name_whose_answer_was_lost_is_found_by_its_name() -> Result<()> {
    is_found_again(Service::Cloudflare, "create", "create_hostname", 0).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_handed_back_by_a_ca_that_does_so() -> Result<()> {
    for fault in LOST {
        let stage = company().await?;
        stage.world.acme().steering.reuse_orders = true;
        stage.world.faults().add(Rule::once(Service::Acme, "newOrder", fault));
        settle(&stage).await?;
        ensure!(stage.world.faults().spent());
        assert_eq!(counted(&stage), ONCE);
    }
    Ok(())
}

/// The document asks for TLS 1.3 from now on.
fn harden(stage: &Stage) -> Result<()> {
    let production = stage.production_with(", defaults: { validation: http, minTlsVersion: \"1.3\" }")?;
    stage.site.document("production.yaml", &production.with_wrapping_key())
}

fn oldest_tls(stage: &Stage) -> Value {
    let cloudflare = stage.world.cloudflare();
    let shop = cloudflare.named(ZONE, crate::company::SHOP);
    shop.and_then(|shop| shop.ssl.as_ref()).map_or(Value::Null, |ssl| ssl.settings["min_tls_version"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_host_name_whose_answer_was_lost_is_as_the_document_says() -> Result<()> {
    for fault in LOST {
        let stage = company().await?;
        let daemon = stage.start().await?;
        settles(&stage).await?;
        stage.world.faults().add(Rule::once(Service::Cloudflare, "edit", fault));
        harden(&stage)?;
        wait_until(SOON, "the change", async || stage.world.faults().spent()).await?;
        let changed = async || oldest_tls(&stage) == json!("1.3");
        wait_until(SOON, "TLS 1.3", changed).await?;
        settles(&stage).await?;
        assert_eq!(counted(&stage), ONCE);
        assert_eq!(said(&audited(&stage)?, "update_hostname").first(), Some(&"Intent"));
        stops(daemon).await?;
    }
    Ok(())
}
