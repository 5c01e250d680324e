//! Certificates for Ingresses and Gateways that carry `claviger.dev/issue: "true"`: a `TlsCertificate` for each Secret that they name,
//! with that Secret as its outlet.
//!
//! An Ingress is read in `spec.tls`, a Gateway in its listeners that end TLS; whatever shares a Secret is one certificate with all
//! names. `claviger.dev/issuers: a,b`, `claviger.dev/profile` and `claviger.dev/key-algorithm` say more. Only these fields are
//! applied, by a field manager of their own: what a person sets in other fields of the certificate stays. What cannot be done is told
//! by an event on the Ingress or Gateway.
//!
//! Nothing is ever deleted here. A certificate has its Ingress or Gateway as owner, so that Kubernetes deletes it with that; without
//! the annotation, or without the entry, it stays and is renewed until somebody deletes it.

mod asked;
mod made;
mod objects;
mod requests;

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use claviger_config::Namespace;
use futures::{Stream, StreamExt as _};
use k8s_openapi::api::networking::v1::Ingress;
use kube::{
    Api,
    api::DynamicObject,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event},
    },
};
use tokio::sync::{Notify, watch};
use tokio_util::task::AbortOnDropHandle;

pub(super) use self::made::Made;
use self::{asked::Request, requests::Requests};
use super::{Cluster, Events, Fence, Objects, fault::reason, watching};

/// Whose fields these are, in server-side apply.
const APPLIER: &str = "claviger-ingress";

/// Everything that asks, in the namespaces that environments claim.
pub struct Ingresses {
    cluster: Cluster,
    objects: Arc<Objects>,
    events: Events,
    fence: Arc<Fence>,
    watched: Mutex<BTreeMap<Namespace, Watched>>,
    /// Whether the cluster knows Gateways.
    gateways: Arc<watch::Sender<bool>>,
    looking: OnceLock<AbortOnDropHandle<()>>,
}

struct Watched {
    again: Arc<Notify>,
    _until_dropped: AbortOnDropHandle<()>,
}

/// How often it is asked whether the cluster knows Gateways by now.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

impl Ingresses {
    /// Watches nothing yet.
    pub fn new(cluster: &Cluster, objects: &Arc<Objects>, events: &Events, fence: &Arc<Fence>) -> Self {
        Self {
            cluster: cluster.clone(),
            objects: Arc::clone(objects),
            events: events.clone(),
            fence: Arc::clone(fence),
            watched: Mutex::default(),
            gateways: Arc::new(watch::Sender::new(false)),
            looking: OnceLock::new(),
        }
    }

    /// From now on in these namespaces and in no other; what is asked for there is held anew against what there is.
    pub fn watch<'a>(&self, namespaces: impl IntoIterator<Item = &'a Namespace>) {
        self.looking.get_or_init(|| look_for_gateways(self.cluster.clone(), Arc::clone(&self.gateways)));
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *watched);
        for namespace in namespaces {
            let room = before.remove(namespace).unwrap_or_else(|| self.begin(namespace));
            room.again.notify_one();
            watched.insert(namespace.clone(), room);
        }
    }

    fn begin(&self, namespace: &Namespace) -> Watched {
        let again = Arc::new(Notify::new());
        let requests = Requests::new(&self.cluster, namespace, &self.objects, &self.events, Arc::clone(&again));
        let requests = requests.behind(&self.fence);
        let ingresses: Api<Ingress> = Api::namespaced(self.cluster.watching.clone(), namespace.as_str());
        let gateways: Api<DynamicObject> =
            Api::namespaced_with(self.cluster.watching.clone(), namespace.as_str(), &objects::gateways());
        let mut known = self.gateways.subscribe();
        let task = tokio::spawn(async move {
            let seen = kube::runtime::watcher(ingresses, watching());
            let of_ingresses = follow("ingresses", seen.default_backoff(), objects::of_ingress, &requests);
            let of_gateways = async {
                if known.wait_for(|known| *known).await.is_ok() {
                    let seen = kube::runtime::watcher(gateways, watching());
                    follow("gateways", seen.default_backoff(), objects::of_gateway, &requests).await;
                }
            };
            tokio::join!(of_ingresses, of_gateways, requests.keep());
        });
        Watched { again, _until_dropped: AbortOnDropHandle::new(task) }
    }
}

/// How often it is asked whether a right was given by now.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// A cluster without that definition is one without Gateways, and nothing to speak of.
fn look_for_gateways(cluster: Cluster, known: Arc<watch::Sender<bool>>) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            let found = cluster.client.list_api_group_resources(objects::GATEWAY_API).await;
            if found.is_ok_and(|found| found.resources.iter().any(|resource| resource.kind == "Gateway")) {
                known.send_replace(true);
                return;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }))
}

/// Keeps what asks of one kind, as it is seen.
async fn follow<K>(
    what: &'static str,
    seen: impl Stream<Item = Result<Event<K>, watcher::Error>>,
    read: fn(&K) -> Option<Request>,
    requests: &Requests,
) where
    K: kube::Resource,
{
    let mut seen = pin!(seen);
    let (mut listed, mut told): (_, Option<bool>) = (Vec::new(), None);
    while let Some(event) = seen.next().await {
        // A connection that broke just before is no reason not to say that a right is missing.
        let now = event.as_ref().err().map(is_forbidden);
        match event {
            Ok(Event::Apply(object)) => match read(&object) {
                Some(request) => requests.put(what, request),
                None => requests.remove(what, object.meta().name.as_deref()),
            },
            Ok(Event::Delete(object)) => requests.remove(what, object.meta().name.as_deref()),
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(object)) => listed.extend(read(&object)),
            Ok(Event::InitDone) => requests.replace(what, std::mem::take(&mut listed)),
            Err(error) if is_forbidden(&error) => {
                if told != Some(true) {
                    let namespace = requests.namespace();
                    tracing::info!(
                        "{what} in `{namespace}` may not be read (verbs list, watch): their annotations are not heard"
                    );
                }
                tokio::time::sleep(ASK_AGAIN).await;
            }
            Err(error) if told.is_some() => tracing::debug!("{what} cannot be watched: {}", reason(&error)),
            Err(error) => {
                let namespace = requests.namespace();
                tracing::warn!(reason = "StoreFailed", "{what} in `{namespace}` cannot be watched: {}", reason(&error));
            }
        }
        told = now;
    }
}

/// Whoever installed it does not want this: no failure, and rarely asked again.
fn is_forbidden(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status.code == 403,
        watcher::Error::WatchError(status) => status.code == 403,
        _ => false,
    }
}
