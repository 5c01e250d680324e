//! The operator on a real API server: custom resources in, Secrets out, and what that costs.

use std::{collections::BTreeMap, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use claviger_tests::{ApiRequest, Kubeconfig, Kubernetes, Site, documents, openssl, tools, wait_until};
use serde_json::Value;

use crate::ground::{Ground, REGION, SOON};

pub(crate) const NAME: &str = "www.staging.example.com";
/// The user that the daemon is to the API server.
const DAEMON: &str = "clavigerd";

/// A cluster with our definitions, and a daemon's folder that speaks to it, to Pebble and to moto.
pub(crate) struct Cluster {
    pub(crate) kubernetes: Kubernetes,
    pub(crate) ground: Ground,
    _daemon: Kubeconfig,
}

impl Cluster {
    pub(crate) async fn new() -> Result<Self> {
        let (kubernetes, mut ground) = tokio::try_join!(Kubernetes::start(), Ground::new())?;
        let daemon = kubernetes.kubeconfig_for(DAEMON, &["system:masters"])?;
        kubernetes.apply(&definitions()?).await?;
        kubernetes.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"], "").await?;
        ground.site.in_cluster(daemon.path());
        let cluster = Self { kubernetes, ground, _daemon: daemon };
        cluster.namespace("staging").await?;
        Ok(cluster)
    }

    /// The same daemon in another cluster, which takes the place of this one.
    pub(crate) fn moved_to(&mut self, kubernetes: Kubernetes) -> Result<()> {
        let daemon = kubernetes.kubeconfig_for(DAEMON, &["system:masters"])?;
        self.ground.site.in_cluster(daemon.path());
        (self.kubernetes, self._daemon) = (kubernetes, daemon);
        Ok(())
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
pub(crate) fn definitions() -> Result<String> {
    let printed = Command::new(tools::binary("clavigerd")?).arg("crds").output()?;
    ensure!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    Ok(String::from_utf8(printed.stdout)?)
}

pub(crate) fn decoded(value: &Value) -> Result<String> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    Ok(String::from_utf8(STANDARD.decode(value.as_str().unwrap_or_default())?)?)
}

/// A certificate for one name whose outlet is a Secret.
pub(crate) fn certificate(name: &str, host: &str) -> String {
    documents::certificate("staging", name, &[host], "")
        .replace(&format!("files: {{ directory: {name} }}"), &format!("secret: {{ name: {name}-tls }}"))
}

#[test]
fn a_check_judges_the_settings_and_contacts_no_cluster() -> Result<()> {
    let mut site = Site::new()?;
    site.in_cluster("/nowhere".as_ref());
    let checked = site.check()?;
    let said = String::from_utf8_lossy(&checked.stdout);
    ensure!(
        checked.status.success() && said.starts_with("ok: the settings; the documents are custom resources"),
        "{said}"
    );
    Ok(())
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
    println!("writes of one issuance: {deeds:?}");
    let events = deeds.iter().filter(|deed| deed.contains("events")).count();
    ensure!(events <= 2, "{deeds:?}");
    ensure!(deeds.len() - events <= 4, "{deeds:?}");
    Ok(())
}

/// Waits until nothing is written for a while.
pub(crate) async fn quiet(cluster: &Cluster) -> Result<()> {
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

/// A cluster in which `web` is ready and nobody at work.
pub(crate) async fn in_order() -> Result<Cluster> {
    let cluster = Cluster::new().await?;
    cluster.apply(&[certificate("web", NAME)]).await?;
    let daemon = cluster.ground.start().await?;
    cluster.wait_ready("web").await?;
    quiet(&cluster).await?;
    daemon.stop().await?;
    Ok(cluster)
}

/// What was made outside: orders, keys, accounts.
pub(crate) fn made(cluster: &Cluster) -> (usize, usize, usize) {
    let ground = &cluster.ground;
    (ground.orders(), ground.aws.count_done_actions("CreateKey"), ground.accounts())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_on_what_is_in_order_writes_nothing() -> Result<()> {
    let cluster = in_order().await?;
    let (before, outside) = (cluster.deeds().await?.len(), made(&cluster));
    let _daemon = cluster.ground.start().await?;
    wait_until(SOON, "the certificate to be looked at", async || looked_at(&cluster).await).await?;
    quiet(&cluster).await?;
    assert_eq!(cluster.deeds().await?.split_off(before), Vec::<String>::new());
    assert_eq!(made(&cluster), outside);
    Ok(())
}

/// Whether the daemon has made up its mind about everything.
pub(crate) async fn looked_at(cluster: &Cluster) -> bool {
    let status = cluster.ground.site.ctl_json(&["status"]).unwrap_or_default();
    let totals = status["totals"].as_array().cloned().unwrap_or_default();
    totals.len() == 3 && totals.iter().all(|total| total["ready"] == 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_deleted_or_edited_comes_back_with_the_same_key_and_no_order() -> Result<()> {
    let cluster = in_order().await?;
    let _daemon = cluster.ground.start().await?;
    wait_until(SOON, "the certificate to be looked at", async || looked_at(&cluster).await).await?;
    let (before, outside) = (cluster.secret("web-tls").await?, made(&cluster));

    cluster.kubernetes.kubectl(&["delete", "secret", "web-tls", "--namespace=staging"], "").await?;
    let back = async || cluster.secret("web-tls").await.is_ok_and(|now| now == before);
    wait_until(SOON, "the deleted secret to come back", back).await?;

    let spoilt = r#"{"data":{"tls.key":"c3BvaWx0","note":"bWluZQ=="},"metadata":{"labels":{"team":"web"}}}"#;
    let patch = ["patch", "secret", "web-tls", "--namespace=staging", "--type=merge", "--patch", spoilt];
    cluster.kubernetes.kubectl(&patch, "").await?;
    let mended = async || cluster.secret("web-tls").await.is_ok_and(|now| now["tls.key"] == before["tls.key"]);
    wait_until(SOON, "the edited secret to be mended", mended).await?;
    let secret = cluster.get("secret", "staging", "web-tls").await?;
    ensure!(secret["metadata"]["labels"]["team"] == "web" && secret["data"]["note"] == "bWluZQ==", "{secret:#}");
    assert_eq!(made(&cluster), outside);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_wiped_everywhere_costs_no_order_no_key_and_no_account() -> Result<()> {
    let cluster = in_order().await?;
    let (before, outside) = (cluster.secret("web-tls").await?, made(&cluster));
    let wiped = r#"[{"op":"remove","path":"/status"}]"#;
    for (kind, name) in [("environment", "staging"), ("kmskey", "wrapping"), ("tlscertificate", "web")] {
        let patch =
            ["patch", kind, name, "--namespace=staging", "--subresource=status", "--type=json", "--patch", wiped];
        cluster.kubernetes.kubectl(&patch, "").await?;
    }
    std::fs::remove_dir_all(cluster.ground.site.path().join("state"))?;
    let _daemon = cluster.ground.start().await?;
    cluster.wait_ready("web").await?;
    wait_until(SOON, "everything to be looked at", async || looked_at(&cluster).await).await?;
    quiet(&cluster).await?;
    assert_eq!(made(&cluster), outside);
    assert_eq!(cluster.secret("web-tls").await?, before);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_never_work_is_refused_when_it_is_applied() -> Result<()> {
    let cluster = Cluster::new().await?;
    cluster.apply(&[certificate("web", NAME)]).await?;
    let refused = async |text: String, words: &str| -> Result<()> {
        let error = format!("{:#}", cluster.kubernetes.apply(&text).await.expect_err("it is refused"));
        ensure!(error.contains(words), "`{words}` is not in: {error}");
        Ok(())
    };
    let both = certificate("web", NAME).replace("secret: {", "files: { directory: web }, secret: {");
    refused(both, "needs exactly one of `files`, `secret`").await?;
    let staging = cluster.ground.staging().with_wrapping_key();
    refused(staging.replace("class: non-production", "class: production"), "it is for life").await?;
    refused(staging.replace(REGION, "somewhere"), "spec.kms.region").await?;
    refused(certificate("web", "no_name"), "dnsNames").await?;
    refused(certificate("web", NAME).replace("dnsNames", "dnsName"), "unknown field").await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_replicas_one_works_and_the_other_takes_over_in_the_middle_of_an_order() -> Result<()> {
    let cluster = Cluster::new().await?;
    cluster.apply(&[]).await?;
    let other = cluster.ground.site.replica()?;
    let mut first = cluster.ground.site.spawn(&[("CLAVIGER_CRASH", "finalize:1:before")])?;
    let leads = async || lease(&cluster).await.is_ok_and(|lease| lease["spec"]["holderIdentity"].is_string());
    wait_until(SOON, "a leader", leads).await?;
    let second = other.start().await?;
    let asked = other.ctl(&["status"])?;
    let said = String::from_utf8_lossy(&asked.stderr);
    ensure!(!asked.status.success() && said.contains("stands by") && said.contains("kubectl get lease"), "{said}");
    cluster.apply(&[certificate("web", NAME)]).await?;
    first.wait(SOON).await.context("the leader dies in the middle of its order")?;
    let ready = async || {
        let web = cluster.get("tlscertificate", "staging", "web").await.unwrap_or_default();
        web["status"]["conditions"][0]["status"] == "True"
    };
    wait_until(SOON, "the other replica to finish the order", ready).await?;
    ensure!(second.log().contains("this replica is at work"), "{}", second.log());
    assert_eq!(made(&cluster), (1, 1, 1));
    Ok(())
}

pub(crate) async fn lease(cluster: &Cluster) -> Result<Value> {
    cluster.get("lease", "default", "claviger").await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_is_away_for_a_while_costs_nothing_twice() -> Result<()> {
    let mut cluster = Cluster::new().await?;
    cluster.apply(&[]).await?;
    let mut daemon = cluster.ground.site.start_with(&[cluster.ground.leaps()]).await?;
    quiet(&cluster).await?;
    cluster.apply(&[certificate("web", NAME)]).await?;
    let begun = async || cluster.ground.orders() > 0;
    wait_until(SOON, "the order", begun).await?;
    cluster.kubernetes.stop()?;
    let noticed = async || daemon.log().contains("did not answer");
    wait_until(SOON, "the daemon to notice", noticed).await?;
    cluster.kubernetes.start_again().await?;
    // On a busy machine it may have been away for longer than the lease lasts: then a kubelet starts the daemon again.
    if daemon.process().ended()?.is_some() {
        daemon = cluster.ground.start().await?;
    }
    cluster.wait_ready("web").await?;
    daemon.stop().await?;
    assert_eq!(made(&cluster), (1, 1, 1));
    Ok(())
}
