//! The operator, on a real API server and against Pebble: what a burst costs, how long it takes, and what a fleet at rest weighs. The
//! same work that cert-manager was measured at, so that the figures can be laid beside its own.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, ensure};
use claviger_sim::Running;
use claviger_tests::{
    Daemon, Fault, Kubeconfig, Kubernetes, Pebble, PebbleOptions, Proxy, Rule, Site, Status, client_trusting,
    documents, tools, wait_until,
};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    clock::now,
    fleet::{Leaves, ready, resident, settled},
    heading,
    pace::processor_seconds,
    say,
};

const USER: &str = "clavigerd";
const ACCOUNT: &str = "222222222222";
const REGION: &str = "eu-west-1";
/// How many requests at once make the objects of a burst.
const HANDS: usize = 32;

/// An API server, a CA behind a proxy, a simulated KMS, and a daemon's folder.
struct Ground {
    kubernetes: Kubernetes,
    ca: Proxy,
    world: Running,
    site: Site,
    loader: Loader,
    _pebble: Pebble,
    _daemon: Kubeconfig,
}

impl Ground {
    async fn new() -> Result<Self> {
        let kubernetes = Kubernetes::start().await?;
        let mut site = Site::new()?.quiet();
        let world = crate::costs::world(&site, 1).await?;
        let options = PebbleOptions {
            http01_port: Some(site.http01_port()),
            rejected_nonces_percent: 5,
            ..PebbleOptions::default()
        };
        let pebble = Pebble::start(options).await?;
        let ca = Proxy::in_front_of(&pebble).await?;
        let addresses = world.addresses();
        site.aws_at(&[REGION], &addresses.kms, &addresses.sts, "");
        site.secret("aws", documents::credentials(&[("fleet", ACCOUNT)]))?;
        site.secret("roots.pem", format!("{}\n{}", ca.server_ca_pem(), pebble.issuing_root().await?))?;
        let daemon = kubernetes.kubeconfig_for(USER, &["system:masters"])?;
        site.in_cluster(daemon.path());
        let definitions = std::process::Command::new(tools::binary("clavigerd")?).arg("crds").output()?;
        kubernetes.apply(&String::from_utf8(definitions.stdout)?).await?;
        kubernetes.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"], "").await?;
        kubernetes.kubectl(&["create", "namespace", "fleet"], "").await?;
        let loader = Loader::new(&kubernetes).await?;
        let ground = Self { kubernetes, ca, world, site, loader, _pebble: pebble, _daemon: daemon };
        ground.kubernetes.apply(&ground.environment()).await?;
        Ok(ground)
    }

    fn environment(&self) -> String {
        documents::environment("fleet", ACCOUNT, REGION)
            .credentials("aws", "fleet")
            .zone("fleet.example.com", &[])
            .acme("pebble", &self.ca.directory(), Some("roots.pem"))
            .with_wrapping_key()
    }

    /// Asks for so many certificates at once.
    async fn ask(&self, range: std::ops::Range<u32>) -> Result<()> {
        self.loader.make("apis/claviger.dev/v1alpha1/namespaces/fleet/tlscertificates", range.map(certificate)).await
    }

    /// What the daemon wrote, less its Lease: verb and resource with their number.
    async fn deeds(&self) -> Result<BTreeMap<String, usize>> {
        let mut deeds = BTreeMap::new();
        for write in self.kubernetes.writes_by(USER).await? {
            if write.done() && write.resource != "leases" {
                *deeds.entry(write.deed()).or_default() += 1;
            }
        }
        Ok(deeds)
    }
}

/// Makes objects faster than kubectl would.
struct Loader {
    client: Client,
    url: String,
    token: String,
}

impl Loader {
    async fn new(kubernetes: &Kubernetes) -> Result<Self> {
        kubernetes.kubectl(&["create", "serviceaccount", "loader", "--namespace=default"], "").await?;
        let binding = [
            "create",
            "clusterrolebinding",
            "loader",
            "--clusterrole=cluster-admin",
            "--serviceaccount=default:loader",
        ];
        kubernetes.kubectl(&binding, "").await?;
        let token = ["create", "token", "loader", "--namespace=default", "--duration=24h"];
        let token = kubernetes.kubectl(&token, "").await?.trim().to_owned();
        Ok(Self { client: client_trusting(kubernetes.ca_pem())?, url: kubernetes.url().to_owned(), token })
    }

    async fn make(&self, path: &str, objects: impl Iterator<Item = Value>) -> Result<()> {
        let mut hands = JoinSet::new();
        for object in objects {
            if hands.len() >= HANDS {
                hands.join_next().await.context("somebody works")???;
            }
            let request = self.client.post(format!("{}/{path}", self.url)).bearer_auth(&self.token).json(&object);
            hands.spawn(async move {
                let answer = request.send().await?;
                let (status, text) = (answer.status(), answer.text().await?); // an answer left unread is a reset to HTTP/2
                ensure!(status.is_success(), "{status}: {text}");
                anyhow::Ok(())
            });
        }
        while let Some(made) = hands.join_next().await {
            made??;
        }
        Ok(())
    }
}

fn host(number: u32) -> String {
    format!("c{number}.fleet.example.com")
}

fn certificate(number: u32) -> Value {
    json!({
        "apiVersion": "claviger.dev/v1alpha1", "kind": "TlsCertificate",
        "metadata": { "name": format!("c{number}"), "namespace": "fleet" },
        "spec": { "dnsNames": [host(number)], "outlets": [{ "name": "secret", "secret": { "name": format!("c{number}-tls") } }] },
    })
}

async fn wait_ready(daemon: &Daemon<'_>, count: u32, within: Duration) -> Result<f64> {
    let began = now();
    wait_until(within, &format!("{count} certificates"), async || {
        daemon.metrics().await.is_ok_and(|text| ready(&text) >= f64::from(count))
    })
    .await?;
    Ok((now() - began) as f64 / 1_000.0)
}

/// Bursts of 100 and 300, nothing tuned, http-01, 5 % of nonces refused.
pub(crate) async fn bursts() -> Result<()> {
    heading("the operator: bursts against Pebble, http-01, from the first object to the last Ready");
    for count in [100, 300] {
        burst(count).await?;
    }
    Ok(())
}

async fn burst(count: u32) -> Result<()> {
    let ground = Ground::new().await?;
    let mut daemon = ground.site.start().await?;
    ground.ask(0..1).await?; // account and wrapping key are there then
    wait_ready(&daemon, 1, Duration::from_secs(120)).await?;
    let (before, process) = (ground.deeds().await?, daemon.process().id());
    let (began, cpu) = (now(), processor_seconds(process)?);
    ground.ask(1..count + 1).await?;
    wait_ready(&daemon, count + 1, Duration::from_secs(600)).await?;
    let (took, cpu) = ((now() - began) as f64 / 1_000.0, processor_seconds(process)? - cpu);
    let written = |deeds: &BTreeMap<String, usize>, events| {
        let of = deeds.iter().filter(|(deed, _)| deed.contains("events") == events);
        of.map(|(_, number)| *number).sum::<usize>() as f64
    };
    wait_until(Duration::from_secs(30), "the last event", async || {
        ground.deeds().await.is_ok_and(|after| written(&after, true) - written(&before, true) >= f64::from(count))
    })
    .await?;
    let after = ground.deeds().await?;
    let each = |events| (written(&after, events) - written(&before, events)) / f64::from(count);
    let orders = ground.ca.count_done(claviger_tests::endpoint::NEW_ORDER);
    say(&format!(
        "{count:>6} certificates  {:>6.0} a minute  {:>6.3} s of processor each  {:>5.2} writes and {:>4.2} events each  {} orders  {:>6.1} MiB",
        f64::from(count) / took * 60.0,
        cpu / f64::from(count),
        each(false),
        each(true),
        orders,
        resident(process)? as f64 / 1_024.0,
    ));
    Ok(())
}

/// Fleets at rest whose certificates lie in their Secrets: adopted once with every status missing, then a restart.
pub(crate) async fn fleets(only: Option<u32>) -> Result<()> {
    heading("the operator: fleets at rest, adopted without status, then a restart");
    for count in only.map_or_else(|| vec![1, 1_000, 5_000, 10_000], |count| vec![count]) {
        fleet(count).await?;
    }
    Ok(())
}

async fn fleet(count: u32) -> Result<()> {
    let ground = Ground::new().await?;
    ground.world.kms().steering.quotas = false;
    let leaves = Leaves::new()?;
    let secrets = (0..count).map(|number| leaves.secret(&format!("c{number}-tls"), &host(number)));
    let secrets = secrets.collect::<Result<Vec<Value>>>()?;
    ground.loader.make("api/v1/namespaces/fleet/secrets", secrets.into_iter()).await?;
    ground.ask(0..count).await?;
    let daemon = ground.site.start().await?;
    at_rest(&daemon, count).await?;
    daemon.stop().await?;

    let began = now();
    let mut daemon = ground.site.start().await?;
    let listening = now() - began;
    wait_ready(&daemon, 1, Duration::from_secs(120)).await?;
    let first = now() - began;
    at_rest(&daemon, count).await?;
    let (all, process) = (now() - began, daemon.process().id());
    let idle = idle_share(process).await?;
    say(&format!(
        "{count:>6} certificates  {:>6.1} MiB  {} orders  started in {:.1} s, first decision after {:.1} s, last after {:.1} s  {:>6.1} s of processor, {idle:.2} % of one at rest",
        resident(process)? as f64 / 1_024.0,
        ground.ca.count_done(claviger_tests::endpoint::NEW_ORDER),
        listening as f64 / 1_000.0,
        first as f64 / 1_000.0,
        all as f64 / 1_000.0,
        processor_seconds(process)?,
    ));
    Ok(())
}

async fn at_rest(daemon: &Daemon<'_>, count: u32) -> Result<()> {
    wait_until(Duration::from_secs(1_200), "the fleet to rest", async || {
        daemon.metrics().await.is_ok_and(|text| ready(&text) >= f64::from(count) && settled(&text))
    })
    .await
}

/// The share of a processor in twenty seconds without a scrape.
async fn idle_share(process: u32) -> Result<f64> {
    let (before, began) = (processor_seconds(process)?, now());
    tokio::time::sleep(Duration::from_secs(20)).await;
    Ok((processor_seconds(process)? - before) / ((now() - began) as f64 / 1_000.0) * 100.0)
}

/// Two minutes in which the CA is away, in the middle of a burst of 50: once it answers 503, once connections are reset.
pub(crate) async fn outages() -> Result<()> {
    heading("the operator: a CA that is away for two minutes in the middle of a burst of 50");
    let busy = || Fault::Status(Status::empty(503));
    for (how, fault) in [("503", busy()), ("connections reset", Fault::Refuse)] {
        let ground = Ground::new().await?;
        let daemon = ground.site.start().await?;
        ground.ask(0..50).await?;
        wait_ready(&daemon, 10, Duration::from_secs(120)).await?;
        ground.ca.inject(Rule::on("/", fault));
        tokio::time::sleep(Duration::from_secs(120)).await;
        ground.ca.heal();
        let took = wait_ready(&daemon, 50, Duration::from_secs(1_800)).await?;
        let orders = ground.ca.count_done(claviger_tests::endpoint::NEW_ORDER);
        say(&format!("{how:<20} the last of 50 is Ready {took:>6.1} s after the CA is back  {orders} orders"));
    }
    Ok(())
}
