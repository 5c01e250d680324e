//! The operator behind a proxy that does to it what Sieve (OSDI'22) does: it dies before and after each write to the API server.
//!
//! The judge is a run without faults: every other one must end in the same state, with the same things made outside, and a number of
//! writes that is bounded by that of the first.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use claviger_tests::{ApiCall, ApiFault, ApiFaults, ApiRule, Daemon, openssl, wait_until};
use serde_json::{Value, json};

use crate::{
    ground::SOON,
    operator::{Cluster, certificate, made, quiet},
};

/// A cluster whose daemon speaks to it through the proxy.
pub(crate) struct Stage {
    pub(crate) cluster: Cluster,
    pub(crate) api: ApiFaults,
}

/// What a run without faults ends with, and what it takes.
pub(crate) struct Reference {
    pub(crate) end: Value,
    pub(crate) writes: BTreeMap<String, usize>,
}

impl Stage {
    pub(crate) async fn new() -> Result<Self> {
        let mut cluster = Cluster::new().await?;
        let api = cluster.kubernetes.faults_for("clavigerd", &["system:masters"]).await?;
        cluster.ground.site.in_cluster(api.kubeconfig().path());
        Ok(Self { cluster, api })
    }

    /// The same with environment and wrapping key, a daemon, and what a certificate takes without faults.
    pub(crate) async fn start(&self) -> Result<(Daemon<'_>, Reference)> {
        self.cluster.apply(&[host("reference")]).await?;
        let daemon = self.cluster.ground.start().await?;
        self.settled("reference").await?;
        quiet(&self.cluster).await?; // account and wrapping key are there
        self.cluster.apply(&[host("second")]).await?;
        let reference = Reference { end: self.settled("second").await?, writes: self.writes("second") };
        ensure!(self.end("reference").await? == reference.end, "two runs without faults end in one state");
        Ok((daemon, reference))
    }

    /// Applies a certificate for a name of its own.
    pub(crate) async fn ask(&self, name: &str) -> Result<()> {
        self.cluster.kubernetes.apply(&host(name)).await.map(drop)
    }

    /// Waits until nothing is left to do for it, and gives what a user has then.
    pub(crate) async fn settled(&self, name: &str) -> Result<Value> {
        self.cluster.wait_ready(name).await?;
        let rests = async || {
            let shown = self.cluster.get("tlscertificate", "staging", name).await.unwrap_or_default();
            let reason = |number: usize| shown["status"]["conditions"][number]["reason"] == "Issued";
            shown["status"].get("pending").is_none() && reason(0) && reason(1)
        };
        wait_until(SOON, &format!("{name} to rest"), rests).await?;
        self.end(name).await
    }

    /// What a user has of a certificate, less what differs between any two.
    pub(crate) async fn end(&self, name: &str) -> Result<Value> {
        let shown = self.cluster.get("tlscertificate", "staging", name).await?;
        let (status, secret) = (&shown["status"], self.cluster.get("secret", "staging", &format!("{name}-tls")).await?);
        let data = self.cluster.secret(&format!("{name}-tls")).await?;
        let (key, chain) = (&data["tls.key"], &data["tls.crt"]);
        let own = openssl::public_key_of_private_key(key)?;
        ensure!(openssl::public_key_of_certificate(chain)? == own, "{name}: key and certificate belong together");
        let delivered = &status["outlets"][0]["spkiSha256"];
        ensure!(*delivered == status["certificate"]["spkiSha256"], "{name}: what is shown is delivered: {status:#}");
        let conditions = status["conditions"].as_array().context("it has conditions")?;
        let conditions = conditions.iter().map(|one| json!([one["type"], one["status"], one["reason"]]));
        let end = json!({
            "conditions": conditions.collect::<Vec<_>>(),
            "attention": status["attention"],
            "issuer": status["certificate"]["issuer"],
            "secret": [secret["type"], secret["metadata"]["labels"], secret["metadata"]["annotations"]],
            "fields": data.keys().collect::<Vec<_>>(),
        });
        Ok(serde_json::from_str(&end.to_string().replace(name, "NAME"))?)
    }

    /// What was written of a certificate and its Secret, by kind.
    pub(crate) fn writes(&self, name: &str) -> BTreeMap<String, usize> {
        let mut writes = BTreeMap::new();
        for call in self.api.calls().iter().filter(|call| call.wrote() && about(call, name)) {
            *writes.entry(call.deed()).or_default() += 1;
        }
        writes
    }

    /// Holds the end against that of the reference, and the writes, of which each kind may be `more`.
    pub(crate) async fn judge(&self, name: &str, reference: &Reference, more: usize) -> Result<()> {
        let end = self.settled(name).await?;
        ensure!(end == reference.end, "{name} ends in {end:#}, and without faults in {:#}", reference.end);
        let writes = self.writes(name);
        let bounded = |(deed, count): (&String, &usize)| *count <= reference.writes.get(deed).unwrap_or(&0) + more;
        ensure!(writes.iter().all(bounded), "{name}: {writes:?}, and without faults {:?}", reference.writes);
        Ok(())
    }

    /// Starts a daemon where another one was killed. Nobody waits until its lease has run out: that is another story.
    pub(crate) async fn next_life(&self) -> Result<Daemon<'_>> {
        self.api.heal();
        let delete = ["delete", "lease", "claviger", "--namespace=default", "--ignore-not-found"];
        self.cluster.kubernetes.kubectl(&delete, "").await?;
        self.cluster.ground.start().await
    }
}

/// A certificate for a name of its own.
pub(crate) fn host(name: &str) -> String {
    certificate(name, &format!("{name}.staging.example.com"))
}

/// Whether a call is about a certificate or its Secret; events are nobody's memory and do not count.
pub(crate) fn about(call: &ApiCall, name: &str) -> bool {
    call.name == name || call.name.strip_suffix("-tls") == Some(name)
}

/// From the document to the Secret with a death at the n-th write; whether it came so far.
async fn killed_at<'a>(
    stage: &'a Stage,
    daemon: Daemon<'a>,
    reference: &Reference,
    number: usize,
    done: bool,
) -> Result<(Daemon<'a>, bool)> {
    let side = if done { "after" } else { "before" };
    let name = format!("{side}-{number}");
    let (orders, about_it) = (stage.cluster.ground.orders(), name.clone());
    let such = move |call: &ApiCall| call.is_write() && about(call, &about_it);
    stage.api.inject(ApiRule::on(such, ApiFault::Stop(done)).after(number).times(1));
    stage.ask(&name).await?;
    let stopped = async || stage.api.stands_still() || stage.writes(&name) == reference.writes;
    wait_until(SOON, &format!("the {number}th write"), stopped).await?;
    let (reached, written) = (stage.api.stands_still(), stage.writes(&name));
    let lost = stage.cluster.ground.orders() - orders;
    let daemon = if reached {
        daemon.kill()?;
        stage.next_life().await?
    } else {
        daemon
    };
    // The write that it died of may be done once more, and the intent of the life before is written anew.
    stage.judge(&name, reference, 2).await?;
    // RFC 8555 has no question for an order whose URL was not stored: one stray.
    let stray = usize::from(reached && lost == 1 && written.values().sum::<usize>() <= 1);
    let orders = stage.cluster.ground.orders() - orders;
    ensure!(orders <= 1 + stray, "{name}: {orders} orders, {stray} strays");
    Ok((daemon, reached))
}

/// Every write, until a certificate is there without the daemon having come to the next.
async fn killed_at_each(done: bool) -> Result<()> {
    let stage = Stage::new().await?;
    let (mut daemon, reference) = stage.start().await?;
    let (_, keys, accounts) = made(&stage.cluster);
    let (mut number, mut reached) = (0, true);
    while reached {
        (daemon, reached) = killed_at(&stage, daemon, &reference, number, done).await?;
        number += 1;
    }
    ensure!(number > 3, "only {number} writes");
    let (_, keys_now, accounts_now) = made(&stage.cluster);
    assert_eq!((keys_now, accounts_now), (keys, accounts));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_each_write_it_ends_where_it_ends_without_faults() -> Result<()> {
    killed_at_each(false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_each_write_it_ends_where_it_ends_without_faults() -> Result<()> {
    killed_at_each(true).await
}

/// From an empty cluster to a certificate in lives of three writes, of which each second one ends before a fourth.
#[tokio::test(flavor = "multi_thread")]
async fn many_short_lives_make_one_key_one_account_and_one_certificate() -> Result<()> {
    let stage = Stage::new().await?;
    stage.cluster.apply(&[host("web")]).await?;
    let mut daemon = stage.cluster.ground.start().await?;
    let (mut lives, mut before_an_order) = (1, 0);
    loop {
        let ends_after = lives % 2 == 0;
        let such = |call: &ApiCall| call.is_write() && call.resource != "events";
        stage.api.inject(ApiRule::on(such, ApiFault::Stop(ends_after)).after(if ends_after { 2 } else { 3 }).times(1));
        let ready = async || {
            let web = stage.cluster.get("tlscertificate", "staging", "web").await.unwrap_or_default();
            web["status"]["conditions"][0]["status"] == "True"
        };
        let ended = async || stage.api.stands_still() || ready().await;
        wait_until(SOON, "the end of a life", ended).await?;
        if !stage.api.stands_still() {
            break;
        }
        let orders = stage.cluster.ground.orders();
        daemon.kill()?;
        // An order whose URL is in no record is a stray one: RFC 8555 has no question for it.
        let known =
            stage.cluster.get("tlscertificate", "staging", "web").await?["status"]["pending"]["orderUrl"].is_string();
        before_an_order = if known { before_an_order } else { orders };
        lives += 1;
        ensure!(lives < 20, "it does not get on");
        daemon = stage.next_life().await?;
    }
    println!("{lives} lives");
    ensure!(lives > 3, "only {lives} lives");
    stage.settled("web").await?;
    let (orders, keys, accounts) = made(&stage.cluster);
    assert_eq!((keys, accounts), (1, 1));
    ensure!(orders <= 1 + before_an_order, "{orders} orders, {before_an_order} strays");
    Ok(())
}
