//! Where documents come from: a folder, or the custom resources of a cluster.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use claviger_config::{Kind, Namespace, ObjectName, admin::Finding, settle::Settled};
use claviger_core::ports::{Clock, Source as _, Store};
use tokio::task::JoinHandle;

use crate::{
    adapters::{
        clock::Pace,
        directory::{self, Watch},
        kubernetes::{self, Cluster, Events, Fence, Ingresses, Leader, Objects, StatusStore},
        sqlite::SqliteStore,
    },
    shared::Shared,
    source::{Changed, Documents},
    start::StartError,
};

/// Where documents come from.
pub enum Origin {
    /// A folder, watched.
    Folder(PathBuf, Watch),
    /// A cluster.
    Cluster(Arc<InCluster>),
}

/// What a daemon in a cluster has beside the others.
pub struct InCluster {
    /// The way to the API server.
    pub cluster: Cluster,
    /// The custom resources as they were seen.
    pub objects: Arc<Objects>,
    /// Their records.
    pub records: Arc<StatusStore>,
    /// Events.
    pub events: Events,
    /// Whether this replica may act.
    pub fence: Arc<Fence>,
    clock: Arc<dyn Clock>,
    ingresses: Ingresses,
    secrets: Mutex<BTreeMap<Namespace, JoinHandle<()>>>,
}

/// How long the first reading waits for every kind to be listed; what is missing then counts as not readable.
const LISTED_WITHIN: Duration = Duration::from_secs(30);

/// How long an API server that does not answer is left alone.
const AGAIN: Duration = Duration::from_secs(2);

/// Changes that come together are read together.
const TOGETHER: Duration = Duration::from_millis(100);

impl Origin {
    /// Reads and judges everything that stands there, wherever it is called: it may take a while.
    pub fn judge(&self) -> impl FnOnce(&Documents) -> Settled + Send + 'static {
        let from = match self {
            Self::Folder(folder, _) => Err(folder.clone()),
            Self::Cluster(cluster) => Ok(Arc::clone(&cluster.objects)),
        };
        move |documents| match from {
            Err(folder) => documents.judge(&directory::read(&folder)),
            Ok(objects) => {
                let mut settled = documents.judge(&objects.read());
                settled.number(|name| objects.generation(name));
                settled
            }
        }
    }

    /// Waits until something changed.
    pub async fn next(&mut self) {
        match self {
            Self::Folder(_, changes) => changes.next().await,
            Self::Cluster(cluster) => {
                cluster.objects.next().await;
                tokio::time::sleep(TOGETHER).await;
            }
        }
    }

    /// The cluster, when it is one.
    pub const fn cluster(&self) -> Option<&Arc<InCluster>> {
        match self {
            Self::Folder(..) => None,
            Self::Cluster(cluster) => Some(cluster),
        }
    }
}

impl InCluster {
    /// Connects, and sees every custom resource once.
    ///
    /// # Errors
    /// When no cluster is known.
    pub async fn start(store: &Arc<SqliteStore>, clock: &Arc<dyn Pace>, instance: &str) -> Result<Self, StartError> {
        let cluster = Cluster::connect().await.map_err(|why| StartError::part("the operator", &why))?;
        let objects = Arc::new(Objects::default());
        kubernetes::watch_all(&cluster, &objects);
        let all = async {
            while !objects.complete() {
                objects.next().await;
            }
        };
        if tokio::time::timeout(LISTED_WITHIN, all).await.is_err() {
            let why = objects.trouble().unwrap_or_else(|| "the API server does not answer".to_owned());
            tracing::error!(
                reason = "StoreFailed",
                "not every kind can be read, nothing of it counts as removed: {why}"
            );
        }
        let (below, clock) = (Arc::clone(store) as Arc<dyn Store>, Arc::clone(clock) as Arc<dyn Clock>);
        let records = Arc::new(StatusStore::new(cluster.clone(), Arc::clone(&objects), below, Arc::clone(&clock)));
        let events = Events::start(&cluster, Arc::clone(&objects), instance.to_owned());
        let fence = Arc::default();
        let ingresses = Ingresses::new(&cluster, &objects, &events, &fence);
        Ok(Self { cluster, objects, records, events, fence, clock, ingresses, secrets: Mutex::default() })
    }

    /// Stands for election.
    ///
    /// # Errors
    /// When the Lease cannot be had.
    pub async fn stand(&self, instance: &str) -> Result<Leader, StartError> {
        let (clock, fence) = (Arc::clone(&self.clock), Arc::clone(&self.fence));
        let leads = kubernetes::lead(&self.cluster, LEASE, instance, clock, fence).await;
        leads.map_err(|why| StartError::part("the election", &why))
    }

    /// Begins to lead: knows what the replica before this one wrote last, also when the API server answers later only.
    pub async fn take_over(&self) {
        while let Err(why) = kubernetes::refresh(&self.cluster, &self.objects).await {
            tracing::warn!(reason = "StoreFailed", "the work cannot be taken over yet: {why}");
            tokio::time::sleep(AGAIN).await;
        }
        self.records.read_claims();
    }

    /// What was accepted is kept with the object itself.
    pub fn remember(&self, changed: &Changed) {
        for (name, body) in &changed.accepted {
            if let Some(name) = named(name) {
                self.records.remember(&name, body.as_deref());
            }
        }
    }

    /// Says of every object whose document is rejected, and of which no version is in force, why.
    pub async fn tell_rejected(&self, shared: &Shared) {
        if !self.fence.holds() {
            return;
        }
        let mut found: BTreeMap<ObjectName, Vec<Finding>> = BTreeMap::new();
        for finding in shared.documents.view().rejected {
            if let Some(name) = named(&finding.file).filter(|name| shared.documents.wanted(name).is_none()) {
                found.entry(name).or_default().push(finding);
            }
        }
        for (name, findings) in found {
            self.records.reject(&name, &findings).await;
        }
    }

    /// Watches what certificates go to and what asks for them, in every namespace that an environment claims, and in no other.
    pub fn watch_claimed(&self, shared: &Arc<Shared>) {
        self.watch_secrets(shared);
        let environments = shared.documents.environments();
        self.ingresses.watch(environments.iter().flat_map(|at| &at.spec.namespaces));
    }

    /// Watches the Secrets that claviger made.
    fn watch_secrets(&self, shared: &Arc<Shared>) {
        let environments = shared.documents.environments();
        let claimed: Vec<&Namespace> = environments.iter().flat_map(|at| &at.spec.namespaces).collect();
        let mut watched = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|namespace, watching| {
            let keep = claimed.contains(&namespace);
            if !keep {
                watching.abort();
            }
            keep
        });
        for namespace in claimed {
            let shared = Arc::clone(shared);
            watched.entry(namespace.clone()).or_insert_with(|| {
                kubernetes::watch_secrets(&self.cluster, namespace, move |certificate: ObjectName| {
                    shared.fleet.doubt(&certificate);
                    shared.driver.put(certificate);
                })
            });
        }
    }
}

/// The Lease of all replicas.
const LEASE: &str = "claviger";

/// `Kind/namespace/name`.
fn named(text: &str) -> Option<ObjectName> {
    let parts: Vec<&str> = text.split('/').collect();
    let (kind, namespace, name) = match parts.as_slice() {
        [kind, name] => (kind, None, name),
        [kind, namespace, name] => (kind, Some(namespace.parse().ok()?), name),
        _ => return None,
    };
    Some(ObjectName { kind: kind.parse::<Kind>().ok()?, namespace, name: name.parse().ok()? })
}
