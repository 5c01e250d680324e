//! The operator on a real API server: custom resources in, Secrets out, and what that costs.

use std::{collections::BTreeMap, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use claviger_tests::{ApiRequest, Kubeconfig, Kubernetes, documents, openssl, tools, wait_until};
use serde_json::Value;

use crate::ground::{Ground, SOON};

const NAME: &str = "www.staging.example.com";
/// The user that the daemon is to the API server.
const DAEMON: &str = "clavigerd";

/// A cluster with our definitions, and a daemon's folder that speaks to it, to Pebble and to moto.
pub(crate) struct Cluster {
    pub(crate) kubernetes: Kubernetes,
    pub(crate) ground: Ground,
    pub(crate) daemon: Kubeconfig,
}

impl Cluster {
    pub(crate) async fn new() -> Result<Self> {
        let (kubernetes, mut ground) = tokio::try_join!(Kubernetes::start(), Ground::new())?;
        let daemon = kubernetes.kubeconfig_for(DAEMON, &["system:masters"])?;
        kubernetes.apply(&definitions()?).await?;
        kubernetes.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"], "").await?;
        ground.site.in_cluster(daemon.path());
        let cluster = Self { kubernetes, ground, daemon };
        cluster.namespace("staging").await?;
        Ok(cluster)
    }

    pub(crate) async fn namespace(&self, name: &str) -> Result<()> {
        self.kubernetes.kubectl(&["create", "namespace", name], "").await.map(drop)
    }

    /// `staging`, its wrapping key, and these.
    pub(crate) async fn apply(&self, more: &[String]) -> Result<()> {
        let all = [&[self.ground.staging().with_wrapping_key()], more].concat();
        self.kubernetes.apply(&all.join("---\n")).await.map(drop)
    }

    /// Waits as a person would: with kubectl.
    pub(crate) async fn wait_ready(&self, certificate: &str) -> Result<()> {
        let object = format!("tlscertificate/{certificate}");
        let wait = ["wait", "--for=condition=Ready", &object, "--namespace=staging", "--timeout=90s"];
        match self.kubernetes.kubectl(&wait, "").await {
            Ok(_) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("last seen: {:#}", self.ground.certificate(certificate))),
        }
    }

    pub(crate) async fn get(&self, kind: &str, namespace: &str, name: &str) -> Result<Value> {
        let text = self.kubernetes.kubectl(&["get", kind, name, "--namespace", namespace, "-o", "json"], "").await?;
        Ok(serde_json::from_str(&text)?)
    }

    /// The fields of a Secret.
    pub(crate) async fn secret(&self, name: &str) -> Result<BTreeMap<String, String>> {
        let secret = self.get("secret", "staging", name).await?;
        let fields = secret["data"].as_object().context("it has data")?;
        fields.iter().map(|(name, value)| Ok((name.clone(), decoded(value)?))).collect()
    }

    /// What the daemon wrote, as `patch tlscertificates/status`, less the Lease that it keeps.
    pub(crate) async fn deeds(&self) -> Result<Vec<String>> {
        let writes = self.kubernetes.writes_by(DAEMON).await?;
        let done = writes.iter().filter(|write| write.done() && write.resource != "leases");
        Ok(done.map(ApiRequest::deed).collect())
    }
}

/// What `clavigerd crds` prints.
fn definitions() -> Result<String> {
    let printed = Command::new(tools::binary("clavigerd")?).arg("crds").output()?;
    ensure!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    Ok(String::from_utf8(printed.stdout)?)
}

fn decoded(value: &Value) -> Result<String> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    Ok(String::from_utf8(STANDARD.decode(value.as_str().unwrap_or_default())?)?)
}

/// A certificate for one name whose outlet is a Secret.
pub(crate) fn certificate(name: &str, host: &str) -> String {
    documents::certificate("staging", name, &[host], "")
        .replace(&format!("files: {{ directory: {name} }}"), &format!("secret: {{ name: {name}-tls }}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_lies_in_its_secret_for_four_writes_and_two_events_at_most() -> Result<()> {
    let cluster = Cluster::new().await?;
    cluster.apply(&[certificate("first", "api.staging.example.com")]).await?;
    let _daemon = cluster.ground.start().await?;
    cluster.wait_ready("first").await?;
    quiet(&cluster).await?; // account and wrapping key are there
    let before = cluster.deeds().await?.len();
    cluster.apply(&[certificate("web", NAME)]).await?;
    cluster.wait_ready("web").await?;

    let secret = cluster.secret("web-tls").await?;
    let key = openssl::public_key_of_private_key(&secret["tls.key"])?;
    ensure!(openssl::public_key_of_certificate(&secret["tls.crt"])? == key, "key and certificate belong together");
    let shown = cluster.get("tlscertificate", "staging", "web").await?;
    ensure!(shown["status"]["observedGeneration"] == shown["metadata"]["generation"], "{shown:#}");
    ensure!(shown["status"]["certificate"]["issuer"] == "pebble", "{shown:#}");
    ensure!(shown["status"]["record"].is_string(), "it remembers: {shown:#}");

    tokio::time::timeout(SOON, quiet(&cluster)).await??;
    let deeds: Vec<String> = cluster.deeds().await?.split_off(before);
    let events = deeds.iter().filter(|deed| deed.contains("events")).count();
    ensure!(events <= 2, "{deeds:?}");
    ensure!(deeds.len() - events <= 4, "{deeds:?}");
    Ok(())
}

/// Waits until nothing is written for a while.
async fn quiet(cluster: &Cluster) -> Result<()> {
    let mut before = cluster.deeds().await?.len();
    loop {
        tokio::time::sleep(Duration::from_secs(3)).await;
        let now = cluster.deeds().await?.len();
        if now == before {
            return Ok(());
        }
        before = now;
    }
}
