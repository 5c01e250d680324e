//! Wrapped account keys as Secrets in clavigerd's own namespace: what a wiped status costs no account.

use std::sync::Arc;

use claviger_config::{EnvironmentName, IssuerName, Reason};
use claviger_core::{
    domain::effect::Sealed,
    ports::{Answer, Clock, Vault},
};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;

use super::{Cluster, MANAGED, MANAGER, fault};

/// Plays [`Vault`].
pub struct AccountSecrets {
    secrets: Api<Secret>,
    clock: Arc<dyn Clock>,
}

impl AccountSecrets {
    /// In clavigerd's own namespace.
    pub fn new(cluster: &Cluster, clock: Arc<dyn Clock>) -> Self {
        Self { secrets: Api::namespaced(cluster.client.clone(), cluster.namespace()), clock }
    }
}

/// Neither name holds a period, so that two pairs never share a Secret.
fn name(environment: &EnvironmentName, issuer: &IssuerName) -> String {
    format!("claviger-account.{environment}.{issuer}")
}

const FIELD: &str = "account.wrapped";

impl Vault for AccountSecrets {
    fn find<'a>(&'a self, environment: &'a EnvironmentName, issuer: &'a IssuerName) -> Answer<'a, Option<Sealed>> {
        Box::pin(async move {
            let name = name(environment, issuer);
            let found = self.secrets.get_opt(&name).await.map_err(|error| {
                fault::failure(
                    Reason::StoreFailed,
                    &format!("get the secret `{name}` (verb get)"),
                    &error,
                    self.clock.now(),
                )
            })?;
            let kept = found.and_then(|secret| secret.data?.remove(FIELD));
            Ok(kept.and_then(|bytes| String::from_utf8(bytes.0).ok()).map(Sealed))
        })
    }

    fn keep<'a>(&'a self, environment: &'a EnvironmentName, issuer: &'a IssuerName, key: &'a Sealed) -> Answer<'a, ()> {
        Box::pin(async move {
            let name = name(environment, issuer);
            let (label, manager) = MANAGED;
            let secret = json!({
                "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
                "metadata": {
                    "name": name,
                    "labels": { label: manager, "claviger.dev/environment": environment, "claviger.dev/issuer": issuer },
                },
                "data": { FIELD: base64(key.0.as_bytes()) },
            });
            let apply = PatchParams::apply(MANAGER).force();
            self.secrets.patch(&name, &apply, &Patch::Apply(&secret)).await.map(drop).map_err(|error| {
                fault::failure(
                    Reason::StoreFailed,
                    &format!("keep the secret `{name}` (verbs create, patch)"),
                    &error,
                    self.clock.now(),
                )
            })
        })
    }
}

pub(super) fn base64(bytes: &[u8]) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    STANDARD.encode(bytes)
}
