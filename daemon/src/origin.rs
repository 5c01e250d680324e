//! Where documents come from: a folder, or the custom resources of a cluster.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use claviger_config::{Kind, Namespace, ObjectName, admin::Finding, settle::Settled};
use claviger_core::ports::{Clock, Source as _, Store};
use tokio::{sync::Notify, task::JoinHandle};

use crate::{
    adapters::{
        clock::Pace,
        directory::{self, Watch},
        kubernetes::{self, Cluster, Discovery, Events, Fence, Ingresses, Leader, Objects, StatusStore},
        sqlite::SqliteStore,
    },
    passwords::Passwords,
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
    /// What looks for the TLS Secrets of others; absent when the settings do not want it.
    pub discovery: Option<Discovery>,
    secrets: Mutex<BTreeMap<Namespace, JoinHandle<()>>>,
    passwords: Passwords,
    /// Whether there is something that could not be said of a rejected document.
    untold: Notify,
    /// Whether every kind has been seen.
    whole: AtomicBool,
}

/// How long the first reading waits for every kind to be listed; what is missing then counts as not readable.
const LISTED_WITHIN: Duration = Duration::from_secs(30);

/// How long an API server that does not answer is left alone.
const AGAIN: Duration = Duration::from_secs(2);

/// How long after a status that could not be written.
const TELL_AGAIN: Duration = Duration::from_secs(10);

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
                settled.number(|name| objects.numbered(name));
                settled
            }
        }
    }

    /// Waits until something changed.
    pub async fn next(&mut self) {
        match self {
            Self::Folder(_, changes) => changes.next().await,
            Self::Cluster(cluster) => tokio::select! {
                () = cluster.objects.next() => tokio::time::sleep(TOGETHER).await,
                () = cluster.untold() => {}
            },
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
    pub async fn start(
        store: &Arc<SqliteStore>,
        clock: &Arc<dyn Pace>,
        instance: &str,
        looks: bool,
    ) -> Result<Self, StartError> {
        let cluster = Cluster::connect().await.map_err(|why| StartError::part("the operator", &why))?;
        let objects = Arc::new(Objects::default());
        kubernetes::watch_all(&cluster, &objects);
        let all = async {
            while !objects.answered() {
                objects.next().await;
            }
        };
        let _ = tokio::time::timeout(LISTED_WITHIN, all).await;
        if !objects.complete() {
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
        let discovery = looks.then(|| Discovery::new(&cluster));
        let (secrets, untold, passwords) = (Mutex::default(), Notify::new(), Passwords::default());
        let whole = AtomicBool::new(objects.complete());
        Ok(Self {
            discovery,
            cluster,
            objects,
            records,
            events,
            fence,
            clock,
            ingresses,
            secrets,
            passwords,
            untold,
            whole,
        })
    }

    /// Stands for election, as soon as the Lease can be had. Until then the daemon is not ready, and says why.
    pub async fn stand(&self, instance: &str, shared: &Shared) -> Leader {
        loop {
            let (clock, fence) = (Arc::clone(&self.clock), Arc::clone(&self.fence));
            match kubernetes::lead(&self.cluster, LEASE, instance, clock, fence).await {
                Ok(leader) => {
                    shared.driver.waits(None);
                    return leader;
                }
                Err(why) => wait(shared, why).await,
            }
        }
    }

    /// Begins to lead: knows what the replica before this one wrote last, also when the API server answers later only. Whether
    /// something is seen only now, and to be read.
    pub async fn take_over(&self, shared: &Shared) -> bool {
        let late = !self.whole.load(Ordering::Relaxed);
        while let Err(why) = kubernetes::refresh(&self.cluster, &self.objects).await {
            wait(shared, why).await;
        }
        shared.driver.waits(None);
        self.records.read_claims();
        late
    }

    /// Reads what stands in the records of a kind that could not be seen at the start, now that it can.
    pub fn catch_up(&self, documents: &Documents) {
        if self.objects.complete() && !self.whole.swap(true, Ordering::Relaxed) {
            documents.recall(&self.objects.accepted());
            self.records.read_claims();
        }
    }

    /// What was accepted is kept with the object itself.
    pub fn remember(&self, changed: &Changed) {
        for (name, body) in &changed.accepted {
            if let Some(name) = named(name) {
                self.records.remember(&name, body.as_deref());
            }
        }
    }

    /// Says of every object whose newest version is rejected why, whether or not an older one stays in force.
    pub async fn tell_rejected(&self, shared: &Shared) {
        if !self.fence.holds() {
            return;
        }
        let mut found: BTreeMap<ObjectName, Vec<Finding>> = BTreeMap::new();
        for finding in shared.documents.view().rejected {
            if let Some(name) = named(&finding.file) {
                found.entry(name).or_default().push(finding);
            }
        }
        let (older, none) = found.into_iter().partition(|(name, _)| shared.documents.wanted(name).is_some());
        let mut told = self.records.keep_unaccepted(&older).await;
        for (name, findings) in none as BTreeMap<_, Vec<_>> {
            told &= self.records.reject(&name, &findings).await;
        }
        if !told {
            self.untold.notify_one();
        }
    }

    /// Waits until it is time to say again what could not be said.
    async fn untold(&self) {
        self.untold.notified().await;
        tokio::time::sleep(TELL_AGAIN).await;
    }

    /// Watches what certificates go to and what asks for them, in every namespace that an environment claims, and in no other.
    pub fn watch_claimed(&self, shared: &Arc<Shared>) {
        self.watch_secrets(shared);
        self.passwords.watch(&self.cluster, shared);
        let environments = shared.documents.environments();
        let claimed = || environments.iter().flat_map(|at| &at.spec.namespaces);
        self.ingresses.watch(claimed());
        if let Some(discovery) = &self.discovery {
            discovery.watch(claimed());
        }
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

async fn wait(shared: &Shared, why: String) {
    tracing::error!(reason = "StoreFailed", "the work cannot begin yet: {why}");
    shared.driver.waits(Some(why));
    tokio::time::sleep(AGAIN).await;
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
