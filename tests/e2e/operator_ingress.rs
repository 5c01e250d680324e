//! Ingresses and Gateways that ask for certificates, on a real API server.

use anyhow::{Context, Result, ensure};
use claviger_tests::{Kubernetes, openssl, wait_until};
use serde_json::{Value, json};

use crate::{
    ground::SOON,
    operator::{Cluster, certificate, quiet},
};

/// An Ingress that asks for certificates; each entry is a Secret and its hosts.
pub(crate) fn ingress(name: &str, annotations: &str, tls: &[(&str, &[&str])]) -> String {
    let entry =
        |(secret, hosts): &(&str, &[&str])| format!("{{ secretName: {secret}, hosts: [{}] }}", hosts.join(", "));
    let tls: Vec<String> = tls.iter().map(entry).collect();
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: {name}\n  namespace: staging\n\
         \x20 annotations: {{ claviger.dev/issue: \"true\"{annotations} }}\nspec:\n\
         \x20 defaultBackend: {{ service: {{ name: web, port: {{ number: 80 }} }} }}\n  tls: [{}]\n",
        tls.join(", ")
    )
}

/// Waits until the certificate that was asked for is there and ready.
async fn wait_issued(cluster: &Cluster, name: &str) -> Result<Value> {
    let there = async || cluster.get("tlscertificate", "staging", name).await.is_ok();
    wait_until(SOON, &format!("the certificate `{name}` to be made"), there).await?;
    cluster.wait_ready(name).await?;
    cluster.get("tlscertificate", "staging", name).await
}

/// The Secret holds a pair that is valid for these names.
async fn serves(cluster: &Cluster, secret: &str, names: &[&str]) -> Result<()> {
    let (fields, root) = (cluster.secret(secret).await?, cluster.ground.pebble.issuing_root().await?);
    for name in names {
        openssl::verify(&fields["tls.crt"], &root, name)?;
    }
    let key = openssl::public_key_of_private_key(&fields["tls.key"])?;
    ensure!(openssl::public_key_of_certificate(&fields["tls.crt"])? == key, "key and certificate belong together");
    Ok(())
}

/// What events say about an object.
async fn told(cluster: &Cluster, kind: &str, name: &str) -> Result<Vec<String>> {
    let field = format!("--field-selector=involvedObject.kind={kind},involvedObject.name={name}");
    let events =
        cluster.kubernetes.kubectl(&["get", "events", "--namespace=staging", &field, "-o", "json"], "").await?;
    let events: Value = serde_json::from_str(&events)?;
    let items = events["items"].as_array().context("a list")?;
    let line = |event: &Value| format!("{} {}: {}", event["type"], event["reason"], event["message"]);
    Ok(items.iter().map(line).collect())
}

async fn wait_told(cluster: &Cluster, kind: &str, name: &str, words: &str) -> Result<()> {
    let found = async || told(cluster, kind, name).await.unwrap_or_default().iter().any(|line| line.contains(words));
    let waited = wait_until(SOON, &format!("an event on {kind} {name} with `{words}`"), found).await;
    let last = told(cluster, kind, name).await;
    waited.with_context(|| format!("last seen: {last:?}"))
}

async fn patch(cluster: &Cluster, kind: &str, name: &str, patch: &str) -> Result<()> {
    let arguments = ["patch", kind, name, "--namespace=staging", "--type=merge", "--patch", patch];
    cluster.kubernetes.kubectl(&arguments, "").await.map(drop)
}

const WWW: &str = "www.staging.example.com";
const API: &str = "api.staging.example.com";
const SHOP: &str = "shop.staging.example.com";

#[tokio::test(flavor = "multi_thread")]
async fn an_ingress_with_two_entries_gets_two_certificates_in_its_secrets() -> Result<()> {
    let cluster = Cluster::new().await?;
    let more = ", claviger.dev/issuers: pebble, claviger.dev/key-algorithm: ecdsa-p384";
    let asks = ingress("web", more, &[("web-tls", &[WWW, API]), ("shop-tls", &[SHOP])]);
    cluster.apply(&[asks, ingress("silent", "", &[]).replace("\"true\"", "\"false\"")]).await?;
    let _daemon = cluster.ground.start().await?;
    let web = wait_issued(&cluster, "web-tls").await?;
    wait_issued(&cluster, "shop-tls").await?;
    serves(&cluster, "web-tls", &[WWW, API]).await?;
    serves(&cluster, "shop-tls", &[SHOP]).await?;
    assert_eq!(web["spec"]["key"]["algorithm"], "ecdsa-p384");
    assert_eq!(web["spec"]["issuers"], json!([{ "name": "pebble" }]));

    let owner = &web["metadata"]["ownerReferences"][0];
    let ingress = cluster.get("ingress", "staging", "web").await?;
    ensure!(owner["kind"] == "Ingress" && owner["uid"] == ingress["metadata"]["uid"], "{web:#}");
    assert_eq!(told(&cluster, "Ingress", "web").await?, Vec::<String>::new());
    assert_eq!(cluster.ground.orders(), 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn other_hosts_are_issued_anew_and_anything_else_writes_nothing() -> Result<()> {
    let cluster = Cluster::new().await?;
    cluster.apply(&[ingress("web", ", claviger.dev/issuers: pebble", &[("web-tls", &[WWW])])]).await?;
    let daemon = cluster.ground.start().await?;
    wait_issued(&cluster, "web-tls").await?;
    // A person's own fields beside the ones that the Ingress asks for.
    let theirs = r#"{"metadata":{"labels":{"team":"web"}},"spec":{"key":{"algorithm":"ecdsa-p384"}}}"#;
    patch(&cluster, "tlscertificate", "web-tls", theirs).await?;
    wait_until(SOON, "the other key", async || cluster.ground.orders() == 2).await?;
    cluster.wait_ready("web-tls").await?;
    quiet(&cluster).await?;
    let before = cluster.deeds().await?.len();

    let unrelated = r#"{"metadata":{"labels":{"team":"web"}},"spec":{"rules":[{"host":"www.staging.example.com"}]}}"#;
    patch(&cluster, "ingress", "web", unrelated).await?;
    quiet(&cluster).await?;
    daemon.stop().await?;
    let _daemon = cluster.ground.start().await?;
    quiet(&cluster).await?;
    assert_eq!(cluster.deeds().await?.split_off(before), Vec::<String>::new());

    let hosts = format!(r#"{{"spec":{{"tls":[{{"secretName":"web-tls","hosts":["{WWW}","{API}"]}}]}}}}"#);
    patch(&cluster, "ingress", "web", &hosts).await?;
    wait_until(SOON, "the new host to be served", async || serves(&cluster, "web-tls", &[WWW, API]).await.is_ok())
        .await?;
    cluster.wait_ready("web-tls").await?;
    // An annotation that is taken away takes its field away, and nobody else's.
    patch(&cluster, "ingress", "web", r#"{"metadata":{"annotations":{"claviger.dev/issuers":null}}}"#).await?;
    let gone = async || {
        let web = cluster.get("tlscertificate", "staging", "web-tls").await.unwrap_or_default();
        web["spec"]["dnsNames"].is_array() && web["spec"].get("issuers").is_none()
    };
    wait_until(SOON, "the issuers to be the environment's again", gone).await?;
    let web = cluster.get("tlscertificate", "staging", "web-tls").await?;
    ensure!(web["metadata"]["labels"]["team"] == "web" && web["spec"]["key"]["algorithm"] == "ecdsa-p384", "{web:#}");

    // The certificate comes back when somebody deletes it: the Ingress still asks.
    cluster.kubernetes.kubectl(&["delete", "tlscertificate", "web-tls", "--namespace=staging"], "").await?;
    let again = wait_issued(&cluster, "web-tls").await?;
    ensure!(again["metadata"]["uid"] != web["metadata"]["uid"], "{again:#}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_a_person_wrote_is_left_alone_and_wrong_annotations_are_told() -> Result<()> {
    let cluster = Cluster::new().await?;
    let theirs = certificate("web-tls", WWW);
    let wrong =
        ingress("wrong", ", claviger.dev/key-algorithm: rsa-1024, claviger.dev/issuer: pebble", &[("w-tls", &[SHOP])]);
    cluster.apply(&[theirs, ingress("web", "", &[("web-tls", &[API])]), wrong]).await?;
    let _daemon = cluster.ground.start().await?;
    wait_told(&cluster, "Ingress", "web", "the TlsCertificate `web-tls` was not made for this Ingress").await?;
    wait_told(&cluster, "Ingress", "wrong", "found `rsa-1024`, accepted: `ecdsa-p256`").await?;
    wait_told(&cluster, "Ingress", "wrong", "unknown annotation `claviger.dev/issuer`").await?;
    cluster.wait_ready("web-tls").await?;
    quiet(&cluster).await?;
    let web = cluster.get("tlscertificate", "staging", "web-tls").await?;
    ensure!(web["spec"]["dnsNames"] == json!([WWW]), "{web:#}");
    ensure!(web["metadata"].get("ownerReferences").is_none() && web["metadata"]["generation"] == 1, "{web:#}");
    ensure!(
        cluster.get("tlscertificate", "staging", "w-tls").await.is_err(),
        "nothing is issued by a wrong annotation"
    );
    ensure!(told(&cluster, "Ingress", "web").await?.len() == 1, "one event, however often it is looked at");

    patch(&cluster, "ingress", "wrong", r#"{"metadata":{"annotations":{"claviger.dev/key-algorithm":"rsa-2048"}}}"#)
        .await?;
    wait_issued(&cluster, "w-tls").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_of_a_gateway_that_share_a_secret_get_one_certificate_with_all_names() -> Result<()> {
    let cluster = Cluster::new().await?;
    know_gateways(&cluster.kubernetes).await?;
    let listener = |name: &str, host: &str, secret: &str| {
        format!(
            "{{ name: {name}, port: 443, protocol: HTTPS, hostname: {host}, tls: {{ certificateRefs: [{{ name: {secret} }}] }} }}"
        )
    };
    let listeners =
        [listener("www", WWW, "web-tls"), listener("shop", SHOP, "shop-tls"), listener("api", API, "web-tls")];
    let gateway = format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata:\n  name: edge\n  namespace: staging\n\
         \x20 annotations: {{ claviger.dev/issue: \"true\" }}\nspec: {{ gatewayClassName: any, listeners: [{}] }}\n",
        listeners.join(", ")
    );
    cluster.apply(&[gateway]).await?;
    let _daemon = cluster.ground.start().await?;
    let web = wait_issued(&cluster, "web-tls").await?;
    wait_issued(&cluster, "shop-tls").await?;
    assert_eq!(web["spec"]["dnsNames"], json!([WWW, API]));
    assert_eq!(web["metadata"]["ownerReferences"][0]["kind"], "Gateway");
    serves(&cluster, "web-tls", &[WWW, API]).await?;
    serves(&cluster, "shop-tls", &[SHOP]).await?;
    assert_eq!(cluster.ground.orders(), 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_get_what_they_say() -> Result<()> {
    let cluster = Cluster::new().await?;
    know_gateways(&cluster.kubernetes).await?;
    cluster.kubernetes.apply(include_str!("../../config/examples/kubernetes/ingress.yaml")).await?;
    cluster.apply(&[]).await?;
    let _daemon = cluster.ground.start().await?;
    let names = async |name: &str| {
        let there = async || cluster.get("tlscertificate", "staging", name).await.is_ok();
        wait_until(SOON, &format!("the certificate `{name}`"), there).await?;
        Ok::<_, anyhow::Error>(cluster.get("tlscertificate", "staging", name).await?["spec"].clone())
    };
    let shop = names("shop-tls").await?;
    assert_eq!(shop["dnsNames"], json!([SHOP, "cart.staging.example.com"]));
    let issuers = ["letsencrypt", "letsencrypt-staging"].map(|name| json!({ "name": name, "profile": "tlsserver" }));
    assert_eq!(shop["issuers"], json!(issuers));
    assert_eq!(names("api-tls").await?["dnsNames"], json!([API]));
    assert_eq!(names("edge-tls").await?["dnsNames"], json!([WWW, "blog.staging.example.com"]));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_may_be_shared_and_an_ingress_made_anew_takes_its_certificate_over() -> Result<()> {
    let cluster = Cluster::new().await?;
    let first = ingress("first", "", &[("web-tls", &[WWW, API])]);
    cluster.apply(std::slice::from_ref(&first)).await?;
    let daemon = cluster.ground.start().await?;
    let before = wait_issued(&cluster, "web-tls").await?;
    let others = [ingress("fits", "", &[("web-tls", &[API])]), ingress("lacks", "", &[("web-tls", &[API, SHOP])])];
    cluster.kubernetes.apply(&others.join("---\n")).await?;
    wait_told(&cluster, "Ingress", "lacks", "was made for the Ingress `first` and lacks `shop.staging.example.com`")
        .await?;
    assert_eq!(told(&cluster, "Ingress", "fits").await?, Vec::<String>::new());

    // No controller deletes here what has lost its owner, so the new one finds the certificate of the old one.
    cluster.kubernetes.kubectl(&["delete", "ingress", "first", "--namespace=staging"], "").await?;
    cluster.kubernetes.apply(&first).await?;
    let owner = |object: &Value| object["metadata"]["ownerReferences"][0]["uid"].clone();
    let ingress = cluster.get("ingress", "staging", "first").await?;
    let taken = async || {
        let web = cluster.get("tlscertificate", "staging", "web-tls").await.unwrap_or_default();
        owner(&web) == ingress["metadata"]["uid"]
    };
    wait_until(SOON, "the new owner", taken).await?;
    let after = cluster.get("tlscertificate", "staging", "web-tls").await?;
    ensure!(after["metadata"]["uid"] == before["metadata"]["uid"] && owner(&after) != owner(&before), "{after:#}");
    ensure!(after["metadata"]["ownerReferences"].as_array().is_some_and(|owners| owners.len() == 1), "{after:#}");
    assert_eq!(cluster.ground.orders(), 1);
    ensure!(!daemon.log().to_lowercase().contains("gateway"), "a cluster without Gateways is nothing to speak of");
    Ok(())
}

pub(crate) async fn know_gateways(kubernetes: &Kubernetes) -> Result<()> {
    kubernetes.apply(GATEWAYS).await?;
    let known = ["wait", "--for=condition=Established", "crd", "gateways.gateway.networking.k8s.io", "--timeout=60s"];
    kubernetes.kubectl(&known, "").await.map(drop)
}

/// As much of the definition as a Gateway needs here.
const GATEWAYS: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: gateways.gateway.networking.k8s.io
  annotations: { api-approved.kubernetes.io: unapproved }
spec:
  group: gateway.networking.k8s.io
  scope: Namespaced
  names: { kind: Gateway, listKind: GatewayList, plural: gateways, singular: gateway }
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec: { type: object, x-kubernetes-preserve-unknown-fields: true }
";
