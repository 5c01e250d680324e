//! Status, resources and explanations.

use axum::http::StatusCode;
use claviger_config::{Reason, Span};
use claviger_core::domain::failure::Failure;
use serde_json::{Value, json};

use super::site::{START, Site};

const KEY: &str = "KmsKey/production/wrapping";

#[tokio::test]
async fn a_resource_is_there_from_first_sight() {
    let said = Site::new().get("/v1/resources/kmskey/production/wrapping").await;
    let condition = |r#type: &str| {
        json!({
            "type": r#type, "status": "Unknown", "reason": "NotObserved", "observedGeneration": 0,
            "lastTransitionTime": START.to_string(),
        })
    };
    assert_eq!(
        said.body,
        json!({
            "apiVersion": "claviger.dev/v1alpha1",
            "kind": "KmsKey",
            "metadata": { "name": "wrapping", "namespace": "production", "generation": 1 },
            "spec": { "purpose": "wrap", "keySpec": "SYMMETRIC_DEFAULT", "rotation": { "period": "365d" } },
            "status": {
                "observedGeneration": 0,
                "environment": "production",
                "conditions": [condition("Ready"), condition("OnSchedule")],
            },
        })
    );
}

#[tokio::test]
async fn after_a_pass_its_status_says_what_is_and_never_the_record() {
    let site = Site::new();
    site.pass(KEY).await;
    let said = site.get("/v1/resources/kmskey/production/wrapping").await;
    let status = &said.body["status"];
    assert_eq!(status["conditions"][0]["status"], "True", "{status}");
    assert_eq!(status["key"]["state"], "Enabled");
    assert_eq!(status["observedGeneration"], 1);
    assert!(status.get("record").is_none() && !said.body.to_string().contains("seed"), "{status}");
}

#[tokio::test]
async fn a_kind_is_taken_in_singular_plural_any_case_and_as_short_name() {
    let site = Site::new();
    for kind in ["KmsKey", "kmskeys", "clvkey", "KEYS"] {
        assert_eq!(
            site.get(&format!("/v1/resources/{kind}/production/wrapping")).await.status,
            StatusCode::OK,
            "{kind}"
        );
    }
    for kind in ["environment", "envs", "Environments"] {
        let said = site.get(&format!("/v1/resources/{kind}/production")).await;
        assert_eq!((said.status, &said.body["metadata"]["name"]), (StatusCode::OK, &json!("production")), "{kind}");
    }
    let said = site.get("/v1/resources/kmskye").await;
    assert_eq!(
        (said.status, said.code(), said.text("fix")),
        (StatusCode::NOT_FOUND, "CLV-0720", "did you mean `KmsKey`?")
    );
}

#[tokio::test]
async fn an_environment_is_shown_resolved() {
    let said = Site::new().get("/v1/resources/environment/staging").await;
    assert_eq!(said.body["spec"]["namespaces"], json!(["staging"]));
    assert_eq!(said.body["spec"]["classification"], "internal");
    assert!(said.body["metadata"].get("namespace").is_none());
}

#[tokio::test]
async fn a_resource_that_is_not_there_is_told_with_what_was_most_likely_meant() {
    let said = Site::new().get("/v1/resources/kmskey/production/wraping").await;
    assert_eq!((said.status, said.code()), (StatusCode::NOT_FOUND, "CLV-0721"));
    assert_eq!(said.text("fix"), "did you mean `production/wrapping`?");
    assert_eq!(said.text("at"), "KmsKey/production/wraping");
}

fn names(list: &Value) -> Vec<String> {
    let name = |item: &Value| {
        format!("{}/{}", item["metadata"]["namespace"].as_str().unwrap(), item["metadata"]["name"].as_str().unwrap())
    };
    list["items"].as_array().unwrap().iter().map(name).collect()
}

#[tokio::test]
async fn resources_are_listed_in_order_filtered_and_page_by_page() {
    let site = Site::new();
    site.pass("KmsKey/staging/wrapping").await;
    let list = async |query: &str| site.get(&format!("/v1/resources/kmskey{query}")).await.body;
    assert_eq!(
        names(&list("").await),
        ["bare/wrapping", "production/signing", "production/wrapping", "staging/wrapping"]
    );
    assert_eq!(names(&list("?namespace=staging").await), ["staging/wrapping"]);
    assert_eq!(names(&list("?environment=production").await), ["production/signing", "production/wrapping"]);
    let first = list("?limit=3").await;
    assert_eq!((names(&first).len(), first["next"].as_str()), (3, Some("production/wrapping")));
    let second = list("?limit=2&after=production/wrapping").await;
    assert_eq!((names(&second), second.get("next")), (vec!["staging/wrapping".to_owned()], None));
    assert_eq!(site.get("/v1/resources/kmskey?environment=stagin").await.code(), "CLV-0722");
    assert_eq!(site.get("/v1/resources/kmskey?after=a/b/c").await.code(), "CLV-0705");
    assert_eq!(site.get("/v1/resources/authority").await.body, json!({ "kind": "List", "items": [] }));
}

#[tokio::test]
async fn an_explanation_tells_why_how_far_what_happened_and_whose_it_is() {
    let site = Site::new();
    site.pass(KEY).await;
    let said = site.get("/v1/resources/kmskey/production/wrapping/explanation").await;
    let body = &said.body;
    assert_eq!((said.text("kind"), said.text("environment")), ("Explanation", "production"));
    assert_eq!((said.text("owner"), said.text("classification")), ("itops@example.com", "confidential"));
    assert_eq!(body["object"], json!({ "kind": "KmsKey", "namespace": "production", "name": "wrapping" }));
    assert_eq!((&body["verdict"]["reason"], &body["verdict"]["turn"]), (&json!("KeyReady"), &json!("Nobody")));
    assert_eq!((&body["steps"][0]["step"], &body["steps"][0]["state"]), (&json!("CreateKey"), &json!("Done")));
    assert_eq!(body["history"][0]["reason"], "KeyReady");
    // What is planned is what AWS plans; the next look is no plan, and is stored nowhere.
    let shown = site.get("/v1/resources/kmskey/production/wrapping").await.body;
    assert_eq!(body["next"]["at"], shown["status"]["key"]["nextRotation"], "{body}");
}

#[tokio::test]
async fn an_explanation_before_the_first_pass_says_that_nobody_has_looked() {
    let site = Site::new();
    let said = site.get("/v1/resources/environment/staging/explanation").await;
    assert_eq!(
        said.body,
        json!({
            "apiVersion": "claviger.dev/v1alpha1", "kind": "Explanation",
            "object": { "kind": "Environment", "name": "staging" }, "environment": "staging",
            "owner": "dev@example.com", "classification": "internal",
            "verdict": { "reason": "NotObserved", "turn": "Claviger" }, "steps": [], "history": [],
        })
    );
    assert_eq!(site.get("/v1/resources/kmskey/staging/none/explanation").await.code(), "CLV-0721");
}

#[tokio::test]
async fn a_resource_may_be_called_explanation() {
    let key = "---\napiVersion: claviger.dev/v1alpha1\nkind: KmsKey\nmetadata: { name: explanation, namespace: bare }\n\
               spec: { purpose: sign, keySpec: ECC_NIST_P256 }\n";
    let site = Site::with(&format!("{}{key}", super::site::DOCUMENTS));
    let said = site.get("/v1/resources/kmskey/bare/explanation").await;
    assert_eq!((said.status, &said.body["metadata"]["name"]), (StatusCode::OK, &json!("explanation")), "{}", said.body);
    let said = site.get("/v1/resources/kmskey/bare/explanation/explanation").await;
    assert_eq!(said.text("kind"), "Explanation");
}

#[tokio::test]
async fn the_status_counts_by_environment_and_kind() {
    let site = Site::new();
    let unseen = site.get("/v1/status").await.body;
    assert_eq!((&unseen["kind"], &unseen["complete"]), (&json!("FleetStatus"), &json!(false)));
    assert_eq!(unseen["asOf"], START.to_string());
    let total = |status: &Value, environment: &str, kind: &str| {
        let totals = status["totals"].as_array().unwrap();
        totals.iter().find(|total| total["environment"] == environment && total["kind"] == kind).cloned()
    };
    let expected = |ready: u64, unknown: u64| {
        json!({
            "environment": "production", "kind": "KmsKey", "ready": ready, "notReady": 0, "unknown": unknown, "late": 0,
        })
    };
    assert_eq!(total(&unseen, "production", "KmsKey"), Some(expected(0, 2)));
    site.pass(KEY).await;
    assert_eq!(total(&site.get("/v1/status").await.body, "production", "KmsKey"), Some(expected(1, 1)));
    assert!(unseen["documents"]["accepted"].as_str().unwrap().starts_with("sha256:"));
    assert_eq!(unseen["documents"]["rejected"], json!([]));
}

#[tokio::test]
async fn what_someone_must_know_is_told_with_its_turn_and_fix() {
    let site = Site::new();
    site.pass(KEY).await;
    *site.outside.rotates.lock().unwrap() = false;
    site.clock.forward(Span::hours(1));
    site.pass(KEY).await;
    let status = site.get("/v1/status").await.body;
    let first = &status["attention"][0];
    assert_eq!((&first["reason"], &first["turn"]), (&json!("RotationOff"), &json!("Operator")), "{status}");
    assert_eq!(first["object"], json!({ "kind": "KmsKey", "namespace": "production", "name": "wrapping" }));
    assert_eq!(first["environment"], "production");
    assert!(!first["message"].as_str().unwrap().is_empty());
}

fn source(status: &Value, name: &str) -> Value {
    let sources = status["sources"].as_array().unwrap();
    sources.iter().find(|source| source["name"] == name).cloned().unwrap()
}

#[tokio::test]
async fn a_source_is_stale_once_it_has_been_silent_while_something_depends_on_it() {
    let site = Site::new();
    let now = START.0 / 1_000;
    site.shared.metrics.asked("kms/production", now, true);
    let status = site.get("/v1/status").await.body;
    let heard = json!({ "name": "kms/production", "observedAt": START.to_string(), "stale": false });
    assert_eq!(source(&status, "kms/production"), heard);
    assert_eq!(source(&status, "kms/staging"), json!({ "name": "kms/staging", "stale": true }));
    assert!(status["sources"].as_array().unwrap().iter().all(|source| source["name"] != "cloudflare/bare"));
    site.clock.forward(Span(Span::hours(2).0 + 1));
    assert_eq!(source(&site.get("/v1/status").await.body, "kms/production")["stale"], true);
}

#[tokio::test]
async fn asking_about_a_source_does_not_make_a_metric_of_it() {
    let site = Site::new();
    site.get("/v1/status").await;
    assert_eq!(site.shared.metrics.last_success("kms/production"), None);
    site.shared.metrics.asked("kms/production", 7, false);
    assert_eq!(site.shared.metrics.last_success("kms/production"), None);
    site.shared.metrics.asked("kms/production", 9, true);
    assert_eq!(site.shared.metrics.last_success("kms/production"), Some(9));
}

#[tokio::test]
async fn what_a_source_says_instead_of_answering_is_told() {
    let site = Site::new();
    *site.outside.edge.lock().unwrap() = Err(Failure::new(Reason::EdgeDenied, "the token lacks a permission"));
    site.pass("CustomHostname/production/documented").await;
    let told = source(&site.get("/v1/status").await.body, "cloudflare/production");
    assert_eq!(told["trouble"], "EdgeDenied: the token lacks a permission");
}
