//! Customers' host names over the API.

use axum::http::{StatusCode, header};
use claviger_config::{Reason, Span, admin::HostnameChange};
use claviger_core::{domain::failure::Failure, ports::Source};
use serde_json::json;

use super::site::{START, Site, object};

const SHOP: &str = "/v1/environments/production/hostnames/shop.customer.example";
const OBJECT: &str = "CustomHostname/production/shop.customer.example";

async fn put(site: &Site) {
    let said = site.send("PUT", SHOP, Some(json!({ "tenant": "customer-gmbh" }))).await;
    assert_eq!(said.status, StatusCode::CREATED, "{}", said.body);
}

#[tokio::test]
async fn a_new_host_name_is_answered_with_its_record_before_anybody_has_looked() {
    let site = Site::new();
    let asked = json!({ "tenant": "customer-gmbh", "reference": "order-7" });
    let said = site.send("PUT", SHOP, Some(asked.clone())).await;
    assert_eq!(said.status, StatusCode::CREATED);
    assert_eq!(
        said.body,
        json!({
            "kind": "CustomHostname",
            "environment": "production",
            "hostname": "shop.customer.example",
            "id": "10359d4f9118c91a",
            "object": { "kind": "CustomHostname", "namespace": "production", "name": "shop.customer.example" },
            "origin": "Api",
            "tenant": "customer-gmbh",
            "reference": "order-7",
            "ready": false,
            "reason": "NotObserved",
            "turn": "Claviger",
            "records": [{
                "purpose": "Traffic", "type": "CNAME", "name": "shop.customer.example", "value": "saas.example.com",
                "verdict": "Unknown",
            }],
        })
    );
    let again = site.send("PUT", SHOP, Some(asked)).await;
    assert_eq!((again.status, again.body), (StatusCode::OK, said.body));
}

#[tokio::test]
async fn the_same_asked_twice_at_once_is_asked_once() {
    let site = Site::new();
    let ask = || site.send("PUT", SHOP, Some(json!({ "tenant": "customer-gmbh" })));
    let said = futures::future::join_all([ask(), ask(), ask()]).await;
    let mut statuses: Vec<u16> = said.iter().map(|said| said.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 201]);
    assert!(said.iter().all(|one| one.body == said[0].body));
    site.send("DELETE", SHOP, None).await;
    assert_eq!(site.journal(4).await.len(), 4);
}

#[tokio::test]
async fn after_a_pass_it_is_told_how_it_is_at_the_edge() {
    let site = Site::new();
    put(&site).await;
    site.pass(OBJECT).await;
    let said = site.get(SHOP).await;
    assert_eq!(said.status, StatusCode::OK);
    assert_eq!(said.body["edge"]["id"], "f00d");
    assert_eq!(said.body["edge"]["origin"], "Created");
    assert_eq!((said.text("reason"), said.text("turn")), ("AwaitingCustomerDns", "Customer"), "{}", said.body);
    assert_eq!(said.body["records"][0]["verdict"], "Add");
    assert!(said.body["nextCheck"].is_string(), "{}", said.body);
}

#[tokio::test]
async fn upper_case_is_the_same_name() {
    let site = Site::new();
    put(&site).await;
    let said = site.get(&SHOP.replace("shop", "SHOP")).await;
    assert_eq!((said.status, said.text("hostname")), (StatusCode::OK, "shop.customer.example"));
}

#[tokio::test]
async fn another_tenant_is_refused_and_both_are_named() {
    let site = Site::new();
    put(&site).await;
    let said = site.send("PUT", SHOP, Some(json!({ "tenant": "other-ag" }))).await;
    assert_eq!((said.status, said.code()), (StatusCode::CONFLICT, "CLV-0731"));
    assert!(
        said.text("message").contains("customer-gmbh") && said.text("message").contains("other-ag"),
        "{}",
        said.body
    );
    assert_eq!(said.text("at"), "shop.customer.example");
    assert_eq!(site.get(SHOP).await.text("tenant"), "customer-gmbh");
}

#[tokio::test]
async fn a_documents_host_name_belongs_to_its_document() {
    let site = Site::new();
    crate::ledger::claim_documents(&site.shared).await.unwrap();
    let path = SHOP.replace("shop", "documented");
    let shown = site.get(&path).await;
    assert_eq!((shown.text("origin"), &shown.body["object"]["name"]), ("Document", &json!("documented")));
    let put = site.send("PUT", &path, Some(json!({ "tenant": "customer-gmbh" }))).await;
    assert_eq!((put.status, put.code()), (StatusCode::CONFLICT, "CLV-0731"));
    let removed = site.send("DELETE", &path, None).await;
    assert_eq!((removed.status, removed.code()), (StatusCode::CONFLICT, "CLV-0732"));
    for said in [put, removed] {
        let message = said.text("message");
        assert!(message.contains("`CustomHostname/production/documented`, a document at fleet.yaml:"), "{message}");
    }
}

#[tokio::test]
async fn what_cannot_be_a_customers_host_name_is_told_how_to_write_it() {
    let site = Site::new();
    for (name, fix) in [
        ("m%C3%BCnchen.example", "write it as `xn--mnchen-3ya.example`"),
        ("%2A.customer.example", "write `customer.example`, and each further host name on its own"),
        ("shop.customer.example.", "write it as `shop.customer.example`"),
        ("192.0.2.1", "write the name"),
        ("shop.example:8443", "write the name"),
        ("localhost", "write the full name that the customer's visitors type, for example `shop.customer.example`"),
    ] {
        let path = format!("/v1/environments/production/hostnames/{name}");
        let said = site.send("PUT", &path, Some(json!({ "tenant": "a" }))).await;
        assert_eq!((said.status, said.code(), said.text("fix")), (StatusCode::BAD_REQUEST, "CLV-0730", fix), "{name}");
    }
}

#[tokio::test]
async fn where_a_host_name_may_not_go_says_why() {
    let site = Site::new();
    let ask = async |environment: &str, host: &str, validation: &str| {
        let path = format!("/v1/environments/{environment}/hostnames/{host}");
        let said = site.send("PUT", &path, Some(json!({ "tenant": "a", "validation": validation }))).await;
        (said.status.as_u16(), said.code().to_owned(), said.text("fix").to_owned())
    };
    let (status, code, fix) = ask("productoin", "shop.customer.example", "http").await;
    assert_eq!((status, code.as_str(), fix.as_str()), (404, "CLV-0722", "did you mean `production`?"));
    assert_eq!(ask("staging", "shop.customer.example", "http").await.0, 403);
    assert_eq!(ask("staging", "shop.customer.example", "http").await.1, "CLV-0733");
    assert_eq!(ask("bare", "shop.customer.example", "http").await.1, "CLV-0735");
    assert_eq!(ask("production", "shop.staging.example.com", "http").await.1, "CLV-0734");
    assert_eq!(ask("production", "shop.customer.example", "txt").await.1, "CLV-0736");
    assert!(site.journal(0).await.is_empty());
}

#[tokio::test]
async fn a_removed_host_name_is_no_longer_wanted_and_removing_it_twice_is_once() {
    let site = Site::new();
    put(&site).await;
    site.pass(OBJECT).await;
    for _ in 0..2 {
        let said = site.send("DELETE", SHOP, None).await;
        assert_eq!((said.status, said.body), (StatusCode::NO_CONTENT, json!(null)));
    }
    assert!(site.shared.documents.wanted(&object(OBJECT)).is_none());
    let said = site.get(SHOP).await;
    assert_eq!((said.status, said.code()), (StatusCode::NOT_FOUND, "CLV-0723"));
    site.pass(OBJECT).await;
    let released = site.get("/v1/resources/hostname/production/shop.customer.example").await;
    assert_eq!(released.body["status"]["conditions"][0]["reason"], "Released");
    assert!(released.body.get("spec").is_none());
    put(&site).await;
    assert_eq!(site.get(SHOP).await.text("reason"), "NotObserved");
}

#[tokio::test]
async fn who_adds_and_removes_stands_in_the_journal() {
    let site = Site::new();
    put(&site).await;
    site.send("PUT", SHOP, Some(json!({ "tenant": "customer-gmbh" }))).await;
    site.send("PUT", SHOP, Some(json!({ "tenant": "other-ag" }))).await;
    site.send("DELETE", SHOP, None).await;
    let lines: Vec<String> = site.journal(6).await.iter().map(ToString::to_string).collect();
    let of = |word: &str| lines.iter().filter(|line| line.contains(word)).count();
    assert_eq!((of("hostname.put"), of("hostname.remove")), (4, 2), "{lines:#?}");
    let user = format!("uid:{}", rustix::process::geteuid().as_raw());
    assert!(lines.iter().all(|line| line.contains(&user)), "{lines:#?}");
    assert!(lines[3].contains("Failed") && lines[3].contains("CLV-0731"), "{}", lines[3]);
}

#[tokio::test]
async fn a_check_looks_again_and_not_more_often_than_every_ten_seconds() {
    let site = Site::new();
    put(&site).await;
    site.pass(OBJECT).await;
    let path = format!("{SHOP}/check");
    let before = *site.outside.looks.lock().unwrap();
    let said = site.send("POST", &path, None).await;
    assert_eq!((said.status, said.text("hostname")), (StatusCode::OK, "shop.customer.example"), "{}", said.body);
    site.pass(OBJECT).await;
    assert_eq!(*site.outside.looks.lock().unwrap(), before + 1);
    site.clock.forward(Span(2_500));
    let soon = site.send("POST", &path, None).await;
    assert_eq!((soon.status, soon.code()), (StatusCode::TOO_MANY_REQUESTS, "CLV-0737"));
    assert_eq!(soon.headers[header::RETRY_AFTER], "8");
    site.clock.forward(Span(7_500));
    assert_eq!(site.send("POST", &path, None).await.status, StatusCode::OK);
    let unknown = site.send("POST", &path.replace("shop", "none"), None).await;
    assert_eq!((unknown.status, unknown.code()), (StatusCode::NOT_FOUND, "CLV-0723"));
}

#[tokio::test]
async fn a_check_before_the_first_pass_is_not_lost() {
    let site = Site::new();
    put(&site).await;
    assert_eq!(site.send("POST", &format!("{SHOP}/check"), None).await.status, StatusCode::OK);
    site.pass(OBJECT).await;
    assert_eq!(site.get(SHOP).await.body["edge"]["id"], "f00d");
}

#[tokio::test]
async fn a_check_while_the_edge_is_away_asks_once() {
    let site = Site::new();
    put(&site).await;
    site.pass(OBJECT).await;
    let before = *site.outside.looks.lock().unwrap();
    *site.outside.edge.lock().unwrap() = Err(Failure::new(Reason::EdgeUnreachable, "nobody answers"));
    site.send("POST", &format!("{SHOP}/check"), None).await;
    site.pass(OBJECT).await;
    assert_eq!(*site.outside.looks.lock().unwrap(), before + 1);
    assert_eq!(site.get(SHOP).await.text("reason"), "EdgeUnreachable");
}

#[tokio::test]
async fn host_names_are_listed_by_tenant_and_page_by_page() {
    let site = Site::new();
    for (name, tenant) in [("c", "two"), ("a", "one"), ("b", "one")] {
        let path = SHOP.replace("shop", name);
        assert_eq!(site.send("PUT", &path, Some(json!({ "tenant": tenant }))).await.status, StatusCode::CREATED);
    }
    let list = async |query: &str| {
        let said = site.get(&format!("/v1/environments/production/hostnames{query}")).await;
        assert_eq!((said.status, said.text("kind")), (StatusCode::OK, "List"), "{}", said.body);
        let names = said.body["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["hostname"].as_str().unwrap()[..1].to_owned());
        (names.collect::<Vec<_>>().concat(), said.text("next").to_owned())
    };
    assert_eq!(list("").await, ("abc".to_owned(), String::new()));
    assert_eq!(list("?tenant=one").await, ("ab".to_owned(), String::new()));
    assert_eq!(list("?limit=2").await, ("ab".to_owned(), "b.customer.example".to_owned()));
    assert_eq!(list("?limit=2&after=b.customer.example").await, ("c".to_owned(), String::new()));
    assert_eq!(list("?limit=3").await, ("abc".to_owned(), String::new()));
    assert_eq!(site.get("/v1/environments/none/hostnames").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn changes_are_told_from_a_cursor_on() {
    let site = Site::new();
    for (index, reason) in [Reason::NotObserved, Reason::AwaitingCustomerDns, Reason::Active].into_iter().enumerate() {
        let change = HostnameChange {
            cursor: 0,
            at: START + Span::seconds(index as i64),
            hostname: "shop.customer.example".parse().unwrap(),
            reason,
            ready: reason == Reason::Active,
        };
        site.shared.store.add_change("production".parse().unwrap(), change).await.unwrap();
    }
    let first = site.get("/v1/environments/production/changes?limit=2").await;
    assert_eq!(first.body["items"][1]["reason"], "AwaitingCustomerDns");
    assert_eq!(first.text("next"), "2");
    let second = site.get("/v1/environments/production/changes?cursor=2").await;
    assert_eq!(
        second.body,
        json!({ "kind": "List", "items": [{
            "cursor": 3, "at": (START + Span::seconds(2)).to_string(), "hostname": "shop.customer.example",
            "reason": "Active", "ready": true,
        }] })
    );
    assert_eq!(
        site.get("/v1/environments/production/changes?cursor=3").await.body,
        json!({ "kind": "List", "items": [] })
    );
}
