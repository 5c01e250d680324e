//! Secrets as they are read: wiped when they are done with.

use std::{collections::BTreeMap, fmt, ops::Deref, sync::Arc};

use claviger_config::{Name, Namespace, Reason};
use claviger_core::{
    domain::{effect::SecretTarget, failure::Failure},
    ports::Clock,
};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::Api;
use zeroize::Zeroize as _;

use super::{Cluster, fault};

/// A Secret that was read: what the client left in memory is wiped when it is dropped.
pub(super) struct Held(Secret);

impl Held {
    /// One field.
    pub(super) fn field(&self, name: &str) -> Option<&[u8]> {
        self.0.data.as_ref()?.get(name).map(|bytes| bytes.0.as_slice())
    }
}

impl From<Secret> for Held {
    fn from(secret: Secret) -> Self {
        Self(secret)
    }
}

impl Deref for Held {
    type Target = Secret;
    fn deref(&self) -> &Secret {
        &self.0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let fields: Option<&mut BTreeMap<String, ByteString>> = self.0.data.as_mut();
        fields.into_iter().flatten().for_each(|(_, bytes)| bytes.0.zeroize());
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Held(redacted)")
    }
}

/// The Secrets of the namespaces that environments claim.
pub(super) struct Secrets {
    cluster: Cluster,
    clock: Arc<dyn Clock>,
}

impl Secrets {
    pub(super) const fn new(cluster: Cluster, clock: Arc<dyn Clock>) -> Self {
        Self { cluster, clock }
    }

    /// One Secret; absent when it is not there.
    pub(super) async fn get(&self, namespace: &Namespace, name: &Name) -> Result<Option<Held>, Failure> {
        let found = self.of(namespace).get_opt(name.as_str()).await.map(|found| found.map(Held));
        found.map_err(|error| self.failure(&format!("read the secret `{namespace}/{name}` (verb get)"), &error))
    }

    pub(super) fn of(&self, namespace: &Namespace) -> Api<Secret> {
        Api::namespaced(self.cluster.client.clone(), namespace.as_str())
    }

    pub(super) fn failure(&self, what: &str, error: &kube::Error) -> Failure {
        fault::failure(Reason::DeliveryFailed, what, error, self.clock.now())
    }
}

pub(super) fn shown(target: &SecretTarget) -> String {
    format!("the secret `{}/{}`", target.namespace, target.name)
}
