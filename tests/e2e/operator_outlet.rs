//! Secrets as outlets, on a real API server: what stands around the pair.

use anyhow::{Result, ensure};
use claviger_tests::wait_until;
use serde_json::Value;

use crate::{
    ground::SOON,
    operator::{Cluster, certificate},
};

const NAME: &str = "www.staging.example.com";

/// `web`, whose Secret has these labels and annotations.
fn web(labels: &str, annotations: &str) -> String {
    let metadata = format!("name: web-tls, labels: {{ {labels} }}, annotations: {{ {annotations} }}");
    certificate("web", NAME).replace("name: web-tls", &metadata)
}

/// Waits until the Secret has, and has not, these.
async fn wait_metadata(cluster: &Cluster, what: &str, holds: impl Fn(&Value) -> bool) -> Result<()> {
    let found =
        async || cluster.get("secret", "staging", "web-tls").await.is_ok_and(|secret| holds(&secret["metadata"]));
    wait_until(SOON, what, found).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_has_the_labels_and_annotations_of_its_outlet_and_keeps_its_key() -> Result<()> {
    let cluster = Cluster::new().await?;
    cluster.apply(&[web("team: web", "reflect.example.com/to: shop")]).await?;
    let _daemon = cluster.ground.start().await?;
    cluster.wait_ready("web").await?;
    let before = cluster.secret("web-tls").await?;
    let whole = |metadata: &Value| {
        metadata["labels"]["team"] == "web" && metadata["annotations"]["reflect.example.com/to"] == "shop"
    };
    wait_metadata(&cluster, "labels and annotations", whole).await?;

    let spoilt =
        r#"{"metadata":{"labels":{"team":null,"theirs":"stays"},"annotations":{"reflect.example.com/to":"all"}}}"#;
    let patch = ["patch", "secret", "web-tls", "--namespace=staging", "--type=merge", "--patch", spoilt];
    cluster.kubernetes.kubectl(&patch, "").await?;
    wait_metadata(&cluster, "what was edited by hand to come back", whole).await?;

    cluster.kubernetes.apply(&web("tier: front", "")).await?;
    let follows = |metadata: &Value| {
        metadata["labels"]["tier"] == "front"
            && metadata["labels"].get("team").is_none()
            && metadata["annotations"].get("reflect.example.com/to").is_none()
    };
    wait_metadata(&cluster, "the document's new labels", follows).await?;
    let secret = cluster.get("secret", "staging", "web-tls").await?;
    ensure!(secret["metadata"]["labels"]["theirs"] == "stays", "{secret:#}");
    ensure!(secret["metadata"]["annotations"]["claviger.dev/certificate"] == "web", "{secret:#}");
    assert_eq!(cluster.secret("web-tls").await?, before);
    assert_eq!(cluster.ground.orders(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_secret_in_the_document_is_filled_at_once() -> Result<()> {
    let cluster = Cluster::new().await?;
    cluster.apply(&[certificate("web", NAME)]).await?;
    let _daemon = cluster.ground.start().await?;
    cluster.wait_ready("web").await?;
    let before = cluster.secret("web-tls").await?;
    cluster.kubernetes.apply(&certificate("web", NAME).replace("web-tls", "other-tls")).await?;
    let there = async || cluster.secret("other-tls").await.is_ok_and(|now| now == before);
    wait_until(SOON, "the other secret", there).await?;
    assert_eq!(cluster.ground.orders(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_our_own_are_refused_when_they_are_applied() -> Result<()> {
    let cluster = Cluster::new().await?;
    let own = ["claviger.dev/certificate: other", "app.kubernetes.io/managed-by: me"];
    for (labels, annotations) in [(own[1], ""), ("", own[0]), (own[0], ""), ("", own[1])] {
        let refused = cluster.kubernetes.apply(&web(labels, annotations)).await.expect_err("it is refused");
        ensure!(format!("{refused:#}").contains("are claviger's own: remove them"), "{refused:#}");
    }
    cluster.kubernetes.apply(&web("app.kubernetes.io/name: web", "any/key: \"any value\"")).await.map(drop)
}
