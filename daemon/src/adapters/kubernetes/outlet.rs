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
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::{ObjectMeta, Patch, PatchParams};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::{
    CERTIFICATE, Cluster, MANAGED, MANAGER,
    keystores::{self, Standing},
    secret::{Held, Secrets, shown},
    vault::base64,
};
use crate::adapters::craft::{
    keystore::Pair,
    pair::{self, Files},
};

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
    secrets: Secrets,
}

/// As the API server stores it.
const TLS: &str = "kubernetes.io/tls";

/// What every Secret of ours has.
const FIELDS: [&str; 3] = ["tls.key", "tls.crt", "ca.crt"];

impl SecretOutlet {
    /// Outlets of that cluster.
    pub const fn new(cluster: Cluster, clock: Arc<dyn Clock>) -> Self {
        Self { secrets: Secrets::new(cluster, clock) }
    }

    async fn look(&self, target: &SecretTarget) -> Result<OutletSeen, Failure> {
        let Some(held) = self.secrets.get(&target.namespace, &target.name).await? else {
            return Ok(OutletSeen::Empty);
        };
        let seen = judge(&held, target);
        let OutletSeen::Pair { fingerprint } = &seen else { return Ok(seen) };
        let pair = held.field("tls.key").zip(held.field("tls.crt")).and_then(|(key, chain)| Pair::read(key, chain));
        let Some(pair) = pair.filter(|_| !target.keystores.is_empty()) else { return Ok(seen) };
        let fingerprint = fingerprint.clone();
        Ok(match keystores::look(&self.secrets, target, &held, pair).await? {
            Standing::Lacking => OutletSeen::Bare { fingerprint },
            Standing::Locked(failure) => OutletSeen::Locked { fingerprint, failure: Box::new(failure) },
            Standing::Whole => seen,
        })
    }

    async fn take(&self, target: &SecretTarget) -> Result<Option<(Key, String)>, Failure> {
        let Some(held) = self.secrets.get(&target.namespace, &target.name).await? else { return Ok(None) };
        Ok(held.field("tls.key").zip(held.field("tls.crt")).and_then(|(key, chain)| {
            pair::pair(key, chain)?;
            let chain = String::from_utf8(chain.to_vec()).ok()?;
            Some((Key::new(Zeroizing::new(key.to_vec())), chain))
        }))
    }

    /// One write: key and chain never mix. Only our own fields are applied; whatever else stands there stays.
    async fn deliver(&self, target: &SecretTarget, key: &Key, chain: &Chain) -> Result<(), Failure> {
        let place = shown(target);
        let Some(files) = Files::new(key.expose_bytes(), &chain.pem) else {
            let message = format!("key and certificate for {place} do not belong together: nothing is delivered");
            return Err(Failure::new(Reason::DeliveryFailed, message));
        };
        let fields = [files.key.as_str(), &files.chain, &files.issuers].map(|text| base64(text.as_bytes()));
        let mut data: BTreeMap<String, String> = FIELDS.map(str::to_owned).into_iter().zip(fields).collect();
        data.extend(self.keystores(target, key, chain).await?);
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": TLS,
            "metadata": { "name": target.name, "labels": labels(target), "annotations": annotations(target) },
            "data": data,
        });
        let apply = PatchParams::apply(MANAGER).force();
        let secrets = self.secrets.of(&target.namespace);
        let applied = secrets.patch(target.name.as_str(), &apply, &Patch::Apply(&secret)).await;
        applied.map(|secret| drop(Held::from(secret))).map_err(|error| {
            self.secrets.failure(&format!("write {place} (verbs create, patch); what was in service stays"), &error)
        })
    }

    /// The fields of the keystores that the document asks for.
    async fn keystores(
        &self,
        target: &SecretTarget,
        key: &Key,
        chain: &Chain,
    ) -> Result<BTreeMap<String, String>, Failure> {
        let pair = Pair::new(key.expose_bytes(), chain.pem.as_bytes()).filter(|_| !target.keystores.is_empty());
        let Some(pair) = pair else { return Ok(BTreeMap::new()) };
        let held = self.secrets.get(&target.namespace, &target.name).await?;
        let fields = keystores::fields(&self.secrets, target, held.as_ref(), pair).await?;
        Ok(fields.into_iter().map(|(name, bytes)| (name.to_string(), base64(&bytes))).collect())
    }
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

fn judge(secret: &Held, target: &SecretTarget) -> OutletSeen {
    let (key, chain) = (secret.field("tls.key"), secret.field("tls.crt"));
    let fingerprint = match (key, chain) {
        (None | Some([]), None | Some([])) => return OutletSeen::Empty,
        (Some(key), Some(chain)) if secret.type_.as_deref() == Some(TLS) => pair::pair(key, chain),
        _ => None,
    };
    let Some(fingerprint) = fingerprint else { return OutletSeen::Spoilt };
    let metadata = &secret.metadata;
    let dressed = dressed(metadata, "f:labels", metadata.labels.as_ref(), &labels(target))
        && dressed(metadata, "f:annotations", metadata.annotations.as_ref(), &annotations(target))
        && holds_no_more(metadata, target);
    if dressed { OutletSeen::Pair { fingerprint } } else { OutletSeen::Bare { fingerprint } }
}

/// Whether each of ours is there, and none of ours that the document no longer names.
fn dressed(metadata: &ObjectMeta, field: &str, found: Option<&BTreeMap<String, String>>, ours: &Words<'_>) -> bool {
    let there = |key: &str| found.and_then(|found| found.get(key)).map(String::as_str);
    let mut left = applied(metadata).filter_map(|fields| fields["f:metadata"][field].as_object()).flat_map(names);
    ours.iter().all(|(key, value)| there(key) == Some(*value)) && left.all(|key| ours.contains_key(key))
}

/// Whether there is no keystore of ours that the document no longer names.
fn holds_no_more(metadata: &ObjectMeta, target: &SecretTarget) -> bool {
    let asked =
        |name: &str| FIELDS.contains(&name) || target.keystores.iter().any(|keystore| keystore.name.as_str() == name);
    applied(metadata).filter_map(|fields| fields["f:data"].as_object()).flat_map(names).all(asked)
}

/// The fields that we applied.
fn applied(metadata: &ObjectMeta) -> impl Iterator<Item = &Value> {
    let ours = |entry: &&ManagedFieldsEntry| {
        entry.manager.as_deref() == Some(MANAGER) && entry.operation.as_deref() == Some("Apply")
    };
    let entries = metadata.managed_fields.iter().flatten().filter(ours);
    entries.filter_map(|entry| Some(&entry.fields_v1.as_ref()?.0))
}

fn names(fields: &Map<String, Value>) -> impl Iterator<Item = &str> {
    fields.keys().filter_map(|key| key.strip_prefix("f:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(labels: &[(&str, &str)]) -> SecretTarget {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        SecretTarget {
            namespace: "staging".parse().unwrap(),
            name: "web-tls".parse().unwrap(),
            certificate: "web".parse().unwrap(),
            labels,
            annotations: BTreeMap::new(),
            keystores: Vec::new(),
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

    #[test]
    fn a_keystore_that_the_document_no_longer_names_is_one_too_many() {
        let entry =
            |fields: Value| json!([{ "manager": MANAGER, "operation": "Apply", "fieldsV1": { "f:data": fields } }]);
        let metadata = |fields: Value| serde_json::from_value(json!({ "managedFields": entry(fields) })).unwrap();
        let own = json!({ ".": {}, "f:tls.key": {}, "f:tls.crt": {}, "f:ca.crt": {} });
        assert!(holds_no_more(&metadata(own), &target(&[])));
        assert!(!holds_no_more(&metadata(json!({ "f:tls.key": {}, "f:keystore.p12": {} })), &target(&[])));
    }
}
