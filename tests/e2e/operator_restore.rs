//! Objects that come back: restored without status into another cluster, made anew under the same name, renamed, with their definitions
//! gone and there again, from a newer version. What serves goes on serving; nothing is ordered or made twice.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use claviger_tests::{Kubernetes, wait_until};
use serde_json::{Value, json};

use crate::{
    ground::SOON,
    operator::{Cluster, NAME, certificate, definitions, quiet},
    operator_chart::{NAMESPACE, rendered},
};

/// What was made outside: orders, keys, accounts.
fn made(cluster: &Cluster) -> (usize, usize, usize) {
    let ground = &cluster.ground;
    (ground.orders(), ground.aws.count_done_actions("CreateKey"), ground.accounts())
}

/// A cluster in which `web` is ready.
async fn in_order() -> Result<Cluster> {
    let cluster = Cluster::new().await?;
    cluster.apply(&[certificate("web", NAME)]).await?;
    Ok(cluster)
}

async fn uid(cluster: &Cluster, kind: &str, name: &str) -> Result<Value> {
    Ok(cluster.get(kind, "staging", name).await?["metadata"]["uid"].clone())
}

/// Everything of these kinds, as a backup tool keeps it: without status, without what the server adds.
async fn backed_up(cluster: &Cluster) -> Result<String> {
    let kinds = "secrets,environments,kmskeys,tlscertificates";
    let text = cluster.kubernetes.kubectl(&["get", kinds, "--all-namespaces", "-o", "json"], "").await?;
    let mut list: Value = serde_json::from_str(&text)?;
    for object in list["items"].as_array_mut().context("a list")? {
        let fields = object.as_object_mut().context("an object")?;
        fields.remove("status");
        let metadata = fields["metadata"].as_object_mut().context("it has metadata")?;
        for field in ["uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "ownerReferences"] {
            metadata.remove(field);
        }
    }
    list["metadata"] = json!({});
    Ok(list.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_without_status_into_another_cluster_orders_and_makes_nothing() -> Result<()> {
    let (mut cluster, fresh) = tokio::try_join!(in_order(), Kubernetes::start())?;
    let daemon = cluster.ground.start().await?;
    cluster.wait_ready("web").await?;
    quiet(&cluster).await?;
    let (before, outside, backup) = (cluster.secret("web-tls").await?, made(&cluster), backed_up(&cluster).await?);
    let old = uid(&cluster, "tlscertificate", "web").await?;
    daemon.stop().await?;
    std::fs::remove_dir_all(cluster.ground.site.path().join("state"))?;

    fresh.apply(&definitions()?).await?;
    fresh.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"], "").await?;
    fresh.kubectl(&["create", "namespace", "staging"], "").await?;
    fresh.kubectl(&["create", "--filename=-"], &backup).await?;
    cluster.moved_to(fresh)?;
    let _daemon = cluster.ground.start().await?;
    cluster.wait_ready("web").await?;
    quiet(&cluster).await?;
    ensure!(uid(&cluster, "tlscertificate", "web").await? != old, "they are other objects");
    ensure!(cluster.secret("web-tls").await? == before, "the same key and certificate");
    assert_eq!(made(&cluster), outside);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_and_made_anew_under_its_name_takes_over_what_serves_and_no_memory() -> Result<()> {
    let cluster = in_order().await?;
    let daemon = cluster.ground.start().await?;
    cluster.wait_ready("web").await?;
    quiet(&cluster).await?;
    let (before, outside) = (cluster.secret("web-tls").await?, made(&cluster));
    for (kind, document) in [
        ("tlscertificate/web", certificate("web", NAME)),
        ("tlscertificate/web", certificate("web", NAME)),
        ("environment/staging", cluster.ground.staging().yaml()),
    ] {
        cluster.kubernetes.kubectl(&["delete", kind, "--namespace=staging"], "").await?;
        quiet(&cluster).await?;
        ensure!(cluster.secret("web-tls").await? == before, "the Secret stays and serves");
        cluster.kubernetes.apply(&document).await?;
        cluster
            .kubernetes
            .kubectl(&["wait", "--for=condition=Ready", kind, "--namespace=staging", "--timeout=90s"], "")
            .await?;
        cluster.wait_ready("web").await?;
    }
    // Another name, and the old one gone: the Secret is of the document that names it.
    let renamed = certificate("other", NAME).replace("other-tls", "web-tls");
    cluster.kubernetes.kubectl(&["delete", "tlscertificate/web", "--namespace=staging"], "").await?;
    cluster.kubernetes.apply(&renamed).await?;
    cluster.wait_ready("other").await?;
    quiet(&cluster).await?;
    ensure!(cluster.secret("web-tls").await? == before, "the same key and certificate");
    let secret = cluster.get("secret", "staging", "web-tls").await?;
    ensure!(secret["metadata"]["annotations"]["claviger.dev/certificate"] == "other", "{secret:#}");
    assert_eq!(made(&cluster), outside);
    let troubles = daemon.log().lines().filter(|line| line.contains("ERROR")).map(str::to_owned).collect::<Vec<_>>();
    ensure!(troubles.is_empty(), "{troubles:#?}");

    // Another object of the name that wants other names adopts neither certificate nor order.
    cluster.kubernetes.apply(&certificate("web", "api.staging.example.com").replace("web-tls", "api-tls")).await?;
    cluster.wait_ready("web").await?;
    ensure!(cluster.secret("api-tls").await?["tls.key"] != before["tls.key"], "a key of its own");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn definitions_that_are_missing_older_or_gone_for_a_while_end_nothing_and_the_secret_serves() -> Result<()> {
    let cluster = in_order().await?;
    let daemon = cluster.ground.start().await?;
    cluster.wait_ready("web").await?;
    quiet(&cluster).await?;
    let (before, outside) = (cluster.secret("web-tls").await?, made(&cluster));
    let crd = "crd/tlscertificates.claviger.dev";

    // An older definition without a field of the status: it is pruned, and nothing is written over and over for it.
    let text = cluster.kubernetes.kubectl(&["get", crd, "-o", "json"], "").await?;
    let mut older: Value = serde_json::from_str(&text)?;
    let status = &mut older["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"];
    status.as_object_mut().context("fields")?.remove("renewal").context("it is there")?;
    cluster.kubernetes.kubectl(&["replace", "--filename=-"], &older.to_string()).await?;
    cluster.kubernetes.kubectl(&["annotate", "tlscertificate/web", "--namespace=staging", "poked=yes"], "").await?;
    quiet(&cluster).await?;
    cluster.wait_ready("web").await?;

    // Gone, with every object of the kind.
    let (mark, kept) = (daemon.log().len(), definitions()?);
    cluster.kubernetes.kubectl(&["delete", crd], "").await?;
    let told = async || daemon.log()[mark..].contains("tlscertificates.claviger.dev");
    wait_until(SOON, "the missing definition to be told", told).await?;
    ensure!(cluster.secret("web-tls").await? == before, "the Secret stays and serves");
    daemon.stop().await?;
    let daemon = cluster.ground.start().await?;
    let told = async || daemon.log().contains("tlscertificates.claviger.dev") && daemon.log().contains("404");
    wait_until(SOON, "a start without the definition", told).await?;

    cluster.kubernetes.apply(&kept).await?;
    cluster.kubernetes.kubectl(&["wait", "--for=condition=Established", crd, "--timeout=60s"], "").await?;
    let again = async || cluster.kubernetes.apply(&certificate("web", NAME)).await.is_ok();
    wait_until(SOON, "the kind to be served again", again).await?;
    cluster.wait_ready("web").await?;
    ensure!(cluster.secret("web-tls").await? == before, "the same key and certificate");
    assert_eq!(made(&cluster), outside);
    Ok(())
}

/// A record of a version that is not known yet, and a Secret that the API server does not take.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_a_newer_version_and_a_secret_that_is_too_big_are_refused_and_what_serves_stays() -> Result<()> {
    let cluster = in_order().await?;
    let daemon = cluster.ground.start().await?;
    cluster.wait_ready("web").await?;
    quiet(&cluster).await?;
    let (before, outside) = (cluster.secret("web-tls").await?, made(&cluster));
    let big = certificate("web", NAME)
        .replace("name: web-tls", &format!("name: web-tls, annotations: {{ {} }}", annotations()));
    cluster.kubernetes.kubectl(&["apply", "--server-side", "--force-conflicts", "--filename=-"], &big).await?;
    let refused = async || {
        let web = cluster.get("tlscertificate", "staging", "web").await.unwrap_or_default();
        web["status"]["attention"]["message"]
            .as_str()
            .is_some_and(|message| message.contains("web-tls") && message.contains("Too long"))
    };
    wait_until(SOON, "the reason why it cannot be delivered", refused)
        .await
        .with_context(|| format!("{:#}", cluster.ground.certificate("web")))?;
    ensure!(cluster.secret("web-tls").await? == before, "what was in service stays");
    cluster.kubernetes.kubectl(&["replace", "--filename=-"], &certificate("web", NAME)).await?;
    cluster.wait_ready("web").await?;
    daemon.stop().await?;

    let record = newer(&cluster).await?;
    let patch = json!({ "status": { "record": record } }).to_string();
    let forge = [
        "patch",
        "tlscertificate",
        "web",
        "--namespace=staging",
        "--subresource=status",
        "--type=merge",
        "--patch",
        &patch,
    ];
    cluster.kubernetes.kubectl(&forge, "").await?;
    let daemon = cluster.ground.start().await?;
    let told = async || daemon.log().contains("newer") && daemon.log().contains("TlsCertificate/staging/web");
    wait_until(SOON, "the reason why it is left alone", told).await?;
    quiet(&cluster).await?;
    let web = cluster.get("tlscertificate", "staging", "web").await?;
    ensure!(web["status"]["record"] == record, "it is left as it is: {web:#}");
    ensure!(cluster.secret("web-tls").await? == before, "what was in service stays");
    assert_eq!(made(&cluster), outside);
    Ok(())
}

/// More than the API server lets annotations have: 256 KiB.
fn annotations() -> String {
    let value = "x".repeat(9_000);
    (0..30).map(|number| format!("example.com/{number}: {value}")).collect::<Vec<_>>().join(", ")
}

/// The record of `web`, as a later version would have written it.
async fn newer(cluster: &Cluster) -> Result<String> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let web = cluster.get("tlscertificate", "staging", "web").await?;
    let mut kept: Value =
        serde_json::from_slice(&STANDARD.decode(web["status"]["record"].as_str().context("a record")?)?)?;
    kept["schema"] = json!(99);
    Ok(STANDARD.encode(kept.to_string()))
}

#[tokio::test(flavor = "multi_thread")]
async fn uninstalling_leaves_every_secret_and_every_document() -> Result<()> {
    let cluster = in_order().await?;
    cluster.namespace(NAMESPACE).await?;
    let chart = rendered(&cluster.kubernetes).await?;
    cluster.kubernetes.kubectl(&["apply", "--server-side", "--force-conflicts", "--filename=-"], &chart).await?;
    let daemon = cluster.ground.start().await?;
    cluster.wait_ready("web").await?;
    let before: BTreeMap<_, _> = cluster.secret("web-tls").await?;
    daemon.stop().await?;
    // As Helm does: whatever is to be kept says so.
    let parts = chart.split("\n---").filter(|part| !part.contains("helm.sh/resource-policy: keep"));
    let removed = parts.collect::<Vec<_>>().join("\n---");
    ensure!(!removed.contains("kind: CustomResourceDefinition") && removed.contains("kind: ClusterRole"), "{removed}");
    cluster.kubernetes.kubectl(&["delete", "--ignore-not-found", "--wait=false", "--filename=-"], &removed).await?;
    ensure!(cluster.secret("web-tls").await? == before, "it stays and serves");
    let web = cluster.get("tlscertificate", "staging", "web").await?;
    ensure!(web["status"]["conditions"][0]["status"] == "True", "{web:#}");
    Ok(())
}
