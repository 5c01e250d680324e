//! Which replica is at work: a Lease beside clavigerd.
//!
//! Whoever wants it watches it for its whole length before taking it, by its own clock, so that clocks need not agree. Each write
//! names the version that it replaces: of two who take it at once, one is refused. Whoever has it counts from the moment at which the
//! last renewal was *asked* for, and stops acting [`MARGIN`] before anybody else could begin; the clock for that runs on while the
//! process is stopped or the machine suspended. The number of transitions is the term: it stands in every intent.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use claviger_core::ports::Clock;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::{
    Api,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinHandle};

use super::{
    Cluster, MANAGER,
    fault::{is_conflict, words},
};

/// How long a replica that is silent keeps the Lease.
const LASTS: Duration = Duration::from_secs(15);
/// How long before that it stops to act.
const MARGIN: Duration = Duration::from_secs(4);
/// How often it asks for more.
const RENEWS: Duration = Duration::from_secs(4);
/// How often the others look.
const LOOKS: Duration = Duration::from_secs(2);
/// After a question that was not answered.
const AGAIN: Duration = Duration::from_secs(1);
/// How long an answer is waited for.
const ANSWERS: Duration = Duration::from_secs(3);

/// Whether this replica may act, told by its own clock: it may not as soon as the Lease may have run out, whether or not anybody says so.
#[derive(Debug, Default)]
pub struct Fence {
    /// In milliseconds since the machine started.
    until: AtomicU64,
    term: AtomicU64,
}

impl Fence {
    /// Whether it may act now.
    pub fn holds(&self) -> bool {
        !self.left().is_zero()
    }

    /// The number of the term: grows with each change of hands.
    pub fn term(&self) -> u64 {
        self.term.load(Ordering::SeqCst)
    }

    /// Waits until it may not act any more.
    pub async fn lapses(&self) {
        while self.holds() {
            tokio::time::sleep(self.left()).await;
        }
    }

    fn left(&self) -> Duration {
        Duration::from_millis(self.until.load(Ordering::SeqCst)).saturating_sub(since_start())
    }

    fn extend(&self, asked: Duration, term: u64) {
        let until = u64::try_from((asked + LASTS - MARGIN).as_millis()).unwrap_or_default();
        self.term.store(term, Ordering::SeqCst);
        self.until.store(until, Ordering::SeqCst);
    }

    fn fall(&self) {
        self.until.store(0, Ordering::SeqCst);
    }
}

/// The time since the machine started, also while it or the process stood still.
fn since_start() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    Duration::new(time.tv_sec.try_into().unwrap_or_default(), time.tv_nsec.try_into().unwrap_or_default())
}

/// The word on who leads.
#[derive(Clone)]
pub struct Leader {
    leads: watch::Receiver<bool>,
    keeping: Arc<Mutex<Option<JoinHandle<()>>>>,
}

/// Stands for election, under a name that nobody else has; the fence holds while this replica leads.
///
/// # Errors
/// When it has no right to the Lease. An API server that does not answer is asked again.
pub async fn lead(
    cluster: &Cluster,
    name: &str,
    identity: &str,
    clock: Arc<dyn Clock>,
    fence: Arc<Fence>,
) -> Result<Leader, String> {
    let mut election = Election {
        leases: Api::namespaced(cluster.client.clone(), cluster.namespace()),
        name: name.to_owned(),
        identity: identity.to_owned(),
        clock,
        fence,
        seen: None,
    };
    let place = format!("{}/{name}", cluster.namespace());
    if let Err(error) = election.timely_turn().await {
        let text = format!(
            "the lease `{place}` cannot be had: {}; clavigerd needs get, create and patch on leases in its own namespace",
            error.words
        );
        if error.forbidden {
            return Err(text);
        }
        tracing::warn!(reason = "StoreFailed", "{text}");
    }
    let (word, leads) = watch::channel(false);
    let keeping = tokio::spawn(election.run(word, place));
    Ok(Leader { leads, keeping: Arc::new(Mutex::new(Some(keeping))) })
}

impl Leader {
    /// Waits until it is.
    pub async fn elected(&mut self) {
        // Whoever keeps the lease lives as long as this, or has lost it.
        let _ = self.leads.wait_for(|leads| *leads).await;
    }

    /// Waits until it is no longer.
    pub async fn deposed(&mut self) {
        let _ = self.leads.wait_for(|leads| !*leads).await;
    }

    /// Gives the Lease back, so that the next replica need not wait until it runs out. Whoever else holds the word must have let go.
    pub async fn resign(self) {
        drop(self.leads);
        let keeping = self.keeping.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(keeping) = keeping {
            let _ = tokio::time::timeout(Duration::from_secs(5), keeping).await;
        }
    }
}

struct Election {
    leases: Api<Lease>,
    name: String,
    identity: String,
    clock: Arc<dyn Clock>,
    fence: Arc<Fence>,
    seen: Option<Seen>,
}

/// The Lease as it was seen last.
struct Seen {
    version: String,
    spec: LeaseSpec,
    /// Since when it has not changed, by our clock.
    since: Duration,
}

/// Why a turn came to nothing.
struct Unanswered {
    words: String,
    forbidden: bool,
}

impl Election {
    async fn run(mut self, word: watch::Sender<bool>, place: String) {
        let (mut leads, mut told) = (self.fence.holds(), false);
        word.send_replace(leads);
        let mut wait = if leads { RENEWS } else { LOOKS };
        loop {
            let fence = Arc::clone(&self.fence);
            let turn = async {
                tokio::time::sleep(wait).await;
                self.timely_turn().await
            };
            let turned = tokio::select! {
                biased;
                () = fence.lapses(), if leads => break,
                () = word.closed() => return self.release().await,
                turned = turn => turned,
            };
            wait = match &turned {
                Ok(()) if fence.holds() => RENEWS,
                Ok(()) => LOOKS,
                Err(_) => AGAIN,
            };
            if let Err(error) = &turned
                && !told
            {
                tracing::warn!(reason = "StoreFailed", "the lease `{place}` cannot be had: {}", error.words);
            }
            told = turned.is_err();
            if leads && !fence.holds() {
                break;
            }
            if !leads && fence.holds() {
                leads = true;
                word.send_replace(true);
            }
        }
        word.send_replace(false);
    }

    async fn timely_turn(&mut self) -> Result<(), Unanswered> {
        match tokio::time::timeout(ANSWERS, self.turn()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                let forbidden = matches!(&error, kube::Error::Api(status) if status.code == 401 || status.code == 403);
                Err(Unanswered { words: words(&error), forbidden })
            }
            Err(_) => Err(Unanswered {
                words: format!("the API server did not answer within {} s", ANSWERS.as_secs()),
                forbidden: false,
            }),
        }
    }

    /// Renews it, takes it, or sees that it is another's.
    async fn turn(&mut self) -> Result<(), kube::Error> {
        let asked = since_start();
        if !self.is_ours() {
            self.look().await?;
        }
        for _ in 0..TRIES {
            if !self.may_take(since_start()) {
                self.fence.fall();
                return Ok(());
            }
            match self.take().await {
                Ok(lease) => {
                    self.see(lease);
                    let term = self.seen.as_ref().and_then(|seen| seen.spec.lease_transitions).unwrap_or_default();
                    self.fence.extend(asked, term.try_into().unwrap_or_default());
                    return Ok(());
                }
                // Somebody else wrote, or the answer to our own write was lost.
                Err(error) if is_conflict(&error) || super::fault::is_missing(&error) => self.look().await?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn look(&mut self) -> Result<(), kube::Error> {
        let lease = match self.leases.get_opt(&self.name).await? {
            Some(lease) => lease,
            None => {
                let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
                self.leases.create(&PostParams::default(), &Lease { metadata, spec: None }).await?
            }
        };
        self.see(lease);
        Ok(())
    }

    fn see(&mut self, lease: Lease) {
        let version = lease.metadata.resource_version.unwrap_or_default();
        if self.seen.as_ref().is_none_or(|seen| seen.version != version) {
            self.seen = Some(Seen { version, spec: lease.spec.unwrap_or_default(), since: since_start() });
        }
    }

    fn is_ours(&self) -> bool {
        self.seen.as_ref().is_some_and(|seen| seen.spec.holder_identity.as_ref() == Some(&self.identity))
    }

    /// It is free, ours, or has not been renewed for its whole length.
    fn may_take(&self, now: Duration) -> bool {
        let Some(seen) = &self.seen else { return false };
        let free = seen.spec.holder_identity.as_ref().is_none_or(String::is_empty);
        let lasts = seen.spec.lease_duration_seconds.and_then(|seconds| seconds.try_into().ok());
        let lasts = lasts.map_or(LASTS, Duration::from_secs).max(LASTS);
        free || self.is_ours() || now.saturating_sub(seen.since) >= lasts
    }

    async fn take(&self) -> Result<Lease, kube::Error> {
        let now = time(self.clock.now());
        let mut spec = json!({ "renewTime": now, "leaseDurationSeconds": LASTS.as_secs() });
        if !self.is_ours() {
            let terms = self.seen.as_ref().and_then(|seen| seen.spec.lease_transitions).unwrap_or_default();
            spec["holderIdentity"] = json!(self.identity);
            spec["acquireTime"] = now;
            spec["leaseTransitions"] = json!(terms.saturating_add(1));
        }
        self.patch(spec).await
    }

    /// Gives it back, if it is ours.
    async fn release(mut self) {
        if !self.is_ours() {
            return;
        }
        self.fence.fall();
        if self.look().await.is_ok() && self.is_ours() {
            let _ = self.patch(json!({ "holderIdentity": null, "renewTime": time(self.clock.now()) })).await;
        }
    }

    /// A patch that names a version is refused when another one stands there.
    async fn patch(&self, spec: Value) -> Result<Lease, kube::Error> {
        let version = self.seen.as_ref().map(|seen| &seen.version);
        let patch = json!({ "metadata": { "resourceVersion": version }, "spec": spec });
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        self.leases.patch(&self.name, &parameters, &Patch::Merge(&patch)).await
    }
}

const TRIES: usize = 3;

/// As Kubernetes writes it: with microseconds.
fn time(now: claviger_config::Moment) -> Value {
    let text = jiff::Timestamp::from_millisecond(now.0).map(|time| format!("{time:.6}"));
    text.map_or(Value::Null, Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_holds_until_before_the_lease_runs_out_and_not_before_it_is_had() {
        let fence = Fence::default();
        assert!(!fence.holds());
        fence.extend(since_start(), 3);
        assert!(fence.holds() && fence.term() == 3 && fence.left() <= LASTS - MARGIN);
        let long_ago = since_start().saturating_sub(LASTS - MARGIN);
        fence.extend(long_ago, 3);
        assert!(!fence.holds());
        fence.extend(since_start(), 4);
        fence.fall();
        assert!(!fence.holds());
    }

    #[test]
    fn whoever_leads_can_miss_a_renewal_and_stops_before_another_may_begin() {
        assert!(RENEWS + ANSWERS + AGAIN + ANSWERS <= LASTS - MARGIN && MARGIN > AGAIN);
    }

    #[test]
    fn time_is_written_with_microseconds() {
        assert_eq!(time(claviger_config::Moment(1_500)), json!("1970-01-01T00:00:01.500000Z"));
    }
}
