//! TLS Secrets that claviger did not make, on a real API server: found, told, followed, and never kept.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use claviger_tests::{ApiRequest, Canary, documents, promtool, wait_until};
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use serde_json::Value;

use crate::{
    ground::{REGION, SOON},
    operator::{Cluster, certificate},
};

/// The user that the daemon is to the API server.
const DAEMON: &str = "clavigerd";

/// A certificate of its own key that began and ends so many days from now.
fn self_signed(now: Timestamp, key: &KeyPair, begins: i64, ends: i64) -> Result<String> {
    let day = |days: i64| {
        let date = now.to_zoned(TimeZone::UTC).checked_add(days.days())?.date();
        anyhow::Ok(date_time_ymd(date.year().into(), date.month().try_into()?, date.day().try_into()?))
    };
    let mut parameters = CertificateParams::new(["shop.example.com".to_owned()])?;
    (parameters.not_before, parameters.not_after) = (day(begins)?, day(ends)?);
    Ok(parameters.self_signed(key)?.pem())
}

/// A Secret as somebody else would make it.
fn secret(namespace: &str, name: &str, metadata: &str, key: &KeyPair, chain: &str) -> String {
    let [key, chain] = [key.serialize_pem().as_str(), chain].map(|text| STANDARD.encode(text));
    format!(
        "apiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\nmetadata: {{ name: {name}, namespace: {namespace}{metadata} }}\n\
         data: {{ tls.key: {key}, tls.crt: {chain} }}\n"
    )
}

/// `production`, which claims a namespace of that name.
fn production() -> String {
    documents::environment("production", "210987654321", REGION)
        .production()
        .credentials("aws-credentials", "production")
        .with_wrapping_key()
}

/// Whether it lists or watches Secrets of that type.
fn looks_for_tls(request: &ApiRequest) -> bool {
    request.resource == "secrets" && request.uri.contains("kubernetes.io%2Ftls")
}

/// What `clavigerctl inventory` tells.
fn inventory(cluster: &Cluster) -> Vec<Value> {
    let told = cluster.ground.site.ctl_json(&["inventory"]).unwrap_or_default();
    told["items"].as_array().cloned().unwrap_or_default()
}

fn one(cluster: &Cluster, name: &str) -> Value {
    inventory(cluster).into_iter().find(|item| item["name"] == name).unwrap_or_default()
}

fn findings(item: &Value) -> Vec<&str> {
    item["findings"].as_array().into_iter().flatten().filter_map(|finding| finding["name"].as_str()).collect()
}

async fn wait_state(cluster: &Cluster, name: &str, state: &str) -> Result<Value> {
    let is = async || one(cluster, name)["state"] == state;
    let waited = wait_until(SOON, &format!("`{name}` to be {state}"), is).await;
    waited.with_context(|| format!("last told: {:#?}", inventory(cluster)))?;
    Ok(one(cluster, name))
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_secrets_of_others_are_told_with_end_and_owner_and_followed() -> Result<()> {
    let cluster = Cluster::new().await?;
    for namespace in ["production", "unclaimed"] {
        cluster.namespace(namespace).await?;
    }
    let now = cluster.ground.now();
    let (key, kept, shared) = (KeyPair::generate()?, KeyPair::generate()?, KeyPair::generate()?);
    let late = self_signed(now, &key, -80, 10)?;
    let by_cert_manager = ", annotations: { cert-manager.io/certificate-name: kept }";
    let foreign = [
        secret("staging", "old-tls", "", &key, &late),
        secret("staging", "kept-tls", by_cert_manager, &kept, &self_signed(now, &kept, -10, 80)?),
        secret("staging", "broken-tls", "", &kept, "nothing to see"),
        secret("staging", "copied-tls", "", &shared, &self_signed(now, &shared, -1, 80)?),
        secret("production", "copied-tls", "", &shared, &self_signed(now, &shared, -1, 80)?),
        secret("unclaimed", "hidden-tls", "", &key, &late),
    ];
    cluster.kubernetes.apply(&foreign.join("---\n")).await?;
    cluster.apply(&[production(), certificate("web", "www.staging.example.com")]).await?;
    let daemon = cluster.ground.start().await?;
    cluster.wait_ready("web").await?;

    let old = wait_state(&cluster, "old-tls", "Expiring").await?;
    ensure!(old["certificate"]["names"][0] == "shop.example.com" && findings(&old) == ["Unowned"], "{old:#}");
    let ends: Timestamp = old["certificate"]["notAfter"].as_str().context("it has an end")?.parse()?;
    let left = ends.duration_since(now).as_hours();
    ensure!((9 * 24 - 1..=10 * 24).contains(&left), "{left} hours are left: {old:#}");
    let kept = wait_state(&cluster, "kept-tls", "Valid").await?;
    ensure!(kept["managedBy"] == "cert-manager/kept" && findings(&kept).is_empty(), "{kept:#}");
    let broken = wait_state(&cluster, "broken-tls", "Unreadable").await?;
    ensure!(findings(&broken) == ["Unreadable", "Unowned"], "{broken:#}");
    let both = async || {
        let all = inventory(&cluster);
        let copies = all.iter().filter(|item| item["name"] == "copied-tls");
        copies.filter(|item| findings(item).contains(&"KeyShared")).count() == 2
    };
    wait_until(SOON, "the key that two environments share to be told in both", both).await?;
    let names: Vec<String> = inventory(&cluster).iter().map(|item| item["name"].to_string()).collect();
    ensure!(names.len() == 5 && names[0] == "\"old-tls\"", "neither ours nor what nobody claims: {names:?}");

    let metrics = daemon.metrics().await?;
    promtool::check_metrics(&metrics)?;
    for series in [
        "claviger_discovered_certificates{environment=\"staging\",state=\"Expiring\"} 1",
        "claviger_discovered_certificates{environment=\"staging\",state=\"Unreadable\"} 1",
        "claviger_discovered_certificates{environment=\"production\",state=\"Valid\"} 1",
        "claviger_discovered_certificate_earliest_not_after_timestamp_seconds{environment=\"staging\"} ",
    ] {
        ensure!(metrics.contains(series), "`{series}` is not in:\n{metrics}");
    }

    let fresh = self_signed(now, &key, -1, 89)?;
    cluster
        .kubernetes
        .apply(&secret("staging", "old-tls", ", labels: { claviger.dev/owner: shop }", &key, &fresh))
        .await?;
    let renewed = wait_state(&cluster, "old-tls", "Valid").await?;
    ensure!(renewed["owner"] == "shop" && findings(&renewed).is_empty(), "{renewed:#}");
    cluster.kubernetes.kubectl(&["delete", "secret", "old-tls", "--namespace=staging"], "").await?;
    wait_until(SOON, "what was deleted to go", async || one(&cluster, "old-tls").is_null()).await?;

    let requests = cluster.kubernetes.requests().await?;
    let read = |name: &str| {
        let reads = requests.iter().filter(|request| request.user == DAEMON && request.verb == "get");
        reads.filter(|request| request.resource == "secrets" && request.name == name).count()
    };
    assert_eq!(["old-tls", "kept-tls", "hidden-tls"].map(read), [2, 1, 0], "each version is read once");
    let watched: BTreeSet<&str> =
        requests.iter().filter(|request| looks_for_tls(request)).map(|request| request.namespace.as_str()).collect();
    ensure!(watched.into_iter().eq(["production", "staging"]), "where an environment is, and nowhere else");
    let secret = Canary::of(key.serialize_der().get(36..68).context("the scalar of a P-256 key")?);
    assert_eq!(secret.sightings_below(cluster.ground.site.path())?, [], "the key is nowhere");
    assert_eq!(secret.sightings_in("the metrics", daemon.metrics().await?), []);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_want_it_is_not_looked_at() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    cluster.ground.site.setting("discovery: { secrets: false }");
    let (now, key) = (cluster.ground.now(), KeyPair::generate()?);
    cluster.kubernetes.apply(&secret("staging", "old-tls", "", &key, &self_signed(now, &key, -80, 10)?)).await?;
    cluster.apply(&[certificate("web", "www.staging.example.com")]).await?;
    let _daemon = cluster.ground.start().await?;
    cluster.wait_ready("web").await?;
    ensure!(inventory(&cluster).is_empty(), "{:?}", inventory(&cluster));
    let requests = cluster.kubernetes.requests().await?;
    let reads = |request: &ApiRequest| request.name == "old-tls" && request.user == DAEMON;
    let looked = requests.iter().any(|request| looks_for_tls(request) || reads(request));
    ensure!(!looked, "it was looked for");
    Ok(())
}
