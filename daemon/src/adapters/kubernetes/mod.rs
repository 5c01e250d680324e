//! A cluster: custom resources as documents, their status as records, Secrets as outlets and as the keeper of account keys, a Lease
//! that says which replica is at work.
//!
//! What the API server stores is truth for the documents and memory for everything else: with every status wiped, claviger finds its
//! way again by the Secrets, KMS and the edge.

mod discovery;
mod events;
mod fault;
mod ingress;
mod keystores;
mod lease;
mod objects;
mod outlet;
mod record;
mod rejected;
mod secret;
mod store;
mod vault;
mod watch;

use std::{sync::Arc, time::Duration};

use claviger_config::{Kind, Moment, ObjectName, Reason, Span, crd, environment::SecretKey};
use claviger_core::{
    domain::failure::{Failure, Retry},
    ports::Clock,
};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client, Config,
    api::{ApiResource, DynamicObject},
    core::GroupVersionKind,
    runtime::watcher,
};
use zeroize::Zeroizing;

pub use self::{
    discovery::{Discovery, Found, Known},
    events::Events,
    ingress::Ingresses,
    lease::{Fence, Leader, lead},
    objects::Objects,
    outlet::{Outlets, SecretOutlet},
    store::StatusStore,
    vault::AccountSecrets,
    watch::{refresh, watch_all, watch_secret, watch_secrets},
};

use crate::adapters::aside::Secrets;

/// Whose fields these are, in server-side apply and in events.
pub const MANAGER: &str = "claviger";

/// The label of everything that claviger makes.
pub const MANAGED: (&str, &str) = ("app.kubernetes.io/managed-by", MANAGER);

/// The annotation that says to which certificate a Secret belongs.
pub const CERTIFICATE: &str = "claviger.dev/certificate";

/// A way to the API server, and the namespace that clavigerd itself lives in.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    /// For watches, which may be silent for long.
    watching: Client,
    namespace: String,
}

/// How long an answer may take.
const ANSWERS: Duration = Duration::from_secs(30);

/// How long a watch lasts before the API server ends it and it is asked for anew. One over which nothing comes any more, although nobody
/// has closed it, is given up soon after that: what it missed is seen within five minutes.
const WATCH: u32 = 240;
const WATCH_SILENT: u32 = 10;

impl Cluster {
    /// By `KUBECONFIG`, else by the ServiceAccount of the pod.
    ///
    /// # Errors
    /// When neither is there, or cannot be read.
    pub async fn connect() -> Result<Self, String> {
        let mut config = Config::infer().await.map_err(|error| {
            format!("no cluster is known: {error}; run in a pod with a ServiceAccount, or set KUBECONFIG")
        })?;
        let namespace = config.default_namespace.clone();
        // The client would hold a call back for up to 1,000 s: whoever asks knows better what to do meanwhile.
        config.default_retry = false;
        config.reset_reader_on_write = true;
        let client = |mut config: Config, answers| {
            config.read_timeout = Some(answers);
            Client::try_from(config).map_err(|error| format!("the cluster cannot be spoken to: {error}"))
        };
        let watching = client(config.clone(), Duration::from_secs((watch_lasts() + WATCH_SILENT).into()))?;
        Ok(Self { client: client(config, ANSWERS)?, watching, namespace })
    }

    /// clavigerd's own namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Reads keys of Secrets in clavigerd's own namespace: what an environment's document names.
    pub fn secrets(&self, clock: Arc<dyn Clock>) -> Secrets {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let place = self.namespace.clone();
        Arc::new(move |key: SecretKey| {
            let (secrets, clock, place) = (secrets.clone(), Arc::clone(&clock), place.clone());
            Box::pin(async move {
                let what = format!("get the secret `{place}/{}` (verb get)", key.name);
                let found = secrets.get_opt(key.name.as_str()).await;
                let found =
                    found.map_err(|error| fault::failure(Reason::SettingMissing, &what, &error, clock.now()))?;
                let value = found.and_then(|secret| secret.data?.remove(&key.key));
                value.map(|bytes| Zeroizing::new(bytes.0)).ok_or_else(|| missing(&place, &key, clock.now()))
            })
        })
    }

    /// Objects of a kind, in every namespace, to be listed.
    fn everywhere(&self, kind: Kind) -> Api<DynamicObject> {
        Api::all_with(self.client.clone(), &resource(kind))
    }

    /// The same, to be watched.
    fn watched_everywhere(&self, kind: Kind) -> Api<DynamicObject> {
        Api::all_with(self.watching.clone(), &resource(kind))
    }

    /// The objects beside one object.
    fn beside(&self, name: &ObjectName) -> Api<DynamicObject> {
        let resource = resource(name.kind);
        match &name.namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace.as_str(), &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }
}

/// Tests may let watches last shorter.
fn watch_lasts() -> u32 {
    #[cfg(feature = "dev")]
    if let Some(seconds) = std::env::var("CLAVIGER_WATCH").ok().and_then(|text| text.parse().ok()) {
        return seconds;
    }
    WATCH
}

/// How every watch is made.
fn watching() -> watcher::Config {
    watcher::Config::default().timeout(watch_lasts())
}

fn missing(place: &str, key: &SecretKey, now: Moment) -> Failure {
    let message = format!("there is no key `{}` in a secret `{place}/{}`", key.key, key.name);
    Failure::new(Reason::SettingMissing, message)
        .retry(Retry::At(now + Span::minutes(1)))
        .fix(format!("kubectl --namespace {place} create secret generic {} --from-file={}=FILE", key.name, key.key))
}

fn resource(kind: Kind) -> ApiResource {
    let kind_of = GroupVersionKind::gvk(crd::GROUP, crd::VERSION, kind.word());
    ApiResource::from_gvk_with_plural(&kind_of, crd::plural(kind))
}
