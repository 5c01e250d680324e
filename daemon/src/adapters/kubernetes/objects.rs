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
    /// The uids of what a watch saw go lately: a list that is older has them still.
    gone: BTreeSet<Arc<str>>,
    /// Kinds that were listed whole.
    listed: BTreeSet<Kind>,
    /// Why a kind cannot be listed or watched.
    trouble: BTreeMap<Kind, String>,
    /// Kinds that the API server does not give us, whenever it is asked: for want of a right, or of the definition.
    refused: BTreeSet<Kind>,
}

/// One object.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Held {
    /// As a document.
    pub(super) document: Arc<[u8]>,
    /// Another object of the same name has another one.
    pub(super) uid: Arc<str>,
    /// Grows with each change of its `spec`.
    pub(super) generation: u64,
    /// Changes with each write.
    pub(super) version: String,
    /// What claviger remembered; taken away once it was read.
    pub(super) record: Option<Arc<str>>,
    /// Whether the reconciler holds the record: it is then not kept twice.
    pub(super) loaded: bool,
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

    /// Whether every kind was listed once, or refused: asking on does not help.
    pub fn answered(&self) -> bool {
        let seen = self.seen();
        crd::KINDS.iter().all(|kind| seen.listed.contains(kind) || seen.refused.contains(kind))
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
            content: Ok(Arc::clone(&held.document)),
        };
        let unlisted = crd::KINDS.iter().filter(|kind| !seen.listed.contains(kind));
        let hidden = unlisted.map(|kind| {
            let why = seen.trouble.get(kind).cloned().unwrap_or_else(|| "it was not listed yet".to_owned());
            FileRead { name: crd::plural(*kind).to_owned(), content: Err(why) }
        });
        seen.objects.iter().map(file).chain(hidden).collect()
    }

    /// `metadata.generation` and `metadata.uid`.
    pub fn numbered(&self, name: &ObjectName) -> Option<(u64, Arc<str>)> {
        self.seen().objects.get(name).map(|held| (held.generation, Arc::clone(&held.uid)))
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
            (held.record, held.loaded) = (None, true);
            if let Some(version) = version {
                held.version = version;
            }
        }
    }

    /// Its status was written by us, the record in it as it was.
    pub(super) fn moved(&self, name: &ObjectName, version: Option<String>) {
        if let (Some(held), Some(version)) = (self.seen_mut().objects.get_mut(name), version) {
            held.version = version;
        }
    }

    pub(super) fn put(&self, kind: Kind, object: &DynamicObject) {
        let Some((name, held)) = held(kind, object) else { return };
        let mut seen = self.seen_mut();
        if seen.objects.get(&name).is_some_and(|before| is_older(&held.version, &before.version)) {
            return;
        }
        let held = held.after(seen.objects.get(&name));
        let news =
            seen.objects.get(&name).is_none_or(|before| before.document != held.document || before.uid != held.uid);
        seen.objects.insert(name, held);
        drop(seen);
        if news {
            self.changed.notify_one();
        }
    }

    pub(super) fn remove(&self, kind: Kind, object: &DynamicObject) {
        let Some(name) = name_of(kind, object) else { return };
        let deleted = object.metadata.resource_version.as_deref().unwrap_or_default();
        let mut seen = self.seen_mut();
        if seen.gone.len() >= GONE {
            seen.gone.clear();
        }
        seen.gone.extend(object.metadata.uid.as_deref().map(Arc::from));
        if seen.objects.get(&name).is_some_and(|held| !is_older(deleted, &held.version)) {
            seen.objects.remove(&name);
            drop(seen);
            self.changed.notify_one();
        }
    }

    /// Everything of a kind, listed beside the watch, which may have seen what came after the list of that version.
    pub(super) fn freshen(&self, kind: Kind, all: BTreeMap<ObjectName, Held>, version: &str) {
        let mut seen = self.seen_mut();
        let (gone, mut all) = (std::mem::take(&mut seen.gone), all);
        all.retain(|_, held| !gone.contains(&held.uid));
        seen.gone = gone;
        let later = |held: &Held| number(&held.version).zip(number(version)).is_some_and(|(own, list)| own > list);
        for (name, held) in seen.objects.iter().filter(|(name, _)| name.kind == kind) {
            if all
                .get(name)
                .map_or_else(|| later(held), |listed| is_older(&listed.version, &held.version) || later(held))
            {
                all.insert(name.clone(), held.clone());
            }
        }
        drop(seen);
        self.replace(kind, all);
    }

    /// Everything of a kind, listed anew. A list that is known to be of the past changes nothing: the watch that begins there tells the
    /// rest.
    pub(super) fn replace(&self, kind: Kind, all: BTreeMap<ObjectName, Held>) {
        let mut seen = self.seen_mut();
        let past = |(name, held): (&ObjectName, &Held)| {
            seen.objects.get(name).is_some_and(|before| is_older(&held.version, &before.version))
        };
        let of_the_past = all.iter().any(past);
        seen.objects.retain(|name, _| of_the_past || name.kind != kind || all.contains_key(name));
        for (name, held) in all {
            if seen.objects.get(&name).is_some_and(|before| is_older(&held.version, &before.version)) {
                continue;
            }
            let held = held.after(seen.objects.get(&name));
            seen.objects.insert(name, held);
        }
        seen.listed.insert(kind);
        seen.trouble.remove(&kind);
        seen.refused.remove(&kind);
        drop(seen);
        self.changed.notify_one();
    }

    pub(super) fn fail(&self, kind: Kind, why: String, refused: bool) {
        let mut seen = self.seen_mut();
        let mut news = seen.trouble.get(&kind) != Some(&why);
        seen.trouble.insert(kind, why);
        news |= refused && seen.refused.insert(kind);
        drop(seen);
        if news {
            self.changed.notify_one();
        }
    }

    fn seen(&self) -> RwLockReadGuard<'_, Seen> {
        self.seen.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen_mut(&self) -> RwLockWriteGuard<'_, Seen> {
        self.seen.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// As it is now, when it was that before.
    fn after(self, before: Option<&Self>) -> Self {
        match before.filter(|before| before.loaded && before.uid == self.uid) {
            Some(_) => Self { record: None, loaded: true, ..self },
            None => self,
        }
    }
}

fn number(version: &str) -> Option<u64> {
    version.parse().ok()
}

/// More do not go while a list is on its way.
const GONE: usize = 10_000;

/// Whether it is an earlier state: a watch may be behind a list, and tell once more of an object that stood there before under the same
/// name. Versions of a kind are numbers that grow (KEP-5504).
fn is_older(version: &str, other: &str) -> bool {
    number(version).zip(number(other)).is_some_and(|(one, other)| one < other)
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
        uid: object.metadata.uid.as_deref().unwrap_or_default().into(),
        generation: object.metadata.generation.and_then(|number| number.try_into().ok()).unwrap_or_default(),
        version: object.metadata.resource_version.clone().unwrap_or_default(),
        record,
        loaded: false,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn object(version: &str, uid: &str, names: &str, record: Option<&str>) -> DynamicObject {
        let mut object = json!({
            "apiVersion": API_VERSION, "kind": "TlsCertificate",
            "metadata": {
                "name": "web", "namespace": "staging", "uid": uid, "generation": 3, "resourceVersion": version,
                "labels": { "team": "web" },
            },
            "spec": { "dnsNames": [names] },
        });
        if let Some(record) = record {
            object["status"] = json!({ "record": record });
        }
        serde_json::from_value(object).unwrap()
    }

    fn web() -> ObjectName {
        ObjectName {
            kind: Kind::TlsCertificate,
            namespace: Some("staging".parse().unwrap()),
            name: "web".parse().unwrap(),
        }
    }

    fn put(objects: &Objects, object: &DynamicObject) {
        objects.put(Kind::TlsCertificate, object);
    }

    #[test]
    fn an_object_is_a_document_without_what_kubernetes_adds() {
        let objects = Objects::default();
        put(&objects, &object("7", "a", "www.example.com", None));
        let files = objects.read();
        let file = files.iter().find(|file| file.name == "TlsCertificate/staging/web").unwrap();
        let document: Value = serde_json::from_slice(file.content.as_ref().unwrap()).unwrap();
        assert_eq!(document["metadata"], json!({ "name": "web", "namespace": "staging" }));
        assert_eq!(
            (objects.numbered(&web()).map(|(number, _)| number), document["spec"]["dnsNames"][0].as_str()),
            (Some(3), Some("www.example.com"))
        );
    }

    #[test]
    fn what_was_never_listed_cannot_be_read_and_so_nothing_counts_as_removed() {
        let objects = Objects::default();
        assert!(!objects.complete() && objects.read().iter().all(|file| file.content.is_err()));
        crd::KINDS.into_iter().for_each(|kind| objects.replace(kind, BTreeMap::new()));
        assert!(objects.complete() && objects.read().is_empty());
    }

    #[test]
    fn a_watch_that_is_behind_changes_nothing() {
        let objects = Objects::default();
        put(&objects, &object("10", "a", "new.example.com", None));
        put(&objects, &object("9", "a", "old.example.com", None));
        assert!(String::from_utf8_lossy(&objects.held(&web()).unwrap().document).contains("new.example.com"));
        put(&objects, &object("8", "before", "older.example.com", None));
        objects.remove(Kind::TlsCertificate, &object("9", "before", "older.example.com", None));
        assert_eq!(
            &*objects.held(&web()).unwrap().uid,
            "a",
            "what stood there before under the same name is long gone"
        );
        put(&objects, &object("11", "b", "another.example.com", None));
        assert_eq!(&*objects.held(&web()).unwrap().uid, "b", "another object of the same name is no earlier state");
        objects.remove(Kind::TlsCertificate, &object("12", "b", "another.example.com", None));
        assert!(objects.held(&web()).is_none());
    }

    #[test]
    fn a_list_of_the_past_changes_and_removes_nothing() {
        let objects = Objects::default();
        put(&objects, &object("10", "a", "new.example.com", None));
        let mut later = object("11", "b", "later.example.com", None);
        later.metadata.name = Some("later".to_owned());
        put(&objects, &later);
        let listed = |version| held(Kind::TlsCertificate, &object(version, "a", "old.example.com", None));
        objects.replace(Kind::TlsCertificate, listed("9").into_iter().collect());
        let count = || objects.read().iter().filter(|file| file.content.is_ok()).count();
        assert!(
            count() == 2 && String::from_utf8_lossy(&objects.held(&web()).unwrap().document).contains("new.example")
        );
        objects.replace(Kind::TlsCertificate, listed("12").into_iter().collect());
        assert!(
            count() == 1 && String::from_utf8_lossy(&objects.held(&web()).unwrap().document).contains("old.example")
        );
    }

    #[test]
    fn a_list_beside_the_watch_takes_nothing_back_that_the_watch_saw_meanwhile() {
        let objects = Objects::default();
        let listed = |object: &DynamicObject| BTreeMap::from([held(Kind::TlsCertificate, object).unwrap()]);
        put(&objects, &object("12", "b", "new.example.com", None));
        objects.freshen(Kind::TlsCertificate, BTreeMap::new(), "11");
        assert_eq!(&*objects.held(&web()).unwrap().uid, "b", "it was made after the list");
        objects.freshen(Kind::TlsCertificate, listed(&object("9", "a", "old.example.com", None)), "11");
        assert_eq!(&*objects.held(&web()).unwrap().uid, "b", "the one before it is in the list still");
        objects.remove(Kind::TlsCertificate, &object("13", "b", "new.example.com", None));
        objects.freshen(Kind::TlsCertificate, listed(&object("12", "b", "new.example.com", None)), "12");
        assert!(objects.held(&web()).is_none(), "it went after the list");
        objects.freshen(Kind::TlsCertificate, listed(&object("15", "c", "new.example.com", None)), "16");
        assert_eq!(&*objects.held(&web()).unwrap().uid, "c");
        objects.freshen(Kind::TlsCertificate, BTreeMap::new(), "17");
        assert!(objects.held(&web()).is_none(), "it went before the list");
    }

    #[test]
    fn a_record_that_the_reconciler_holds_is_not_kept_twice() {
        let objects = Objects::default();
        put(&objects, &object("7", "a", "www.example.com", Some("AA")));
        assert_eq!(objects.records().len(), 1);
        objects.wrote(&web(), Some("8".to_owned()));
        put(&objects, &object("9", "a", "www.example.com", Some("BB")));
        assert_eq!((objects.records().len(), objects.held(&web()).unwrap().version.as_str()), (0, "9"));
        put(&objects, &object("10", "b", "www.example.com", Some("CC")));
        assert_eq!(objects.records().len(), 1, "another object has a record of its own");
    }
}
