//! Every way in which a customer's host name is stuck says what, whose turn it is and what to do.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use claviger_sim::{
    answer::Answer,
    fault::{Fault, Rule, Service},
    model::dns::{Kind, Trouble},
};
use serde_json::{Value, json};

use crate::{
    customers::{SHOP, STEP, stage},
    stage::{Stage, TARGET, TOKEN, ZONE, text},
};

const HOUR: Duration = Duration::from_secs(3_600);

/// The reason with its turn and its words, as the backend, `status` and `explain` show it.
async fn is_stuck(stage: &Stage, reason: &str, turn: &str, words: &[&str]) -> Result<Value> {
    let shown = stage.pass_until_reason(SHOP, STEP, reason).await?;
    ensure!(shown["turn"] == turn && shown["ready"] == false, "{shown:#}");
    let fix = shown["fix"].as_array().map_or(0, Vec::len);
    ensure!(fix > 0 || turn == "Claviger" || turn == "Cloudflare", "somebody must be told what to do: {shown:#}");
    let explained = text(&stage.site.ctl(&["explain", "hostname/customer"])?);
    for words in words {
        ensure!(shown.to_string().contains(words), "`{words}` is not in {shown:#}");
        ensure!(explained.contains(words), "`{words}` is not in:\n{explained}");
    }
    ensure!(explained.contains(reason) && explained.contains(turn), "{explained}");
    Ok(shown)
}

/// Somebody whose turn it is, is told on the first screen.
fn is_on_the_first_screen(stage: &Stage, reason: &str) -> Result<()> {
    let status = stage.status()?;
    let attention = status["attention"].as_array().context("a list")?;
    let told = attention.iter().find(|told| told["object"]["name"] == "customer").context("it asks for attention")?;
    ensure!(told["reason"] == reason && told["since"].is_string(), "{told:#}");
    let screen = text(&stage.site.ctl(&["status"])?);
    ensure!(screen.contains("CustomHostname/production/customer") && screen.contains(reason), "{screen}");
    Ok(())
}

#[tokio::test]
async fn no_record() -> Result<()> {
    let stage = stage().await?;
    stage.customer("customer", SHOP)?;
    let _daemon = stage.start().await?;
    let shown = is_stuck(&stage, "AwaitingCustomerDns", "Customer", &[SHOP, TARGET]).await?;
    let verdicts: Vec<&Value> =
        shown["records"].as_array().context("records")?.iter().map(|row| &row["verdict"]).collect();
    assert_eq!(verdicts[0], "Add", "{shown:#}");
    is_on_the_first_screen(&stage, "AwaitingCustomerDns")
}

#[tokio::test]
async fn a_record_that_points_elsewhere() -> Result<()> {
    let stage = stage().await?;
    stage.customer("customer", SHOP)?;
    stage.world.dns().add(stage.now(), SHOP, Kind::Cname, "shops.other-host.example");
    let _daemon = stage.start().await?;
    let shown = is_stuck(&stage, "CustomerDnsConflict", "Customer", &["shops.other-host.example", TARGET]).await?;
    ensure!(shown["records"][0]["verdict"] == "Conflict", "{shown:#}");
    assert_eq!(shown["records"][0]["found"], json!(["shops.other-host.example"]));
    is_on_the_first_screen(&stage, "CustomerDnsConflict")
}

#[tokio::test]
async fn a_caa_record_that_forbids_every_ca() -> Result<()> {
    let stage = stage().await?;
    stage.customer("customer", SHOP)?;
    stage.point(SHOP);
    stage.world.dns().add(stage.now(), "customer.example", Kind::Caa, "0 issue \"ca.other.example\"");
    let _daemon = stage.start().await?;
    is_stuck(&stage, "CustomerCaaForbids", "Customer", &["customer.example", "ca.other.example", "letsencrypt.org"])
        .await?;
    is_on_the_first_screen(&stage, "CustomerCaaForbids")?;
    // The customer mends it, and it goes on by itself.
    stage.world.dns().clear(stage.now(), "customer.example");
    stage.pass_until_reason(SHOP, 5 * STEP, "Active").await.map(drop)
}

#[tokio::test]
async fn a_name_that_points_at_us_no_longer() -> Result<()> {
    let stage = stage().await?;
    let _daemon = stage.start().await?;
    stage.serving("customer", SHOP).await?;
    stage.world.dns().set(stage.now(), SHOP, Kind::Cname, vec!["shops.other-host.example".into()]);
    stage.pass(6 * HOUR)?;
    is_stuck(&stage, "HostnameMoved", "Customer", &["shops.other-host.example", TARGET]).await?;
    is_on_the_first_screen(&stage, "HostnameMoved")?;
    assert_eq!(stage.changes(), (1, 0, 0), "nothing is changed at Cloudflare: it would come to nothing");
    // It comes back: Cloudflare has given up on it meanwhile, so it is started again.
    stage.point(SHOP);
    stage.pass_until_reason(SHOP, HOUR / 2, "Active").await?;
    let (created, edited, deleted) = stage.changes();
    ensure!(created == 1 && edited <= 1 && deleted == 0, "{edited} changes");
    Ok(())
}

#[tokio::test]
async fn a_name_that_cloudflare_blocks() -> Result<()> {
    let stage = stage().await?;
    let _daemon = stage.start().await?;
    stage.serving("customer", SHOP).await?;
    let id = stage.at_the_edge(SHOP).context("it is there")?.id;
    stage.world.cloudflare().force_status(stage.now(), &id, "blocked");
    stage.pass(7 * HOUR)?;
    is_stuck(&stage, "EdgeBlocked", "Cloudflare", &["`blocked`", "support"]).await?;
    stage.pass(7 * 24 * HOUR)?;
    stage.wait_reason(SHOP, "EdgeBlocked").await?;
    assert_eq!(stage.changes(), (1, 0, 0), "nothing is tried against a block");
    // It is told on the first screen once it has lasted.
    is_on_the_first_screen(&stage, "EdgeBlocked")
}

/// Validation that has timed out is started again once, then at growing distances: 2, 4, 8 hours.
#[tokio::test]
async fn validation_that_has_timed_out_is_started_again_at_growing_distances() -> Result<()> {
    let stage = stage().await?;
    let _daemon = stage.start().await?;
    stage.customer("customer", SHOP)?;
    stage.point(SHOP);
    stage.world.cloudflare().steering.high_risk = vec![SHOP.to_owned()];
    stage.pass_until_reason(SHOP, STEP, "AwaitingCertificate").await?;
    let mut restarts = Vec::new();
    let id = stage.at_the_edge(SHOP).context("it is there")?.id;
    let began = stage.now();
    while restarts.len() < 4 {
        let before = stage.changes().1;
        stage.world.cloudflare().force_ssl_status(&id, "validation_timed_out");
        let again = stage.pass_until("another start", HOUR / 2, async || stage.changes().1 > before);
        again.await.with_context(|| format!("{restarts:?}"))?;
        restarts.push((stage.now() - began) / 60_000);
    }
    let distances: Vec<i64> = restarts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (distance, (least, most)) in distances.iter().zip([(120, 160), (240, 280), (480, 560)]) {
        ensure!((least..=most).contains(distance), "minutes between starts: {distances:?}");
    }
    // Until the last start was taken in, what is shown is still what came before it.
    stage.pass_until_reason(SHOP, STEP, "AwaitingCertificate").await?;
    stage.world.cloudflare().force_ssl_status(&id, "validation_timed_out");
    is_stuck(&stage, "EdgeStuck", "Claviger", &["started again"]).await?;
    // Once it works out, all is forgotten.
    stage.world.cloudflare().steering.high_risk.clear();
    stage.pass_until_reason(SHOP, HOUR, "Active").await.map(drop)
}

#[tokio::test]
async fn a_quota_that_is_used_up() -> Result<()> {
    let stage = stage().await?;
    {
        let mut cloudflare = stage.world.cloudflare();
        let zone = cloudflare.zone_mut(ZONE).context("the zone")?;
        (zone.allocated, zone.hard_cap) = (0, Some(0));
    }
    stage.customer("customer", SHOP)?;
    let _daemon = stage.start().await?;
    is_stuck(&stage, "EdgeQuotaExceeded", "Operator", &["quota", "1405"]).await?;
    is_on_the_first_screen(&stage, "EdgeQuotaExceeded")?;
    stage.world.cloudflare().zone_mut(ZONE).context("the zone")?.hard_cap = None;
    stage.pass_until_reason(SHOP, 5 * STEP, "AwaitingCustomerDns").await.map(drop)
}

#[tokio::test]
async fn a_product_that_is_not_switched_on() -> Result<()> {
    let stage = stage().await?;
    stage.world.cloudflare().zone_mut(ZONE).context("the zone")?.enabled = false;
    stage.customer("customer", SHOP)?;
    let _daemon = stage.start().await?;
    is_stuck(&stage, "EdgeQuotaExceeded", "Operator", &["1404", "Cloudflare for SaaS"]).await?;
    stage.world.cloudflare().zone_mut(ZONE).context("the zone")?.enabled = true;
    stage.pass_until_reason(SHOP, 5 * STEP, "AwaitingCustomerDns").await.map(drop)
}

/// What a plan does not include is learnt once, and not tried again before the document changes.
#[tokio::test]
async fn an_entitlement_that_the_zone_lacks() -> Result<()> {
    let stage = stage().await?;
    let body = json!({ "success": false, "messages": [], "result": null, "errors": [
        { "code": 1459, "message": "Certificate authority selection is only available on an Enterprise plan." }] });
    let answer = Answer::json(403, "application/json", &body);
    stage.world.faults().add(Rule::always(Service::Cloudflare, "create", Fault::Status(answer)));
    stage.customer("customer", SHOP)?;
    let _daemon = stage.start().await?;
    is_stuck(&stage, "EdgeRefused", "Operator", &["1459", "Enterprise"]).await?;
    stage.pass(30 * 24 * HOUR)?;
    stage.wait_settled().await?;
    stage.wait_reason(SHOP, "EdgeRefused").await?;
    assert_eq!(stage.changes().0, 1, "a month later it has not been tried again");
    is_on_the_first_screen(&stage, "EdgeRefused")
}

/// A token that is not accepted stops the zone, not the name: nobody hammers at a closed door.
#[tokio::test]
async fn a_token_that_is_not_accepted() -> Result<()> {
    let stage = stage().await?;
    stage.world.cloudflare().revoke_token(TOKEN);
    stage.customer("customer", SHOP)?;
    for tenant in ["a", "b", "c", "d", "e", "f"] {
        stage.customer(tenant, &format!("shop.{tenant}.example"))?;
    }
    let _daemon = stage.start().await?;
    let shown = stage.pass_until_reason("shop.a.example", STEP, "EdgeDenied").await;
    let first = match shown {
        Ok(_) => "shop.a.example",
        Err(_) => SHOP,
    };
    let denied = stage.wait_reason(first, "EdgeDenied").await?;
    ensure!(denied["turn"] == "Operator" && denied["message"].to_string().contains("token"), "{denied:#}");
    let asked = stage.world.calls().all(Service::Cloudflare);
    ensure!(asked <= 7, "{asked} calls with a token that is not accepted");
    let status = text(&stage.site.ctl(&["status", "-o", "wide"])?);
    ensure!(status.contains("EdgeDenied") && status.contains("SSL and Certificates"), "{status}");
    ensure!(!status.contains(TOKEN), "the token itself is shown nowhere");
    stage.world.cloudflare().add_token(TOKEN, &[ZONE], true);
    stage.pass_until_reason(SHOP, 5 * STEP, "AwaitingCustomerDns").await?;
    stage.pass_until_reason("shop.f.example", 5 * STEP, "AwaitingCustomerDns").await.map(drop)
}

/// A token that may read and not write says so when something is to be written; what serves goes on being watched.
#[tokio::test]
async fn a_token_that_may_only_read() -> Result<()> {
    let stage = stage().await?;
    let _daemon = stage.start().await?;
    stage.serving("other", "shop.other.example").await?;
    stage.world.cloudflare().add_token(TOKEN, &[ZONE], false);
    stage.customer("customer", SHOP)?;
    is_stuck(&stage, "EdgeDenied", "Operator", &["10000", "SSL and Certificates"]).await?;
    stage.pass(7 * HOUR)?;
    stage.wait_reason("shop.other.example", "Active").await.map(drop)
}

#[tokio::test]
async fn a_name_that_another_zone_holds() -> Result<()> {
    let stage = stage().await?;
    {
        let now = stage.now();
        let mut cloudflare = stage.world.cloudflare();
        cloudflare.add_zone(now, "ffffffffffffffffffffffffffffffff", "saas.competitor.example");
        let wish = json!({ "hostname": SHOP, "ssl": { "method": "http", "type": "dv" } });
        let made = cloudflare.create(now, "ffffffffffffffffffffffffffffffff", &wish);
        made.map_err(|error| anyhow::anyhow!("{error:?}"))?;
    }
    stage.customer("customer", SHOP)?;
    let _daemon = stage.start().await?;
    is_stuck(&stage, "HostnameClaimed", "Operator", &["1406", "another zone"]).await?;
    is_on_the_first_screen(&stage, "HostnameClaimed")
}

/// DNS that cannot be asked is not "no record": nothing is said of it, and nobody is blamed.
#[tokio::test]
async fn dns_that_cannot_be_asked_is_unknown() -> Result<()> {
    let stage = stage().await?;
    stage.world.dns().trouble(SHOP, Some(Trouble::ServFail));
    stage.customer("customer", SHOP)?;
    let _daemon = stage.start().await?;
    let shown = stage.pass_until_reason(SHOP, STEP, "AwaitingCertificate").await?;
    ensure!(shown["records"][0]["verdict"] == "Unknown", "{shown:#}");
    stage.world.dns().trouble(SHOP, None);
    stage.pass_until_reason(SHOP, STEP, "AwaitingCustomerDns").await.map(drop)
}
