//! What every request goes through: who speaks, which path, what it says.

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use serde_json::json;

use super::site::{Said, Site};
use crate::serve::Peer;

const SHOP: &str = "/v1/environments/production/hostnames/shop.customer.example";

fn put(path: &str, kind: &str, body: impl Into<Body>) -> Request<Body> {
    Request::put(path).header("content-type", kind).body(body.into()).unwrap()
}

fn is_error(said: &Said, status: u16, code: &str) {
    assert_eq!((said.status.as_u16(), said.code()), (status, code), "{}", said.body);
    assert_eq!(said.text("kind"), "Error");
    assert_eq!(said.headers[header::CONTENT_TYPE], "application/json");
    for field in ["message", "at", "fix"] {
        assert!(!said.text(field).is_empty() && !said.text(field).ends_with('.'), "{field}: {}", said.body);
    }
}

#[tokio::test]
async fn root_and_the_daemons_own_user_are_let_in_and_nobody_else() {
    let site = Site::new();
    let ours = rustix::process::geteuid().as_raw();
    let ask = |path: &str| Request::get(path).body(Body::empty()).unwrap();
    for user in [0, ours] {
        assert_eq!(site.hear_from(Some(user), ask("/v1/version")).await.status, StatusCode::OK);
    }
    let stranger = site.hear_from(Some(ours + 1), ask("/v1/version")).await;
    is_error(&stranger, 403, "CLV-0701");
    assert!(stranger.text("message").contains(&format!("uid:{}", ours + 1)), "{}", stranger.body);
    is_error(&site.hear_from(None, ask("/v1/version")).await, 403, "CLV-0701");
}

#[tokio::test]
async fn whoever_comes_by_a_port_forward_is_let_in_and_a_web_page_is_not() {
    let site = Site::new();
    let ask = |host: &str| Request::get("/v1/status").header("host", host).body(Body::empty()).unwrap();
    for host in ["127.0.0.1:9465", "localhost:18080", "LOCALHOST", "[::1]:9465", "127.0.0.1"] {
        assert_eq!(site.hear_by(Peer::Forwarded, ask(host)).await.status, StatusCode::OK, "{host}");
    }
    for host in ["rebound.example:9465", "127.0.0.1.rebound.example", "localhost.rebound.example", "10.0.0.1:9465", ""]
    {
        is_error(&site.hear_by(Peer::Forwarded, ask(host)).await, 403, "CLV-0711");
    }
    let nameless = Request::get("/v1/status").body(Body::empty()).unwrap();
    is_error(&site.hear_by(Peer::Forwarded, nameless).await, 403, "CLV-0711");
    for origin in ["https://elsewhere.example", "null", "http://localhost:9465"] {
        let mut page = put(SHOP, "application/json", r#"{"tenant":"t"}"#);
        page.headers_mut().insert("host", "localhost:9465".parse().unwrap());
        page.headers_mut().insert("origin", origin.parse().unwrap());
        is_error(&site.hear_by(Peer::Forwarded, page).await, 403, "CLV-0711");
    }
}

#[tokio::test]
async fn a_stranger_learns_nothing_about_what_there_is() {
    let site = Site::new();
    let stranger = Some(rustix::process::geteuid().as_raw() + 1);
    let mut said = Vec::new();
    for path in ["/v1/resources/kmskey/production/wrapping", "/v1/resources/kmskey/production/none", "/v1/nothing"] {
        let answer = site.hear_from(stranger, Request::get(path).body(Body::empty()).unwrap()).await;
        is_error(&answer, 403, "CLV-0701");
        said.push(answer.text("fix").to_owned());
    }
    said.dedup();
    assert_eq!(said.len(), 1, "{said:?}");
    is_error(&site.hear_from(stranger, put(SHOP, "application/json", "{")).await, 403, "CLV-0701");
}

#[tokio::test]
async fn an_unknown_path_is_told_with_what_was_most_likely_meant() {
    let site = Site::new();
    let said = site.get("/v1/statu").await;
    is_error(&said, 404, "CLV-0702");
    assert_eq!(said.text("fix"), "did you mean `/v1/status`?");
    is_error(&site.get("/").await, 404, "CLV-0702");
}

#[tokio::test]
async fn a_path_that_takes_other_methods_says_which() {
    let said = Site::new().send("POST", SHOP, None).await;
    is_error(&said, 405, "CLV-0703");
    assert_eq!(said.headers[header::ALLOW], "DELETE, GET, HEAD, PUT");
    assert!(said.text("message").contains("accepted: DELETE, GET, HEAD, PUT"), "{}", said.body);
}

#[tokio::test]
async fn tricks_in_a_path_are_refused_and_not_cleaned() {
    let site = Site::new();
    for path in [
        "/v1/resources/kmskey/production/..",
        "/v1/resources/kmskey/production%2fwrapping/x",
        "/v1/resources/kmskey/PRODUCTION/wrapping",
        "/v1/resources/kmskey/%ff/wrapping",
        "/v1/resources/environment/a/b",
        "/v1/resources/kmskey/wrapping",
    ] {
        is_error(&site.get(path).await, 400, "CLV-0704");
    }
    for path in ["/v1//status", "/v1/status/", "/V1/status", "/v1/./status"] {
        is_error(&site.get(path).await, 404, "CLV-0702");
    }
}

#[tokio::test]
async fn a_body_that_is_not_understood_is_told_with_its_place_and_what_is_accepted() {
    let site = Site::new();
    let said = site.hear(put(SHOP, "application/json", "{\"tenant\": \"a\",\n \"tenent\": 1}")).await;
    is_error(&said, 400, "CLV-0707");
    assert_eq!(said.text("at"), "body, line 2, column 9");
    assert_eq!(said.text("message"), "unknown field `tenent`, expected one of `tenant`, `validation`, `reference`");
    is_error(&site.hear(put(SHOP, "application/json", "{\"tenant\": ")).await, 400, "CLV-0706");
    is_error(&site.hear(put(SHOP, "application/json", "{\"tenant\": 1}")).await, 400, "CLV-0707");
    is_error(&site.hear(put(SHOP, "application/json", "{\"tenant\":\"a\",\"tenant\":\"b\"}")).await, 400, "CLV-0707");
    let deep = format!("{{\"tenant\": {}", "[".repeat(10_000));
    is_error(&site.hear(put(SHOP, "application/json; charset=utf-8", deep)).await, 400, "CLV-0707");
}

#[tokio::test]
async fn a_tenant_is_a_text_that_can_be_seen() {
    let site = Site::new();
    for tenant in ["", "a\u{202e}b", &"x".repeat(254)] {
        is_error(&site.send("PUT", SHOP, Some(json!({ "tenant": tenant }))).await, 400, "CLV-0707");
    }
}

#[tokio::test]
async fn a_body_of_another_type_or_too_large_is_refused() {
    let site = Site::new();
    is_error(&site.hear(put(SHOP, "text/plain", "{}")).await, 415, "CLV-0710");
    is_error(&site.hear(Request::put(SHOP).body(Body::from("{}")).unwrap()).await, 415, "CLV-0710");
    is_error(&site.hear(put(SHOP, "application/json", " ".repeat(64 * 1024 + 1))).await, 413, "CLV-0708");
}

#[tokio::test]
async fn a_query_is_read_strictly() {
    let site = Site::new();
    let path = "/v1/environments/production/hostnames";
    let said = site.get(&format!("{path}?tennant=a")).await;
    is_error(&said, 400, "CLV-0705");
    assert_eq!(said.text("fix"), "did you mean `tenant`?");
    for query in ["limit=0", "limit=5001", "limit=x", "limit=1&limit=2", "after=*"] {
        is_error(&site.get(&format!("{path}?{query}")).await, 400, "CLV-0705");
    }
    is_error(&site.get("/v1/environments/production/changes?cursor=-1").await, 400, "CLV-0705");
    assert_eq!(site.get(&format!("{path}?limit=5000")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_version_tells_release_and_api() {
    let said = Site::new().get("/v1/version").await;
    assert_eq!(
        said.body,
        json!({ "kind": "Version", "version": crate::VERSION, "apiVersion": "claviger.dev/v1alpha1" })
    );
}

#[tokio::test]
async fn a_head_is_a_get_without_its_body() {
    let said = Site::new().send("HEAD", "/v1/status", None).await;
    assert_eq!((said.status, said.body), (StatusCode::OK, json!(null)));
}

/// Words that routes and names are made of, and words that break them.
const PARTS: &[&str] = &[
    "v1",
    "resources",
    "environments",
    "hostnames",
    "plans",
    "execute",
    "check",
    "explanation",
    "kmskey",
    "environment",
    "production",
    "wrapping",
    "shop.customer.example",
    "",
    ".",
    "..",
    "%2e%2e",
    "%00",
    "%ff",
    "*",
    "xn--a.example",
    "%F0%9F%98%80",
];

const BODIES: &[&str] = &[
    "",
    "{",
    "null",
    "[]",
    "{}",
    "\"\\ud800\"",
    "1e999",
    r#"{"tenant":"a"}"#,
    r#"{"tenant":"\u0000"}"#,
    r#"{"reason":"x"}"#,
    r#"{"verb":"renew","object":{"kind":"KmsKey","namespace":"production","name":"wrapping"}}"#,
];

#[tokio::test]
async fn whatever_is_asked_is_answered_in_json_and_never_a_fault() {
    let site = Site::new();
    site.pass("KmsKey/production/wrapping").await;
    let mut lot = 1_u64;
    let mut draw = |from: usize| {
        lot = lot.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(lot >> 33).unwrap() % from
    };
    for _ in 0..3_000 {
        let path: String = (0..=draw(6)).map(|_| format!("/{}", PARTS[draw(PARTS.len())])).collect();
        let path = if draw(2) == 0 { format!("/v1{path}") } else { path };
        let method = ["GET", "PUT", "POST", "DELETE"][draw(4)];
        let request = Request::builder().method(method).uri(&path).header("content-type", "application/json");
        let said = site.hear(request.body(Body::from(BODIES[draw(BODIES.len())])).unwrap()).await;
        assert!(said.status.as_u16() < 500, "{method} {path}: {}", said.body);
        assert_eq!(said.status.is_success(), said.text("kind") != "Error", "{method} {path}: {}", said.body);
    }
}
