//! Records in the status of the objects themselves: public fields for everybody, and the opaque `record`.
//!
//! Each write names the version that it replaces, so that of two replicas which both believe to lead one is refused. What has no
//! object (a host name of the API) is kept in the state folder; the memory of an object that is deleted goes with it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use claviger_config::{API_VERSION, ObjectName, Reason, Span, admin::Finding, condition::Condition};
use claviger_core::{
    domain::failure::{Failure, Retry},
    ports::{Answer, Clock, Commit, Store, Version},
};
use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use super::{
    Cluster, MANAGER, Objects, fault,
    objects::{self, Held},
    record::{Kept, SCHEMA},
    rejected::{accepted, is_same, rejected, unaccepted, with_condition},
};

/// Plays [`Store`].
pub struct StatusStore {
    cluster: Cluster,
    objects: Arc<Objects>,
    /// For what has no object.
    below: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    written: BTreeMap<ObjectName, Written>,
    /// Who holds what: kind and value to the object and its environment.
    claims: BTreeMap<(String, String), (ObjectName, String)>,
    /// The documents that were last accepted: they ride along with the next write.
    accepted: BTreeMap<ObjectName, String>,
    /// What was said of objects of which no version is in force.
    rejected: BTreeMap<ObjectName, String>,
    /// What is said of objects whose newest version is rejected while an older one is in force, with each write.
    unaccepted: BTreeMap<ObjectName, Condition>,
}

/// What was written last by this process.
#[derive(Clone)]
struct Written {
    uid: Arc<str>,
    version: u64,
}

impl StatusStore {
    /// A store on what was seen so far; who claims what is read from all records at once.
    pub fn new(cluster: Cluster, objects: Arc<Objects>, below: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        let store = Self { cluster, objects, below, clock, memory: Mutex::default() };
        store.read_claims();
        store
    }

    /// Reads from the records who claims what: at the start, and when this replica begins to lead.
    pub fn read_claims(&self) {
        let records = self.objects.records();
        let mut memory = self.memory();
        for (name, held) in records {
            let Some(kept) = held.record.as_deref().and_then(Kept::decode) else { continue };
            let environment = kept.environment.unwrap_or_default();
            for claim in kept.claims {
                memory.claims.insert(claim, (name.clone(), environment.clone()));
            }
            if let Some(accepted) = kept.accepted {
                memory.accepted.entry(name).or_insert(accepted); // what this replica accepted itself is newer
            }
        }
    }

    /// What was accepted is remembered with the next write of the object.
    pub fn remember(&self, name: &ObjectName, accepted: Option<&[u8]>) {
        let mut memory = self.memory();
        match accepted.and_then(|body| std::str::from_utf8(body).ok()) {
            Some(body) => drop(memory.accepted.insert(name.clone(), body.to_owned())),
            None => drop(memory.accepted.remove(name)),
        }
    }

    /// Says of an object that no version of it is in force, and why: nobody else would. Once for the same words. Whether it is said.
    pub async fn reject(&self, name: &ObjectName, found: &[Finding]) -> bool {
        let Some(held) = self.objects.held(name) else { return true };
        let mut status = json!(rejected(found, held.generation, self.clock.now()));
        if let Some(record) = &held.record {
            status["record"] = Value::from(&**record);
        }
        let words =
            format!("{} {}", held.uid, found.iter().map(|finding| finding.message.as_str()).collect::<String>());
        if self.memory().rejected.get(name) == Some(&words) {
            return true;
        }
        match self.patch(name, &held, &status).await {
            Ok(object) => {
                self.objects.wrote(name, object.metadata.resource_version);
                self.memory().rejected.insert(name.clone(), words);
                true
            }
            Err(error) => untold(name, &error),
        }
    }

    /// Says of objects that their newest version is rejected while an older one stays in force: with each of their writes from now on,
    /// and at once where it does not stand there yet. Of whom it is no longer so it goes with the write that the mended version
    /// brings. Whether everything is said.
    pub async fn keep_unaccepted(&self, found: &BTreeMap<ObjectName, Vec<Finding>>) -> bool {
        self.memory().unaccepted.retain(|name, _| found.contains_key(name));
        let mut told = true;
        for (name, findings) in found {
            let Some(held) = self.objects.held(name) else { continue };
            let condition = unaccepted(findings, held.generation, self.clock.now());
            let before = self.memory().unaccepted.get(name).cloned();
            if before.as_ref().is_some_and(|before| is_same(before, &condition)) {
                continue;
            }
            match self.tell_unaccepted(name, &held, condition).await {
                Ok(condition) => drop(self.memory().unaccepted.insert(name.clone(), condition)),
                Err(error) => told = untold(name, &error),
            }
        }
        told
    }

    /// Adds the condition to what stands there. Gives it as it stands there now.
    async fn tell_unaccepted(&self, name: &ObjectName, held: &Held, new: Condition) -> Result<Condition, kube::Error> {
        let found = self.cluster.beside(name).get(name.name.as_str()).await?;
        let mut status = found.data.get("status").cloned().unwrap_or_else(|| json!({}));
        let old = accepted(&status);
        if let Some(old) = old.as_ref().filter(|old| is_same(old, &new)) {
            return Ok(old.clone());
        }
        let since =
            old.filter(|old| old.status == new.status).map_or(new.last_transition_time, |old| old.last_transition_time);
        let new = Condition { last_transition_time: since, ..new };
        with_condition(&mut status, &new);
        let version = found.metadata.resource_version.unwrap_or_default();
        let held = Held { uid: found.metadata.uid.unwrap_or_default().into(), version, ..held.clone() };
        let object = self.patch(name, &held, &status).await?;
        self.objects.moved(name, object.metadata.resource_version);
        Ok(new)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first time what the watch saw is good enough: an effect waits for a write, and a write names what it replaces.
    fn first(&self, name: &ObjectName, held: &Held) -> Option<(String, Version)> {
        let kept = held.record.as_deref().and_then(Kept::decode);
        let version = kept.as_ref().map_or(0, |kept| kept.version);
        self.memory().written.insert(name.clone(), Written { uid: held.uid.clone(), version });
        self.objects.wrote(name, None);
        kept.map(|kept| (kept.body_for(&held.uid), Version(version)))
    }

    /// The version that stands there: what was written last, else what was seen.
    fn version(&self, name: &ObjectName, held: &Held) -> Option<u64> {
        let written =
            self.memory().written.get(name).filter(|written| written.uid == held.uid).map(|written| written.version);
        written.or_else(|| held.record.as_deref().and_then(Kept::decode).map(|kept| kept.version))
    }

    async fn write(&self, commit: &Commit<'_>, mut held: Held) -> Result<Version, Failure> {
        let expected = commit.expected.map(|version| version.0);
        self.refuse_claimed(commit)?;
        let kept = self.kept(commit, expected.unwrap_or_default() + 1, &held.uid);
        let mut status = with_record(commit.status.value(), &kept);
        if let Some(condition) = self.memory().unaccepted.get(commit.name) {
            with_condition(&mut status, condition);
        }
        for _ in 0..TRIES {
            match self.patch(commit.name, &held, &status).await {
                Ok(object) => {
                    self.wrote(commit, &held, kept.version, object.metadata.resource_version);
                    return Ok(Version(kept.version));
                }
                Err(error) if fault::is_conflict(&error) || fault::is_lost(&error) => {
                    held = self.again(commit, &held, &kept).await?;
                    // It was done, and only the answer was lost.
                    if held.record.as_deref().and_then(Kept::decode).as_ref() == Some(&kept) {
                        self.wrote(commit, &held, kept.version, Some(held.version.clone()));
                        return Ok(Version(kept.version));
                    }
                }
                Err(error) if fault::is_missing(&error) => return Err(gone(commit.name)),
                Err(error) => return Err(self.failure("write the status of", commit.name, &error)),
            }
        }
        let message =
            format!("the status of `{}` could not be written: somebody else writes all the time", commit.name);
        let again = self.clock.now() + Span::seconds(10);
        Err(Failure::new(Reason::StoreFailed, message).retry(Retry::At(again)))
    }

    /// Somebody wrote in between, or the answer was lost. When it was not the record, the write may be tried on what stands there now.
    async fn again(&self, commit: &Commit<'_>, before: &Held, ours: &Kept) -> Result<Held, Failure> {
        let api = self.cluster.beside(commit.name);
        let found = api.get_opt(commit.name.name.as_str()).await;
        let found = found.map_err(|error| self.failure("read", commit.name, &error))?;
        let object = found.ok_or_else(|| gone(commit.name))?;
        let (_, now) = objects::held(commit.name.kind, &object).ok_or_else(|| gone(commit.name))?;
        if now.uid != before.uid {
            return Err(gone(commit.name));
        }
        self.objects.put(commit.name.kind, &object);
        let (stands, expected) =
            (now.record.as_deref().and_then(Kept::decode), commit.expected.map(|version| version.0));
        // A record that somebody wiped is no rival's.
        match stands.filter(|stands| Some(stands.version) != expected && stands != ours) {
            None if now.generation != before.generation => Err(self.another_document(commit.name)),
            None => Ok(now),
            Some(stands) => Err(stale(commit.name, Some(stands.version), expected)),
        }
    }

    /// What was heard meanwhile is kept, and it is decided anew by what the document says now.
    fn another_document(&self, name: &ObjectName) -> Failure {
        let message = format!("the document of `{name}` has changed meanwhile: it is read again");
        Failure::new(Reason::StoreFailed, message).retry(Retry::At(self.clock.now() + Span::seconds(1)))
    }

    async fn patch(&self, name: &ObjectName, held: &Held, status: &Value) -> Result<DynamicObject, kube::Error> {
        let mut metadata = json!({ "name": name.name, "uid": held.uid, "resourceVersion": held.version });
        if let Some(namespace) = &name.namespace {
            metadata["namespace"] = json!(namespace);
        }
        let object =
            json!({ "apiVersion": API_VERSION, "kind": name.kind.word(), "metadata": metadata, "status": status });
        let apply = PatchParams::apply(MANAGER).force();
        self.cluster.beside(name).patch_status(name.name.as_str(), &apply, &Patch::Apply(&object)).await
    }

    fn kept(&self, commit: &Commit<'_>, version: u64, uid: &str) -> Kept {
        Kept {
            schema: SCHEMA,
            version,
            body: commit.body.to_owned(),
            claims: commit.claims.iter().map(|(kind, value)| ((*kind).to_owned(), value.clone())).collect(),
            environment: commit.environment.map(ToString::to_string),
            accepted: self.memory().accepted.get(commit.name).cloned(),
            thought: commit.thought.value(),
            uid: Some(uid.to_owned()),
        }
    }

    fn wrote(&self, commit: &Commit<'_>, held: &Held, version: u64, resource_version: Option<String>) {
        self.objects.wrote(commit.name, resource_version);
        let mut memory = self.memory();
        memory.written.insert(commit.name.clone(), Written { uid: held.uid.clone(), version });
        let environment = commit.environment.map(ToString::to_string).unwrap_or_default();
        for (kind, value) in commit.claims {
            memory.claims.insert(((*kind).to_owned(), value.clone()), (commit.name.clone(), environment.clone()));
        }
    }

    /// A claim that another environment holds is refused, with both names.
    fn refuse_claimed(&self, commit: &Commit<'_>) -> Result<(), Failure> {
        let environment = commit.environment.map(ToString::to_string).unwrap_or_default();
        let memory = self.memory();
        for (kind, value) in commit.claims {
            let holder = memory.claims.get(&((*kind).to_owned(), value.clone()));
            if let Some((holder, theirs)) = holder.filter(|(_, theirs)| *theirs != environment) {
                let message = format!(
                    "`{}` of environment `{environment}` claims the {kind} `{value}`, which belongs to `{holder}` of environment \
                     `{theirs}`: the holder keeps it",
                    commit.name
                );
                return Err(Failure::new(Reason::ClaimedElsewhere, message)
                    .retry(Retry::Never)
                    .fix(format!("give `{}` a {kind} of its own", commit.name))
                    .fix(format!("or remove `{holder}` first, if the {kind} shall move")));
            }
        }
        Ok(())
    }

    fn failure(&self, what: &str, name: &ObjectName, error: &kube::Error) -> Failure {
        let what = format!("{what} `{name}` (verbs get and patch, on the resource and its status)");
        fault::failure(Reason::StoreFailed, &what, error, self.clock.now())
    }
}

const TRIES: usize = 5;

fn gone(name: &ObjectName) -> Failure {
    let message = format!("`{name}` was deleted, or is another object of the same name now: it is read again");
    Failure::new(Reason::StoreFailed, message)
}

/// It could not be said; it is said again soon.
fn untold(name: &ObjectName, error: &kube::Error) -> bool {
    tracing::warn!(object = %name, reason = "StoreFailed", "its status could not be written: {}", fault::words(error));
    false
}

/// A record of a newer version is left as it is, and its object with it.
fn not_newer(name: &ObjectName, held: &Held) -> Result<(), Failure> {
    let Some(found) = held.record.as_deref().and_then(Kept::newer) else { return Ok(()) };
    let message = format!(
        "the record of `{name}` was written by a newer version of claviger (schema {found}, this one reads up to {SCHEMA}): it is left as it is"
    );
    tracing::error!(object = %name, reason = "StoreFailed", "{message}");
    Err(Failure::new(Reason::StoreFailed, message)
        .retry(Retry::Never)
        .fix("install that version again; with the field `status.record` removed, what is in service is taken over"))
}

fn with_record(mut status: Value, kept: &Kept) -> Value {
    if let Some(fields) = status.as_object_mut() {
        fields.insert("record".to_owned(), kept.encode().into());
    }
    status
}

fn stale(name: &ObjectName, found: Option<u64>, expected: Option<u64>) -> Failure {
    let words = |version: Option<u64>| version.map_or_else(|| "none".to_owned(), |version| version.to_string());
    let message = format!(
        "the record of `{name}` has version {}, the write was to replace version {}: another replica is at work, or the answer to an \
         earlier write was lost; it is read again",
        words(found),
        words(expected)
    );
    Failure::new(Reason::StoreFailed, message)
}

impl Store for StatusStore {
    fn load<'a>(&'a self, name: &'a ObjectName) -> Answer<'a, Option<(String, Version)>> {
        Box::pin(async move {
            let Some(held) = self.objects.held(name) else { return self.below.load(name).await };
            if !self.memory().written.contains_key(name) {
                not_newer(name, &held)?;
                return Ok(self.first(name, &held));
            }
            // Asked anew: what a watch saw may be older than what was written last.
            let found = self.cluster.beside(name).get_opt(name.name.as_str()).await;
            let found = found.map_err(|error| self.failure("read", name, &error))?;
            let Some(object) = found else { return Ok(None) };
            let Some((_, now)) = objects::held(name.kind, &object) else { return Ok(None) };
            not_newer(name, &now)?;
            self.objects.put(name.kind, &object);
            if now.uid == held.uid && now.generation != held.generation {
                return Err(self.another_document(name));
            }
            let kept = now.record.as_deref().and_then(Kept::decode);
            let version = kept.as_ref().map_or(0, |kept| kept.version);
            self.memory().written.insert(name.clone(), Written { uid: now.uid.clone(), version });
            self.objects.wrote(name, Some(now.version));
            Ok(kept.map(|kept| (kept.body_for(&now.uid), Version(version))))
        })
    }

    fn commit<'a>(&'a self, commit: Commit<'a>) -> Answer<'a, Version> {
        Box::pin(async move {
            let Some(held) = self.objects.held(commit.name) else {
                // The memory of an object goes with it: another one of the name adopts nothing.
                let gone = self.memory().written.remove(commit.name).is_some();
                return if gone { Ok(Version::NOTHING) } else { self.below.commit(commit).await };
            };
            if self.memory().written.get(commit.name).is_some_and(|written| written.uid != held.uid) {
                return Err(gone(commit.name)); // what is to be written is the memory of its predecessor
            }
            let (found, expected) = (self.version(commit.name, &held), commit.expected.map(|version| version.0));
            if found.unwrap_or_default() != expected.unwrap_or_default() && found.is_some() {
                return Err(stale(commit.name, found, expected));
            }
            self.write(&commit, held).await
        })
    }

    fn names(&self) -> Answer<'_, Vec<ObjectName>> {
        Box::pin(async move {
            let mut names = self.below.names().await?;
            names.extend(self.objects.records().into_iter().map(|(name, _)| name));
            Ok(names)
        })
    }
}
