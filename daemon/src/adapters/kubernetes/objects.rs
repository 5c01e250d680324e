//! The custom resources as the watches last saw them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use claviger_config::{API_VERSION, EnvironmentName, IssuerName, Kind, ObjectName, crd, settle::FileRead};
use kube::api::DynamicObject;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{ingress::Made, record::Kept};

/// Everything that was seen.
#[derive(Default)]
pub struct Objects {
    seen: RwLock<Seen>,
    changed: Notify,
}

#[derive(Default)]
struct Seen {
    objects: BTreeMap<ObjectName, Held>,
    /// Kinds that were listed whole.
    listed: BTreeSet<Kind>,
    /// Why a kind cannot be listed.
    trouble: BTreeMap<Kind, String>,
}

/// One object.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Held {
    /// As a document.
    pub(super) document: Arc<[u8]>,
    /// Another object of the same name has another one.
    pub(super) uid: String,
    /// Grows with each change of its `spec`.
    pub(super) generation: u64,
    /// Changes with each write.
    pub(super) version: String,
    /// What claviger remembered; taken away once it was read.
    pub(super) record: Option<Arc<str>>,
    /// Issuers and thumbprints of accounts, of an environment.
    pub(super) thumbprints: Vec<(String, String)>,
    /// For whom it was made.
    pub(super) made: Made,
}

impl Objects {
    /// Waits until something changed that documents are made of.
    pub async fn next(&self) {
        self.changed.notified().await;
    }

    /// Whether every kind was listed once.
    pub fn complete(&self) -> bool {
        let seen = self.seen();
        crd::KINDS.iter().all(|kind| seen.listed.contains(kind))
    }

    /// Why something cannot be seen.
    pub fn trouble(&self) -> Option<String> {
        self.seen().trouble.values().next().cloned()
    }

    /// As files, one an object, so that they are judged as the documents of a folder are. A kind that was never listed is a file that
    /// cannot be read: nothing counts as removed then.
    pub fn read(&self) -> Vec<FileRead> {
        let seen = self.seen();
        let file = |(name, held): (&ObjectName, &Held)| FileRead {
            name: name.to_string(),
            content: Ok(held.document.to_vec()),
        };
        let unlisted = crd::KINDS.iter().filter(|kind| !seen.listed.contains(kind));
        let hidden = unlisted.map(|kind| {
            let why = seen.trouble.get(kind).cloned().unwrap_or_else(|| "it was not listed yet".to_owned());
            FileRead { name: crd::plural(*kind).to_owned(), content: Err(why) }
        });
        seen.objects.iter().map(file).chain(hidden).collect()
    }

    /// `metadata.generation`.
    pub fn generation(&self, name: &ObjectName) -> Option<u64> {
        self.seen().objects.get(name).map(|held| held.generation)
    }

    /// What was last accepted, as it stands in the records: read once, before anything is judged.
    pub fn accepted(&self) -> Vec<(String, Vec<u8>)> {
        let seen = self.seen();
        let records =
            seen.objects.iter().filter_map(|(name, held)| Some((name, Kept::decode(held.record.as_deref()?)?)));
        records.filter_map(|(name, kept)| Some((name.to_string(), kept.accepted?.into_bytes()))).collect()
    }

    /// The thumbprint of an account, as the environment's status tells it: what a replica that is not at work answers http-01 with.
    pub fn thumbprint(&self, environment: &EnvironmentName, issuer: &IssuerName) -> Option<String> {
        let name = ObjectName { kind: Kind::Environment, namespace: None, name: environment.as_str().parse().ok()? };
        let seen = self.seen();
        let accounts = &seen.objects.get(&name)?.thumbprints;
        accounts.iter().find(|(known, _)| known == issuer.as_str()).map(|(_, thumbprint)| thumbprint.clone())
    }

    pub(super) fn held(&self, name: &ObjectName) -> Option<Held> {
        self.seen().objects.get(name).cloned()
    }

    /// Every object with its record.
    pub(super) fn records(&self) -> Vec<(ObjectName, Held)> {
        let seen = self.seen();
        seen.objects
            .iter()
            .filter(|(_, held)| held.record.is_some())
            .map(|(name, held)| (name.clone(), held.clone()))
            .collect()
    }

    /// Its record was read, or written by us: from now on the reconciler holds it.
    pub(super) fn wrote(&self, name: &ObjectName, version: Option<String>) {
        if let Some(held) = self.seen_mut().objects.get_mut(name) {
            held.record = None;
            if let Some(version) = version {
                held.version = version;
            }
        }
    }

    pub(super) fn put(&self, kind: Kind, object: &DynamicObject) {
        let Some((name, held)) = held(kind, object) else { return };
        let mut seen = self.seen_mut();
        let before = seen.objects.insert(name, held.clone());
        drop(seen);
        if before.is_none_or(|before| before.document != held.document || before.uid != held.uid) {
            self.changed.notify_one();
        }
    }

    pub(super) fn remove(&self, kind: Kind, object: &DynamicObject) {
        let Some(name) = name_of(kind, object) else { return };
        if self.seen_mut().objects.remove(&name).is_some() {
            self.changed.notify_one();
        }
    }

    /// Everything of a kind, listed anew.
    pub(super) fn replace(&self, kind: Kind, all: BTreeMap<ObjectName, Held>) {
        let mut seen = self.seen_mut();
        seen.objects.retain(|name, _| name.kind != kind || all.contains_key(name));
        seen.objects.extend(all);
        seen.listed.insert(kind);
        seen.trouble.remove(&kind);
        drop(seen);
        self.changed.notify_one();
    }

    pub(super) fn fail(&self, kind: Kind, why: String) {
        self.seen_mut().trouble.insert(kind, why);
    }

    fn seen(&self) -> RwLockReadGuard<'_, Seen> {
        self.seen.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen_mut(&self) -> RwLockWriteGuard<'_, Seen> {
        self.seen.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An object that is being deleted is as good as gone: nothing new is begun for it.
pub(super) fn held(kind: Kind, object: &DynamicObject) -> Option<(ObjectName, Held)> {
    let name = name_of(kind, object)?;
    let mut metadata = json!({ "name": name.name });
    if let Some(namespace) = &name.namespace {
        metadata["namespace"] = json!(namespace);
    }
    let spec = object.data.get("spec").cloned().unwrap_or(Value::Null);
    let document = json!({ "apiVersion": API_VERSION, "kind": kind.word(), "metadata": metadata, "spec": spec });
    let status = object.data.get("status");
    let record = status.and_then(|status| status.get("record")).and_then(Value::as_str).map(Arc::from);
    let held = Held {
        document: document.to_string().into_bytes().into(),
        uid: object.metadata.uid.clone().unwrap_or_default(),
        generation: object.metadata.generation.and_then(|number| number.try_into().ok()).unwrap_or_default(),
        version: object.metadata.resource_version.clone().unwrap_or_default(),
        record,
        thumbprints: status.map(thumbprints).unwrap_or_default(),
        made: Made::of(&object.metadata),
    };
    Some((name, held))
}

fn name_of(kind: Kind, object: &DynamicObject) -> Option<ObjectName> {
    let namespace = match &object.metadata.namespace {
        Some(namespace) => Some(namespace.parse().ok()?),
        None => None,
    };
    Some(ObjectName { kind, namespace, name: object.metadata.name.as_ref()?.parse().ok()? })
}

fn thumbprints(status: &Value) -> Vec<(String, String)> {
    let issuers = status.get("issuers").and_then(Value::as_array).into_iter().flatten();
    let account = |issuer: &Value| {
        Some((issuer.get("name")?.as_str()?.to_owned(), issuer.get("thumbprint")?.as_str()?.to_owned()))
    };
    issuers.filter_map(account).collect()
}
