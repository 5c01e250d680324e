//! TLS Secrets that claviger did not make, in the namespaces that environments claim.
//!
//! What is watched is metadata. For each version of a Secret it is read once, few at a time; of what comes back only `tls.crt` is looked
//! at, and all of it is wiped. What stays in memory are the names of Secrets, who looks after them, and what their certificates say.

mod about;
mod found;

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use claviger_config::{Moment, Name, Namespace, admin::DiscoveredCertificate};
use claviger_core::domain::inventory::Reading;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::PartialObjectMeta,
    runtime::{WatchStreamExt as _, watcher::Event},
};
use tokio_util::task::AbortOnDropHandle;

pub use self::found::{Found, Known};
use self::found::{Place, Turn, Version};
use super::{
    Cluster,
    fault::{self, reason},
    secret::Held,
};
use crate::adapters::craft::chain::Chain;

/// Looks for Secrets.
pub struct Discovery {
    cluster: Cluster,
    found: Arc<Found>,
    watched: Mutex<BTreeMap<Namespace, AbortOnDropHandle<()>>>,
    reading: OnceLock<AbortOnDropHandle<()>>,
}

/// Between two readings: a start in a cluster of many Secrets is no storm.
const PACE: Duration = Duration::from_millis(250);

/// How long one that does not come holds up the others.
const PATIENCE: Duration = Duration::from_secs(20);

/// When what could not be read is tried again.
const AGAIN: Duration = Duration::from_secs(60);

impl Discovery {
    /// Looks for nothing yet.
    pub fn new(cluster: &Cluster) -> Self {
        Self { cluster: cluster.clone(), found: Arc::default(), watched: Mutex::default(), reading: OnceLock::new() }
    }

    /// What was found, as it grows.
    pub const fn found(&self) -> &Arc<Found> {
        &self.found
    }

    /// From now on in these namespaces and in no other.
    pub fn watch<'a>(&self, namespaces: impl IntoIterator<Item = &'a Namespace>) {
        self.reading.get_or_init(|| {
            AbortOnDropHandle::new(tokio::spawn(read_on(self.cluster.clone(), Arc::clone(&self.found))))
        });
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *watched);
        for namespace in namespaces {
            let room = before.remove(namespace).unwrap_or_else(|| self.begin(namespace));
            watched.insert(namespace.clone(), room);
        }
        before.into_iter().for_each(|(namespace, watching)| {
            drop(watching);
            self.found.forget(&namespace);
        });
    }

    fn begin(&self, namespace: &Namespace) -> AbortOnDropHandle<()> {
        let secrets: Api<PartialObjectMeta<Secret>> =
            Api::namespaced(self.cluster.watching.clone(), namespace.as_str());
        AbortOnDropHandle::new(tokio::spawn(follow(secrets, namespace.clone(), Arc::clone(&self.found))))
    }
}

async fn follow(secrets: Api<PartialObjectMeta<Secret>>, namespace: Namespace, found: Arc<Found>) {
    let of_tls = super::watching().fields("type=kubernetes.io/tls");
    let mut events = pin!(kube::runtime::watcher(secrets, of_tls).default_backoff());
    let mut listed = BTreeSet::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(secret)) => drop(found.put(&namespace, &secret.metadata)),
            Ok(Event::Delete(secret)) => found.remove(&namespace, &secret.metadata),
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(secret)) => listed.extend(found.put(&namespace, &secret.metadata)),
            Ok(Event::InitDone) => found.keep(&namespace, &std::mem::take(&mut listed)),
            Err(error) => {
                tracing::debug!("secrets in `{namespace}` cannot be watched: {}", reason(&error));
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// One after the other, for as long as the process lives.
async fn read_on(cluster: Cluster, found: Arc<Found>) {
    loop {
        match found.turn() {
            Turn::Now(place) => {
                read(&cluster, &found, place).await;
                tokio::time::sleep(PACE).await;
            }
            Turn::At(instant) => drop(tokio::time::timeout_at(instant, found.news()).await),
            Turn::Nothing => found.news().await,
        }
    }
}

async fn read(cluster: &Cluster, found: &Found, place: Place) {
    let (namespace, name): (&Namespace, &Name) = (&place.0, &place.1);
    let secrets: Api<Secret> = Api::namespaced(cluster.client.clone(), namespace.as_str());
    let answer = tokio::time::timeout(PATIENCE, secrets.get_opt(name.as_str())).await;
    match answer.map(|answer| answer.map(|secret| secret.map(Held::from))) {
        // The watch will say so.
        Ok(Ok(None)) => {}
        Ok(Ok(Some(secret))) => {
            let reading = certificate(&secret);
            found.read(place, Version::of(&secret.metadata), reading);
        }
        Ok(Err(error)) => found.not_read(place, fault::words(&error), AGAIN),
        Err(_) => found.not_read(place, "the API server did not answer in time".to_owned(), AGAIN),
    }
}

/// What the first certificate in `tls.crt` says; nothing of it is believed.
fn certificate(secret: &Held) -> Reading {
    let Some(text) = secret.field("tls.crt").filter(|text| !text.is_empty()) else {
        return Reading::Unreadable("the field is missing or empty".to_owned());
    };
    match Chain::read(text) {
        Ok(chain) => {
            let leaf = chain.leaf();
            Reading::Certificate(Box::new(DiscoveredCertificate {
                names: leaf.names.clone(),
                issuer: leaf.issuer.clone(),
                serial: leaf.serial.clone(),
                spki_sha256: leaf.spki_sha256.clone(),
                not_before: Moment(leaf.not_before_ms),
                not_after: Moment(leaf.not_after_ms),
            }))
        }
        Err(faults) => Reading::Unreadable(faults.to_string()),
    }
}
