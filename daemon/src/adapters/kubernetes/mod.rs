//! A cluster: custom resources as documents, their status as records, Secrets as outlets and as the keeper of account keys, a Lease
//! that says which replica is at work.
//!
//! What the API server stores is truth for the documents and memory for everything else: with every status wiped, claviger finds its
//! way again by the Secrets, KMS and the edge.

mod events;
mod fault;
mod lease;
mod objects;
mod outlet;
mod record;
mod store;
mod vault;
mod watch;

use claviger_config::{Kind, ObjectName, crd};
use kube::{
    Api, Client, Config,
    api::{ApiResource, DynamicObject},
    core::GroupVersionKind,
};

pub use self::{
    events::Events,
    lease::{Leader, lead},
    objects::Objects,
    outlet::{Outlets, SecretOutlet},
    store::StatusStore,
    vault::AccountSecrets,
    watch::{watch_all, watch_secrets},
};

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
    namespace: String,
}

impl Cluster {
    /// By `KUBECONFIG`, else by the ServiceAccount of the pod.
    ///
    /// # Errors
    /// When neither is there, or cannot be read.
    pub async fn connect() -> Result<Self, String> {
        let config = Config::infer().await.map_err(|error| {
            format!("no cluster is known: {error}; run in a pod with a ServiceAccount, or set KUBECONFIG")
        })?;
        let namespace = config.default_namespace.clone();
        let client = Client::try_from(config).map_err(|error| format!("the cluster cannot be spoken to: {error}"))?;
        Ok(Self { client, namespace })
    }

    /// clavigerd's own namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Objects of a kind, in every namespace.
    fn everywhere(&self, kind: Kind) -> Api<DynamicObject> {
        Api::all_with(self.client.clone(), &resource(kind))
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

fn resource(kind: Kind) -> ApiResource {
    let kind_of = GroupVersionKind::gvk(crd::GROUP, crd::VERSION, kind.word());
    ApiResource::from_gvk_with_plural(&kind_of, crd::plural(kind))
}
