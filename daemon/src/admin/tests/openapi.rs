//! The OpenAPI document: committed, and true of the router.

use std::{collections::BTreeSet, path::PathBuf};

use axum::http::StatusCode;
use serde_json::Value;

use super::site::Site;
use crate::admin::{openapi, table::ROUTES};

fn golden() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/openapi.json")
}

#[test]
fn the_committed_document_is_the_one_that_is_served() {
    let document = serde_json::to_string_pretty(&openapi::document(ROUTES)).unwrap() + "\n";
    if std::env::var_os("CLAVIGER_ACCEPT").is_some() {
        std::fs::create_dir_all(golden().parent().unwrap()).unwrap();
        std::fs::write(golden(), &document).unwrap();
    }
    let committed = std::fs::read_to_string(golden()).unwrap_or_default();
    let changed = committed.lines().zip(document.lines()).position(|(left, right)| left != right);
    assert!(
        committed == document,
        "tests/golden/openapi.json differs from line {:?} on: look at the change, then accept it with CLAVIGER_ACCEPT=1",
        changed.map(|line| line + 1)
    );
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_used() {
    let document = openapi::document(ROUTES);
    let mut references = BTreeSet::new();
    collect(&document, &mut references);
    let schemas: BTreeSet<String> = document["components"]["schemas"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(references, schemas);
}

fn collect(value: &Value, references: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                references.insert(reference.strip_prefix("#/components/schemas/").unwrap().to_owned());
            }
            fields.values().for_each(|value| collect(value, references));
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, references)),
        _ => {}
    }
}

/// A path with its parts filled in.
fn filled(path: &str) -> String {
    let part = |part: &str| match part {
        "{kind}" => "kmskey".to_owned(),
        "{environment}" => "production".to_owned(),
        "{hostname}" => "shop.customer.example".to_owned(),
        part => part.trim_start_matches('{').trim_end_matches('}').to_owned(),
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn the_router_takes_what_the_document_says_and_nothing_else() {
    let site = Site::new();
    let document = openapi::document(ROUTES);
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in ["GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
            let said = site.send(method, &filled(path), None).await;
            let told = operations.get(method.to_ascii_lowercase()).is_some();
            let taken = said.status != StatusCode::METHOD_NOT_ALLOWED && said.code() != "CLV-0702";
            assert_eq!(taken, told, "{method} {path}: {}", said.status);
        }
    }
    assert_eq!(site.get("/v1/openapi.json").await.body, document);
}

#[tokio::test]
async fn every_answer_has_a_status_that_the_document_tells() {
    let site = Site::new();
    let document = openapi::document(ROUTES);
    for route in ROUTES {
        let said = site.send(route.method.as_str(), &filled(route.path), None).await;
        let method = route.method.as_str().to_ascii_lowercase();
        let responses = &document["paths"][route.path][method]["responses"];
        assert!(responses.get(said.status.as_str()).is_some(), "{} {}: {}", route.method, route.path, said.status);
    }
}

#[test]
fn names_are_unique_and_every_sentence_ends() {
    let ids: BTreeSet<_> = ROUTES.iter().map(|route| route.id).collect();
    assert_eq!(ids.len(), ROUTES.len());
    for route in ROUTES {
        assert!(route.says.ends_with('.') && !route.verb.is_empty() && !route.gives.is_empty(), "{}", route.id);
    }
}
