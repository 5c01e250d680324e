//! Changes by people.

use axum::http::StatusCode;
use claviger_config::Span;
use serde_json::{Value, json};

use super::site::{START, Said, Site};

const KEY: &str = "KmsKey/production/wrapping";

fn object(name: &str) -> Value {
    json!({ "kind": "KmsKey", "namespace": "production", "name": name })
}

async fn plan(site: &Site) -> Said {
    site.send("POST", "/v1/plans", Some(json!({ "verb": "renew", "object": object("wrapping") }))).await
}

async fn execute(site: &Site, hash: &str) -> Said {
    let asked = json!({ "reason": "switched off by mistake", "ticket": "OPS-7" });
    site.send("POST", &format!("/v1/plans/{hash}/execute"), Some(asked)).await
}

/// A key whose rotation somebody has switched off.
async fn drifted() -> Site {
    let site = Site::new();
    site.pass(KEY).await;
    *site.outside.rotates.lock().unwrap() = false;
    site.clock.forward(Span::hours(1));
    site.pass(KEY).await;
    let said = site.get("/v1/resources/kmskey/production/wrapping").await;
    assert_eq!(said.body["status"]["conditions"][0]["reason"], "RotationOff", "{}", said.body);
    site
}

#[tokio::test]
async fn a_plan_tells_what_it_would_do_and_cost_and_does_nothing() {
    let site = drifted().await;
    let said = plan(&site).await;
    assert_eq!(said.status, StatusCode::OK, "{}", said.body);
    let hash = said.text("hash");
    assert!(hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{hash}");
    let expires = (START + Span::hours(1) + Span::minutes(10)).to_string();
    assert_eq!(
        said.body,
        json!({
            "hash": hash, "effects": ["set_rotation"], "cost": [{ "budget": "kms-changes", "calls": 1 }], "expires": expires,
        })
    );
    assert_eq!(plan(&site).await.text("hash"), hash);
    assert!(site.journal(0).await.is_empty());
}

#[tokio::test]
async fn an_executed_plan_is_journalled_and_done_by_the_next_pass_for_whoever_asked() {
    let site = drifted().await;
    let hash = plan(&site).await.text("hash").to_owned();
    let said = execute(&site, &hash).await;
    assert_eq!(said.status, StatusCode::OK, "{}", said.body);
    assert_eq!(said.body, json!({ "kind": "Executed", "object": object("wrapping"), "hash": hash }));
    let lines = site.journal(2).await;
    assert_eq!(lines.len(), 2, "{lines:#?}");
    for line in &lines {
        let text = line.to_string();
        assert!(text.contains("plan.execute") && text.contains(&hash), "{text}");
    }
    *site.outside.rotates.lock().unwrap() = true;
    site.pass(KEY).await;
    let said = site.get("/v1/resources/kmskey/production/wrapping").await;
    assert_eq!(said.body["status"]["conditions"][0]["reason"], "KeyReady", "{}", said.body);
}

#[tokio::test]
async fn a_plan_is_executed_once() {
    let site = drifted().await;
    let hash = plan(&site).await.text("hash").to_owned();
    let (one, two) = tokio::join!(execute(&site, &hash), execute(&site, &hash));
    let mut statuses = [one.status.as_u16(), two.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 404]);
    assert_eq!(execute(&site, &hash).await.code(), "CLV-0724");
}

#[tokio::test]
async fn a_plan_whose_world_has_changed_is_refused() {
    let site = drifted().await;
    site.clock.forward(Span::minutes(5));
    let hash = plan(&site).await.text("hash").to_owned();
    *site.outside.rotates.lock().unwrap() = true;
    site.clock.forward(Span::minutes(5));
    site.pass(KEY).await;
    let said = execute(&site, &hash).await;
    assert_eq!((said.status, said.code()), (StatusCode::CONFLICT, "CLV-0739"), "{}", said.body);
    assert!(said.text("fix").starts_with("plan again"), "{}", said.body);
    assert!(site.journal(0).await.is_empty());
}

#[tokio::test]
async fn an_expired_plan_is_gone() {
    let site = drifted().await;
    let hash = plan(&site).await.text("hash").to_owned();
    site.clock.forward(Span::minutes(10));
    let said = execute(&site, &hash).await;
    assert_eq!((said.status, said.code(), said.text("fix")), (StatusCode::NOT_FOUND, "CLV-0724", "plan again"));
}

#[tokio::test]
async fn a_plan_that_leads_to_nothing_says_so_when_it_is_executed() {
    let site = Site::new();
    site.pass("KmsKey/production/signing").await;
    let asked = json!({ "verb": "renew", "object": object("signing") });
    let said = site.send("POST", "/v1/plans", Some(asked)).await;
    assert_eq!((&said.body["effects"], &said.body["cost"]), (&json!([]), &json!([])), "{}", said.body);
    let done = execute(&site, said.text("hash")).await;
    assert_eq!((done.status, done.code()), (StatusCode::CONFLICT, "CLV-0740"));
    assert!(done.text("message").contains("KeyReady"), "{}", done.body);
}

#[tokio::test]
async fn a_plan_needs_an_object_that_is_there_and_suits_the_verb() {
    let site = drifted().await;
    let missing = site.send("POST", "/v1/plans", Some(json!({ "verb": "renew", "object": object("wraping") }))).await;
    assert_eq!((missing.status, missing.code()), (StatusCode::NOT_FOUND, "CLV-0721"));
    assert_eq!(missing.text("fix"), "did you mean `production/wrapping`?");
    let environment = json!({ "verb": "renew", "object": { "kind": "Environment", "name": "staging" } });
    assert_eq!(site.send("POST", "/v1/plans", Some(environment)).await.code(), "CLV-0738");
    let verb = json!({ "verb": "rotate", "object": object("wrapping") });
    assert_eq!(site.send("POST", "/v1/plans", Some(verb)).await.code(), "CLV-0707");
}

#[tokio::test]
async fn whoever_executes_must_say_why() {
    let site = drifted().await;
    let hash = plan(&site).await.text("hash").to_owned();
    for body in [json!({ "reason": "  " }), json!({}), json!({ "reason": "x".repeat(1_001) })] {
        let said = site.send("POST", &format!("/v1/plans/{hash}/execute"), Some(body)).await;
        assert_eq!((said.status, said.code()), (StatusCode::BAD_REQUEST, "CLV-0707"));
    }
    assert_eq!(execute(&site, &hash).await.status, StatusCode::OK);
}
