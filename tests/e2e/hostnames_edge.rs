//! What is written at Cloudflare: only what claviger owns, only when it differs, and read back.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use claviger_sim::{
    answer::Answer,
    fault::{Fault, Rule, Service},
};
use serde_json::{Value, json};

use crate::{
    customers::{SHOP, STEP, stage, stage_with},
    stage::{Stage, TOKEN, ZONE},
};

const HOUR: Duration = Duration::from_secs(3_600);
const TLS_1_2: &str = ", defaults: { validation: http, minTlsVersion: \"1.2\" }";

/// Somebody changes a host name in Cloudflare's dashboard, whose requests carry method and type too.
fn in_the_dashboard(stage: &Stage, settings: &Value) -> Result<()> {
    let id = stage.at_the_edge(SHOP).context("it is there")?.id;
    let body = json!({ "ssl": { "method": "http", "type": "dv", "settings": settings } });
    let edited = stage.world.cloudflare().edit(stage.now(), ZONE, &id, &body);
    edited.map_err(|error| anyhow::anyhow!("{error:?}"))
}

fn settings(stage: &Stage) -> Result<Value> {
    let edge = stage.at_the_edge(SHOP).context("it is there")?;
    Ok(edge.ssl.context("it has a certificate")?.settings)
}

#[tokio::test]
async fn a_month_without_a_difference_is_a_month_without_a_write() -> Result<()> {
    let stage = stage_with(TLS_1_2).await?;
    let daemon = stage.start().await?;
    stage.serving("customer", SHOP).await?;
    // A field that claviger does not own is somebody else's.
    in_the_dashboard(&stage, &json!({ "min_tls_version": "1.2", "http2": "on", "early_hints": "on" }))?;
    let looks = |stage: &Stage| stage.world.calls().of(Service::Cloudflare, "get");
    let before = looks(&stage);
    for _ in 0..60 {
        let seen = looks(&stage);
        stage.pass(12 * HOUR)?;
        stage.pass_until("another look", HOUR, async || looks(&stage) > seen).await?;
    }
    ensure!(looks(&stage) >= before + 60, "it is looked at at least twice a day");
    stage.pass_until_reason(SHOP, STEP, "Active").await?;
    assert_eq!(stage.changes(), (1, 0, 0), "also over the renewal of the certificate");
    assert_eq!(settings(&stage)?["early_hints"], "on");
    daemon.stop().await?;
    let _daemon = stage.start().await?;
    stage.wait_settled().await?;
    stage.wait_reason(SHOP, "Active").await?;
    assert_eq!(stage.changes(), (1, 0, 0), "and over a restart");
    Ok(())
}

#[tokio::test]
async fn an_owned_field_that_somebody_changed_is_put_back_once() -> Result<()> {
    let stage = stage_with(TLS_1_2).await?;
    let _daemon = stage.start().await?;
    stage.serving("customer", SHOP).await?;
    assert_eq!(settings(&stage)?["min_tls_version"], "1.2");
    in_the_dashboard(&stage, &json!({ "min_tls_version": "1.0" }))?;
    stage.pass_until("the field to be put back", HOUR, async || stage.changes().1 == 1).await?;
    // The simulator refuses a change without method and type, as Cloudflare does.
    stage.pass_until_reason(SHOP, STEP, "Active").await?;
    assert_eq!(settings(&stage)?["min_tls_version"], "1.2");
    stage.pass(24 * HOUR)?;
    stage.wait_settled().await?;
    assert_eq!(stage.changes(), (1, 1, 0));
    Ok(())
}

#[tokio::test]
async fn a_document_that_changes_a_default_changes_every_name_once() -> Result<()> {
    let stage = stage_with(TLS_1_2).await?;
    let _daemon = stage.start().await?;
    stage.serving("customer", SHOP).await?;
    let changed = stage.production_with(&TLS_1_2.replace("1.2", "1.3"))?.with_wrapping_key();
    stage.site.document("production.yaml", &changed)?;
    stage.pass_until("the change", STEP, async || stage.changes().1 == 1).await?;
    stage.pass_until_reason(SHOP, STEP, "Active").await?;
    assert_eq!(settings(&stage)?["min_tls_version"], "1.3");
    Ok(())
}

/// Accepted and not made is an error of its own; it is not made for ever.
#[tokio::test]
async fn a_change_that_cloudflare_accepts_and_does_not_make_is_told() -> Result<()> {
    let stage = stage_with(TLS_1_2).await?;
    let _daemon = stage.start().await?;
    stage.serving("customer", SHOP).await?;
    let shown = {
        let mut edge = stage.world.cloudflare();
        let id = edge.named(ZONE, SHOP).context("it is there")?.id.clone();
        edge.show(ZONE, &id).map_err(|error| anyhow::anyhow!("{error:?}"))?
    };
    let body = json!({ "success": true, "errors": [], "messages": [], "result": shown });
    let accepted = Fault::Status(Answer::json(202, "application/json", &body));
    stage.world.faults().add(Rule::always(Service::Cloudflare, "edit", accepted));
    in_the_dashboard(&stage, &json!({ "min_tls_version": "1.0" }))?;
    let told = stage.pass_until_reason(SHOP, HOUR, "EdgeUnchanged").await?;
    ensure!(told["turn"] == "Cloudflare" && told["message"].to_string().contains("min_tls_version"), "{told:#}");
    let tries = stage.changes().1;
    stage.pass(6 * 24 * HOUR)?;
    stage.wait_settled().await?;
    ensure!(stage.changes().1 <= tries + 2, "it is not tried for ever: {:?}", stage.changes());
    stage.world.faults().clear();
    stage.pass_until_reason(SHOP, 12 * HOUR, "Active").await?;
    assert_eq!(settings(&stage)?["min_tls_version"], "1.2");
    Ok(())
}

#[tokio::test]
async fn a_name_that_is_in_our_zone_already_is_adopted_and_not_written() -> Result<()> {
    let stage = stage_with(TLS_1_2).await?;
    let wish = json!({ "hostname": SHOP, "ssl": { "method": "http", "type": "dv", "settings": { "min_tls_version": "1.2" } } });
    let made = stage.world.cloudflare().create(stage.now(), ZONE, &wish);
    let (id, _) = made.map_err(|error| anyhow::anyhow!("{error:?}"))?;
    stage.pass(HOUR)?; // lists show it by now
    let _daemon = stage.start().await?;
    let live = stage.serving("customer", SHOP).await?;
    ensure!(live["edge"]["id"] == id.as_str() && live["edge"]["origin"] == "Adopted", "{live:#}");
    assert_eq!(stage.changes(), (0, 0, 0));
    Ok(())
}

/// The list does not show a fresh name for some seconds: the second create is refused as a duplicate, and it is our own.
#[tokio::test]
async fn a_name_whose_answer_was_lost_is_found_again() -> Result<()> {
    let stage = stage().await?;
    stage.world.faults().add(Rule::once(Service::Cloudflare, "create", Fault::AnswerLost));
    let _daemon = stage.start().await?;
    stage.serving("customer", SHOP).await?;
    assert_eq!(stage.world.cloudflare().counts().created, 1);
    assert_eq!(stage.world.cloudflare().hostnames().count(), 1);
    Ok(())
}

/// The tokens that a customer is shown are those of today.
#[tokio::test]
async fn records_are_as_current_as_the_tokens_at_the_edge() -> Result<()> {
    let stage = stage().await?;
    stage.customer("customer", SHOP)?;
    let _daemon = stage.start().await?;
    let waiting = stage.pass_until_reason(SHOP, STEP, "AwaitingCustomerDns").await?;
    let of = |view: &Value, purpose: &str| {
        let rows = view["records"].as_array().cloned().unwrap_or_default();
        rows.into_iter().find(|row| row["purpose"] == purpose).map(|row| row["value"].clone())
    };
    let edge = stage.at_the_edge(SHOP).context("it is there")?;
    assert_eq!(of(&waiting, "Ownership"), Some(json!(edge.ownership)));
    // The proof of ownership by TXT alone is a way too: it does not move traffic.
    let name = format!("_cf-custom-hostname.{SHOP}");
    stage.world.dns().add(stage.now(), &name, claviger_sim::model::dns::Kind::Txt, &edge.ownership);
    let proven = |view: &Value| {
        let rows = view["records"].as_array().cloned().unwrap_or_default();
        rows.iter().any(|row| row["purpose"] == "Ownership" && row["verdict"] == "Ok")
    };
    let mut last = Value::Null;
    let seen = stage.pass_until("the TXT record to be seen", STEP, async || {
        last = stage.shown(SHOP).await;
        proven(&last) || last["edge"]["hostname"] == "active"
    });
    seen.await.with_context(|| format!("{last:#}"))?;
    ensure!(last["ready"] == false && last["records"][0]["verdict"] == "Add", "{last:#}");
    Ok(())
}

/// Everything that is lost of claviger's memory is found again at Cloudflare.
#[tokio::test]
async fn a_daemon_without_memory_makes_nothing_twice() -> Result<()> {
    let stage = stage_with(TLS_1_2).await?;
    let daemon = stage.start().await?;
    stage.serving("customer", SHOP).await?;
    daemon.stop().await?;
    std::fs::remove_dir_all(stage.site.path().join("state"))?;
    let _daemon = stage.start().await?;
    let live = stage.pass_until_reason(SHOP, STEP, "Active").await?;
    ensure!(live["edge"]["origin"] == "Adopted", "{live:#}");
    assert_eq!(stage.changes(), (1, 0, 0));
    ensure!(!live.to_string().contains(TOKEN), "{live:#}");
    Ok(())
}
