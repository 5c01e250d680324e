//! Secrets of type kubernetes.io/tls as outlets, beside folders.

use std::{collections::BTreeMap, sync::Arc};

use claviger_config::Reason;
use claviger_core::{
    domain::{
        effect::{Chain, OutletPlace, OutletSeen, OutletTarget, ReloadSeen, SecretTarget},
        failure::Failure,
    },
    ports::{Answer, Clock, Outlet, Secret as Key},
};
use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry};
use kube::{
    Api,
    api::{ObjectMeta, Patch, PatchParams},
};
use serde_json::json;
use zeroize::{Zeroize as _, Zeroizing};

use super::{CERTIFICATE, Cluster, MANAGED, MANAGER, fault, vault::base64};
use crate::adapters::craft::pair::{self, Files};

/// Plays [`Outlet`] for folders and for Secrets, by what the outlet is.
pub struct Outlets<F> {
    /// Folders.
    pub files: F,
    /// Secrets.
    pub secrets: SecretOutlet,
}

impl<F: Outlet> Outlet for Outlets<F> {
    fn look<'a>(&'a self, outlet: &'a OutletTarget) -> Answer<'a, OutletSeen> {
        match &outlet.place {
            OutletPlace::Files(_) => self.files.look(outlet),
            OutletPlace::Secret(secret) => Box::pin(self.secrets.look(secret)),
        }
    }

    fn take<'a>(&'a self, outlet: &'a OutletTarget) -> Answer<'a, Option<(Key, String)>> {
        match &outlet.place {
            OutletPlace::Files(_) => self.files.take(outlet),
            OutletPlace::Secret(secret) => Box::pin(self.secrets.take(secret)),
        }
    }

    fn deliver<'a>(&'a self, outlet: &'a OutletTarget, key: &'a Key, chain: &'a Chain) -> Answer<'a, ()> {
        match &outlet.place {
            OutletPlace::Files(_) => self.files.deliver(outlet, key, chain),
            OutletPlace::Secret(secret) => Box::pin(self.secrets.deliver(secret, key, chain)),
        }
    }

    fn reload<'a>(&'a self, outlet: &'a OutletTarget) -> Answer<'a, ReloadSeen> {
        match &outlet.place {
            OutletPlace::Files(_) => self.files.reload(outlet),
            OutletPlace::Secret(_) => Box::pin(async { Ok(ReloadSeen::Succeeded) }),
        }
    }
}

/// Secrets, one for each outlet, in the certificate's namespace.
pub struct SecretOutlet {
    cluster: Cluster,
    clock: Arc<dyn Clock>,
}

/// As the API server stores it.
const TLS: &str = "kubernetes.io/tls";

impl SecretOutlet {
    /// Outlets of that cluster.
    pub const fn new(cluster: Cluster, clock: Arc<dyn Clock>) -> Self {
        Self { cluster, clock }
    }

    async fn look(&self, target: &SecretTarget) -> Result<OutletSeen, Failure> {
        let Some(mut found) = self.get(target).await? else { return Ok(OutletSeen::Empty) };
        let seen = judge(&found, target);
        wipe(&mut found);
        Ok(seen)
    }

    async fn take(&self, target: &SecretTarget) -> Result<Option<(Key, String)>, Failure> {
        let Some(mut found) = self.get(target).await? else { return Ok(None) };
        let taken = field(&found, "tls.key").zip(field(&found, "tls.crt")).and_then(|(key, chain)| {
            pair::pair(key, chain)?;
            let chain = String::from_utf8(chain.to_vec()).ok()?;
            Some((Key::new(Zeroizing::new(key.to_vec())), chain))
        });
        wipe(&mut found);
        Ok(taken)
    }

    /// One write: key and chain never mix. Only our own fields are applied; whatever else stands there stays.
    async fn deliver(&self, target: &SecretTarget, key: &Key, chain: &Chain) -> Result<(), Failure> {
        let place = shown(target);
        let Some(files) = Files::new(key.expose_bytes(), &chain.pem) else {
            let message = format!("key and certificate for {place} do not belong together: nothing is delivered");
            return Err(Failure::new(Reason::DeliveryFailed, message));
        };
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": TLS,
            "metadata": { "name": target.name, "labels": labels(target), "annotations": annotations(target) },
            "data": {
                "tls.key": base64(files.key.as_bytes()),
                "tls.crt": base64(files.chain.as_bytes()),
                "ca.crt": base64(files.issuers.as_bytes()),
            },
        });
        let apply = PatchParams::apply(MANAGER).force();
        let applied = self.secrets(target).patch(target.name.as_str(), &apply, &Patch::Apply(&secret)).await;
        applied.map(|mut secret| wipe(&mut secret)).map_err(|error| {
            self.failure(&format!("write {place} (verbs create, patch); what was in service stays"), &error)
        })
    }

    async fn get(&self, target: &SecretTarget) -> Result<Option<Secret>, Failure> {
        let found = self.secrets(target).get_opt(target.name.as_str()).await;
        found.map_err(|error| self.failure(&format!("read {} (verb get)", shown(target)), &error))
    }

    fn secrets(&self, target: &SecretTarget) -> Api<Secret> {
        Api::namespaced(self.cluster.client.clone(), target.namespace.as_str())
    }

    fn failure(&self, what: &str, error: &kube::Error) -> Failure {
        fault::failure(Reason::DeliveryFailed, what, error, self.clock.now())
    }
}

fn shown(target: &SecretTarget) -> String {
    format!("the secret `{}/{}`", target.namespace, target.name)
}

type Words<'a> = BTreeMap<&'a str, &'a str>;

/// Ours, and those of the document, which never has ours.
fn labels(target: &SecretTarget) -> Words<'_> {
    words(&target.labels).chain([MANAGED]).collect()
}

fn annotations(target: &SecretTarget) -> Words<'_> {
    words(&target.annotations).chain([(CERTIFICATE, target.certificate.as_str())]).collect()
}

fn words(map: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, &str)> {
    map.iter().map(|(key, value)| (key.as_str(), value.as_str()))
}

fn judge(secret: &Secret, target: &SecretTarget) -> OutletSeen {
    let (key, chain) = (field(secret, "tls.key"), field(secret, "tls.crt"));
    let fingerprint = match (key, chain) {
        (None | Some([]), None | Some([])) => return OutletSeen::Empty,
        (Some(key), Some(chain)) if secret.type_.as_deref() == Some(TLS) => pair::pair(key, chain),
        _ => None,
    };
    let Some(fingerprint) = fingerprint else { return OutletSeen::Spoilt };
    let metadata = &secret.metadata;
    let dressed = dressed(metadata, "f:labels", metadata.labels.as_ref(), &labels(target))
        && dressed(metadata, "f:annotations", metadata.annotations.as_ref(), &annotations(target));
    if dressed { OutletSeen::Pair { fingerprint } } else { OutletSeen::Bare { fingerprint } }
}

/// Whether each of ours is there, and none of ours that the document no longer names.
fn dressed(metadata: &ObjectMeta, field: &str, found: Option<&BTreeMap<String, String>>, ours: &Words<'_>) -> bool {
    let there = |key: &str| found.and_then(|found| found.get(key)).map(String::as_str);
    let applied = |entry: &&ManagedFieldsEntry| {
        entry.manager.as_deref() == Some(MANAGER) && entry.operation.as_deref() == Some("Apply")
    };
    let entries = metadata.managed_fields.iter().flatten().filter(applied);
    let mut left = entries
        .filter_map(|entry| entry.fields_v1.as_ref()?.0["f:metadata"][field].as_object())
        .flat_map(|fields| fields.keys())
        .filter_map(|key| key.strip_prefix("f:"));
    ours.iter().all(|(key, value)| there(key) == Some(*value)) && left.all(|key| ours.contains_key(key))
}

fn field<'a>(secret: &'a Secret, name: &str) -> Option<&'a [u8]> {
    secret.data.as_ref()?.get(name).map(|bytes| bytes.0.as_slice())
}

/// What the client read is not left lying about.
fn wipe(secret: &mut Secret) {
    let fields: Option<&mut BTreeMap<String, ByteString>> = secret.data.as_mut();
    fields.into_iter().flatten().for_each(|(_, bytes)| bytes.0.zeroize());
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn target(labels: &[(&str, &str)]) -> SecretTarget {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        SecretTarget {
            namespace: "staging".parse().unwrap(),
            name: "web-tls".parse().unwrap(),
            certificate: "web".parse().unwrap(),
            labels,
            annotations: BTreeMap::new(),
        }
    }

    fn holds(labels: Value, applied: Value, target: &SecretTarget) -> bool {
        let entry = json!([{ "manager": MANAGER, "operation": "Apply", "fieldsV1": { "f:metadata": { "f:labels": applied } } }]);
        let metadata: ObjectMeta = serde_json::from_value(json!({ "labels": labels, "managedFields": entry })).unwrap();
        dressed(&metadata, "f:labels", metadata.labels.as_ref(), &super::labels(target))
    }

    #[test]
    fn a_secret_has_our_labels_and_those_of_the_document_and_none_that_it_no_longer_names() {
        let found = || json!({ MANAGED.0: MANAGED.1, "team": "web", "theirs": "stays" });
        let ours = || json!({ "f:app.kubernetes.io/managed-by": {}, "f:team": {} });
        assert!(holds(found(), ours(), &target(&[("team", "web")])));
        assert!(!holds(found(), ours(), &target(&[("team", "shop")])), "another value");
        assert!(!holds(found(), ours(), &target(&[("team", "web"), ("tier", "1")])), "one is missing");
        assert!(!holds(found(), ours(), &target(&[])), "one of ours is named no longer");
        assert!(holds(found(), json!({}), &target(&[])), "what others set is theirs");
        assert!(
            !holds(json!({ "team": "web" }), ours(), &target(&[("team", "web")])),
            "the label by which it is found"
        );
    }
}
