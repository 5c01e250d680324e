//! What stories of customers' host names share: a stage with `production`, and the admin API as the product's backend uses it.

use std::time::Duration;

use anyhow::{Context, Result};
use claviger_sim::model::{
    cloudflare::{Hostname, Steering},
    dns::Kind,
};
use claviger_tests::{documents, socket_client, wait_until};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::stage::{SOON, Stage, TARGET, ZONE};

/// A customer's host name.
pub(crate) const SHOP: &str = "shop.customer.example";
/// A step in which Cloudflare and claviger get on.
pub(crate) const STEP: Duration = Duration::from_secs(20);
/// Where the backend asks.
const BASE: &str = "http://claviger/v1/environments/production";

/// A stage whose Cloudflare is as unkind as the real one.
pub(crate) async fn stage() -> Result<Stage> {
    stage_with("").await
}

/// The same with more fields of `edge.cloudflare`, each with a comma before it.
pub(crate) async fn stage_with(more: &str) -> Result<Stage> {
    let stage = Stage::new().await?;
    stage.world.cloudflare().steering = Steering::new(true);
    stage.site.document("production.yaml", &stage.production_with(more)?.with_wrapping_key())?;
    Ok(stage)
}

impl Stage {
    /// Writes a document for a host name, named as the tenant.
    pub(crate) fn customer(&self, tenant: &str, hostname: &str) -> Result<()> {
        let document = documents::hostname("production", tenant, hostname, tenant);
        self.site.document(&format!("{tenant}.yaml"), &document)
    }

    /// The customer does as asked.
    pub(crate) fn point(&self, hostname: &str) {
        self.world.dns().set(self.now(), hostname, Kind::Cname, vec![TARGET.to_owned()]);
    }

    /// Asks the admin API about `production`: `hostnames/…`, `changes`.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Result<(StatusCode, Value)> {
        let request = socket_client(&self.site.socket())?.request(method.parse()?, format!("{BASE}/{path}"));
        let request = body.into_iter().fold(request, |request, body| request.json(&body));
        let answer = request.send().await.with_context(|| format!("{method} {path}"))?;
        let (status, text) = (answer.status(), answer.text().await?);
        Ok((status, if text.is_empty() { Value::Null } else { serde_json::from_str(&text).context(text)? }))
    }

    /// Has the backend ask for a host name.
    pub(crate) async fn put(&self, hostname: &str, tenant: &str) -> Result<(StatusCode, Value)> {
        self.ask("PUT", &format!("hostnames/{hostname}"), Some(json!({ "tenant": tenant }))).await
    }

    /// Has the backend give a host name up.
    pub(crate) async fn delete(&self, hostname: &str) -> Result<StatusCode> {
        Ok(self.ask("DELETE", &format!("hostnames/{hostname}"), None).await?.0)
    }

    /// How a host name is, as the backend sees it; `Null` when it is not known.
    pub(crate) async fn shown(&self, hostname: &str) -> Value {
        let answer = self.ask("GET", &format!("hostnames/{hostname}"), None).await;
        answer.ok().filter(|(status, _)| status.is_success()).map_or(Value::Null, |(_, view)| view)
    }

    /// Waits until a host name is shown with that reason. No time passes but the machine's.
    pub(crate) async fn wait_reason(&self, hostname: &str, reason: &str) -> Result<Value> {
        let mut last = Value::Null;
        let waited = wait_until(SOON, reason, async || {
            last = self.shown(hostname).await;
            last["reason"] == reason
        });
        waited.await.with_context(|| format!("last seen: {last:#}"))?;
        Ok(last)
    }

    /// Lets time pass until a host name is shown with that reason.
    pub(crate) async fn pass_until_reason(&self, hostname: &str, step: Duration, reason: &str) -> Result<Value> {
        let mut last = Value::Null;
        let passed = self.pass_until(reason, step, async || {
            last = self.shown(hostname).await;
            last["reason"] == reason
        });
        passed.await.with_context(|| format!("last seen: {last:#}"))?;
        Ok(last)
    }

    /// A host name that serves, from nothing.
    pub(crate) async fn serving(&self, tenant: &str, hostname: &str) -> Result<Value> {
        self.point(hostname);
        self.customer(tenant, hostname)?;
        self.pass_until_reason(hostname, STEP, "Active").await
    }

    /// A host name at the simulated Cloudflare.
    pub(crate) fn at_the_edge(&self, hostname: &str) -> Option<Hostname> {
        self.world.cloudflare().named(ZONE, hostname).cloned()
    }

    /// How often Cloudflare was asked to change something: POST, PATCH, DELETE.
    pub(crate) fn changes(&self) -> (u64, u64, u64) {
        let calls = self.world.calls();
        let of = |operation| calls.of(claviger_sim::fault::Service::Cloudflare, operation);
        (of("create"), of("edit"), of("delete"))
    }
}
