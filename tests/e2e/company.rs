//! A small company that is killed, robbed of its memory and started again: two environments with their keys, one certificate and one
//! customer. What may not happen twice is counted where it happens.

use std::{collections::BTreeSet, fs, os::unix::process::ExitStatusExt, time::Duration};

use anyhow::{Context, Result, ensure};
use claviger_sim::model::{acme::OrderStatus, dns::Kind};
use claviger_tests::{Daemon, Scratch, documents, openssl, wait_until};
use serde_json::Value;

use crate::stage::{SOON, Stage, TARGET, text};

/// The name in the certificate.
pub(crate) const NAME: &str = "www.staging.example.com";
/// The customer's host name.
pub(crate) const SHOP: &str = "shop.customer.example";

/// What the outside counts.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Counted {
    pub(crate) keys: usize,
    pub(crate) accounts: u64,
    pub(crate) orders: u64,
    pub(crate) certificates: u64,
    pub(crate) hostnames: u64,
}

/// Everything once.
pub(crate) const ONCE: Counted = Counted { keys: 2, accounts: 1, orders: 1, certificates: 1, hostnames: 1 };

/// Counts what was ever made.
pub(crate) fn counted(stage: &Stage) -> Counted {
    let keys = stage.world.kms().keys().count();
    let acme = stage.world.acme().counts().clone();
    let hostnames = stage.world.cloudflare().counts().created;
    Counted { keys, accounts: acme.accounts, orders: acme.orders, certificates: acme.certificates, hostnames }
}

/// The company's documents, and no daemon yet. The CA hands out neither orders nor proofs twice: RFC 8555 does not
/// promise it.
pub(crate) async fn company() -> Result<Stage> {
    let mut stage = Stage::new().await?;
    {
        let mut acme = stage.world.acme();
        (acme.steering.limits, acme.steering.reuse_orders) = (None, false);
        acme.steering.reuse_authorizations = false;
    }
    let reloads = stage.site.path().join("reloads").display().to_string();
    stage.site.setting(format!("hooks:\n  note: {{ command: [/bin/sh, -c, \"echo reloaded >> {reloads}\"] }}"));
    stage.site.document("staging.yaml", &stage.staging().with_wrapping_key())?;
    stage.site.document("web.yaml", &web())?;
    stage.site.document("production.yaml", &stage.production()?.with_wrapping_key())?;
    stage.site.document("shop.yaml", &shop())?;
    stage.world.dns().add(stage.now(), SHOP, Kind::Cname, TARGET);
    Ok(stage)
}

/// The certificate's document.
pub(crate) fn web() -> String {
    documents::certificate("staging", "web", &[NAME], "").replace("directory: web", "directory: web, reload: note")
}

/// The host name's document.
pub(crate) fn shop() -> String {
    documents::hostname("production", "shop", SHOP, "customer")
}

/// Whether everything has been looked at and is ready.
pub(crate) fn is_settled(stage: &Stage) -> bool {
    let Ok(status) = stage.status() else { return false };
    let ready = |total: &Value| total["notReady"] == 0 && total["unknown"] == 0;
    let totals = status["totals"].as_array().map_or(&[] as &[Value], Vec::as_slice);
    status["complete"] == true && !totals.is_empty() && totals.iter().all(ready)
}

/// Waits until everything is ready, while hours pass: longer and longer back-off is over in a moment.
pub(crate) async fn settles(stage: &Stage) -> Result<()> {
    let mut looks = 0;
    let settled = async || {
        looks += 1;
        is_settled(stage) || stage.pass(if looks < 40 { SECOND } else { MINUTE }).is_err()
    };
    wait_until(SOON, "everything to be ready", settled).await.with_context(|| text_of(stage))
}

fn text_of(stage: &Stage) -> String {
    stage.site.ctl(&["status", "-o", "wide"]).map(|output| text(&output)).unwrap_or_default()
}

/// Runs a daemon until everything is ready, and stops it.
pub(crate) async fn settle(stage: &Stage) -> Result<()> {
    let daemon = stage.start().await?;
    settles(stage).await?;
    stops(daemon).await
}

/// Stops a daemon, which ends cleanly.
pub(crate) async fn stops(daemon: Daemon<'_>) -> Result<()> {
    let status = daemon.stop().await?;
    ensure!(status.code() == Some(0), "{status}");
    Ok(())
}

/// Runs a daemon that is to die at that point. Whether it did; else it is stopped once `done`.
pub(crate) async fn dies_at(stage: &Stage, point: &str, done: impl Fn(&Stage) -> bool) -> Result<bool> {
    let mut process = stage.spawn_with(&[("CLAVIGER_CRASH", point)])?;
    let mut looks = 0;
    let over = async || {
        looks += 1;
        let step = if looks < 40 { SECOND } else { 10 * SECOND };
        !matches!(process.ended(), Ok(None)) || looks % 8 == 0 && done(stage) || stage.pass(step).is_err()
    };
    wait_until(SOON, "its death or its end", over).await.with_context(|| text_of(stage))?;
    if process.ended()?.is_none() {
        process.terminate()?;
    }
    let status = process.wait(SOON).await?;
    ensure!(status.signal() == Some(9) || status.code() == Some(0), "{point}: {status}\n{}", process.stderr());
    Ok(status.signal() == Some(9))
}

/// What the dead left behind.
#[derive(Debug)]
pub(crate) struct Remains {
    /// The private key that the next certificate is for, or that the newest is of, by its public key.
    pub(crate) key: Option<String>,
    /// Orders that the CA opened and that nobody here remembers: their answers were really lost.
    pub(crate) lost: u64,
}

/// Reads a copy of the store, so that recovery is left to the daemon. Only orders count that were opened since then.
pub(crate) fn remains(stage: &Stage, since: i64) -> Result<Remains> {
    let record = record(stage, "TlsCertificate", "web")?;
    let memory = &record["memory"];
    let key = [&memory["next_key"], &memory["issued"]["key"]].into_iter().find(|key| !key.is_null());
    let (known, key) = (memory["order"]["url"].as_str(), key.and_then(|key| key["spki_sha256"].as_str()));
    let acme = stage.world.acme();
    let unknown = |id: &str| !known.is_some_and(|url| url.ends_with(id));
    let lost =
        acme.orders().filter(|order| order.created >= since && order.certificate.is_none() && unknown(&order.id));
    let pending = lost.filter(|order| acme.order_status(stage.now(), order) != OrderStatus::Invalid);
    Ok(Remains { key: key.map(str::to_owned), lost: u64::try_from(pending.count())? })
}

/// The stored record of an object; `Null` while there is none.
pub(crate) fn record(stage: &Stage, kind: &str, name: &str) -> Result<Value> {
    let copy = Scratch::new("store")?;
    for file in ["claviger.db", "claviger.db-wal"] {
        let from = stage.site.path().join("state").join(file);
        if from.exists() {
            fs::copy(from, copy.path().join(file))?;
        }
    }
    let database = rusqlite::Connection::open(copy.path().join("claviger.db"))?;
    let Ok(mut rows) = database.prepare("SELECT body FROM records WHERE kind = ? AND name = ?") else {
        return Ok(Value::Null); // killed before the tables were made
    };
    let body: Option<String> = rows.query_map((kind, name), |row| row.get(0))?.next().transpose()?;
    Ok(body.map(|body| serde_json::from_str(&body)).transpose()?.unwrap_or_default())
}

/// Orders opened since then that failed: nobody answered the CA's http-01 while the daemon was dead.
pub(crate) fn failed(stage: &Stage, since: i64) -> u64 {
    let acme = stage.world.acme();
    let orders = acme.orders().filter(|order| order.created >= since);
    let failed = orders.filter(|order| acme.order_status(stage.now(), order) == OrderStatus::Invalid);
    failed.count().try_into().unwrap_or(u64::MAX)
}

/// Key and certificate in the outlet belong together. Gives the fingerprint of their public key as status and records say it.
pub(crate) fn serves(stage: &Stage) -> Result<String> {
    let read = |file| fs::read_to_string(stage.site.outlet("web").join(file)).context(file);
    let certificate = read("tls.crt")?;
    let public = openssl::public_key_of_certificate(&certificate)?;
    ensure!(public == openssl::public_key_of_private_key(&read("tls.key")?)?, "a mixed pair is served");
    let (_, pem) = x509_parser::pem::parse_x509_pem(certificate.as_bytes())?;
    let spki = pem.parse_x509()?.tbs_certificate.subject_pki.raw.to_owned();
    Ok(hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &spki)))
}

/// The chain holds, and no outcome comes before its intent.
pub(crate) fn audited(stage: &Stage) -> Result<Vec<Value>> {
    let path = stage.site.journal();
    let verified = stage.site.ctl(&["audit", "verify", &path.display().to_string()])?;
    ensure!(verified.status.success(), "{}", text(&verified));
    let lines = fs::read_to_string(&path)?;
    let lines: Vec<Value> = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let mut intended = BTreeSet::new();
    for line in &lines {
        let effect = (line["intent"].to_string(), line["verb"].to_string());
        match line["stage"].as_str() {
            Some("Intent") => drop(intended.insert(effect)),
            Some("Outcome") if line["verb"] != "journal.repair" => {
                ensure!(intended.contains(&effect), "an outcome without an intent: {line}")
            }
            _ => {}
        }
    }
    Ok(lines)
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
