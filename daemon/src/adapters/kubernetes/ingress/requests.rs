//! What asks in one namespace, and the work: apply what differs, say what is wrong.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use claviger_config::{API_VERSION, Kind, Name, Namespace, ObjectName, Reason};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Api,
    api::{DynamicObject, Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{
    APPLIER, Made,
    asked::{Asker, Request, Wanted, asked},
    made::{Verdict, verdict},
};
use crate::adapters::kubernetes::{
    Cluster, Events, Fence, Objects,
    fault::{is_conflict, words},
    resource,
};

/// One namespace.
pub(super) struct Requests {
    namespace: Namespace,
    certificates: Api<DynamicObject>,
    objects: Arc<Objects>,
    events: Events,
    again: Arc<Notify>,
    fence: Arc<Fence>,
    asking: Mutex<BTreeMap<Key, Request>>,
    done: Mutex<Done>,
}

/// The plural of a kind, and a name.
type Key = (&'static str, String);

/// What this process did and said so far.
#[derive(Default)]
struct Done {
    /// What the API server made of each certificate: what it does not do by one apply, it does not do by another.
    applied: BTreeMap<Name, (Asker, Wanted, Value)>,
    told: BTreeMap<Key, (String, String)>,
}

/// Changes that come together are answered together.
const TOGETHER: Duration = Duration::from_millis(100);

/// After an answer that was lost or a refusal that may end.
const TRY_AGAIN: Duration = Duration::from_secs(15);

impl Requests {
    pub(super) fn new(
        cluster: &Cluster,
        namespace: &Namespace,
        objects: &Arc<Objects>,
        events: &Events,
        again: Arc<Notify>,
    ) -> Self {
        let kind = resource(Kind::TlsCertificate);
        Self {
            namespace: namespace.clone(),
            certificates: Api::namespaced_with(cluster.client.clone(), namespace.as_str(), &kind),
            objects: Arc::clone(objects),
            events: events.clone(),
            again,
            fence: Arc::default(),
            asking: Mutex::default(),
            done: Mutex::default(),
        }
    }

    /// The same, which applies something only as long as this replica leads.
    pub(super) fn behind(self, fence: &Arc<Fence>) -> Self {
        Self { fence: Arc::clone(fence), ..self }
    }

    pub(super) const fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    pub(super) fn put(&self, what: &'static str, request: Request) {
        let before = self.asking().insert((what, request.asker.name.clone()), request.clone());
        if before != Some(request) {
            self.again.notify_one();
        }
    }

    /// Its certificates go with it, by their owner, or stay: there is nothing to do.
    pub(super) fn remove(&self, what: &'static str, name: Option<&str>) {
        let key = (what, name.unwrap_or_default().to_owned());
        self.asking().remove(&key);
        self.done().told.remove(&key);
    }

    pub(super) fn replace(&self, what: &'static str, all: Vec<Request>) {
        let mut asking = self.asking();
        asking.retain(|(kind, _), _| *kind != what);
        asking.extend(all.into_iter().map(|request| ((what, request.asker.name.clone()), request)));
        drop(asking);
        self.again.notify_one();
    }

    /// Holds what is asked for against what there is, whenever either may have changed.
    pub(super) async fn keep(&self) {
        let mut failed = false;
        loop {
            let waited = tokio::time::timeout(if failed { TRY_AGAIN } else { Duration::MAX }, self.again.notified());
            if waited.await.is_ok() {
                tokio::time::sleep(TOGETHER).await;
            }
            failed = !self.all().await;
        }
    }

    /// Whether everything came to its end.
    async fn all(&self) -> bool {
        if !self.fence.holds() {
            return false;
        }
        let all: Vec<(Key, Request)> =
            self.asking().iter().map(|(key, request)| (key.clone(), request.clone())).collect();
        let mut ended = true;
        for (key, request) in all {
            let asked = asked(&request);
            let (mut wrong, mut whole) = (asked.wrong, true);
            for wanted in asked.certificates {
                match self.one(&request.asker, &wanted).await {
                    Outcome::Done => {}
                    Outcome::Later => whole = false,
                    Outcome::Wrong(why) => wrong.push(why),
                }
            }
            if whole {
                self.tell(key, &request.asker, &wrong.join("; "));
            }
            ended &= whole;
        }
        ended
    }

    async fn one(&self, asker: &Asker, wanted: &Wanted) -> Outcome {
        let namespace = Some(self.namespace.clone());
        let name = ObjectName { kind: Kind::TlsCertificate, namespace, name: wanted.secret.clone() };
        if let Some(held) = self.objects.held(&name) {
            let document: Value = serde_json::from_slice(&held.document).unwrap_or_default();
            if let Some(outcome) = self.judged(&document["spec"], &held.made, asker, wanted) {
                return outcome;
            }
        }
        // Asked anew before anything is written: what a watch saw may be older than what was applied last.
        match self.certificates.get_opt(wanted.secret.as_str()).await {
            Ok(Some(found)) if found.metadata.deletion_timestamp.is_some() => Outcome::Later,
            Ok(Some(found)) => {
                let made = Made::of(&found.metadata);
                let judged = self.judged(&found.data["spec"], &made, asker, wanted);
                let uid = found.metadata.uid.as_deref();
                if let Some(outcome) = judged { outcome } else { self.apply(asker, wanted, uid).await }
            }
            Ok(None) => self.apply(asker, wanted, None).await,
            Err(error) => self.failed("read", wanted, &error),
        }
    }

    /// Unless it must be applied.
    fn judged(&self, spec: &Value, made: &Made, asker: &Asker, wanted: &Wanted) -> Option<Outcome> {
        match verdict(spec, made, asker, wanted) {
            Verdict::Foreign(why) => Some(Outcome::Wrong(why)),
            Verdict::Same | Verdict::Shared => Some(Outcome::Done),
            Verdict::Differs => {
                let done = self.done();
                let (last_asker, last_wanted, made_of_it) = done.applied.get(&wanted.secret)?;
                ((last_asker, last_wanted, made_of_it) == (asker, wanted, spec)).then_some(Outcome::Done)
            }
        }
    }

    /// Over what is there when that is ours; else without force, so that one that somebody makes at this moment stays as it is.
    async fn apply(&self, asker: &Asker, wanted: &Wanted, uid: Option<&str>) -> Outcome {
        let owner = json!({
            "apiVersion": asker.api_version, "kind": asker.kind, "name": asker.name, "uid": asker.uid, "controller": true,
        });
        let mut metadata = json!({ "name": wanted.secret, "namespace": self.namespace, "ownerReferences": [owner] });
        let mut how = PatchParams::apply(APPLIER);
        if let Some(uid) = uid {
            metadata["uid"] = json!(uid);
            how = how.force();
        }
        let kind = Kind::TlsCertificate.word();
        let object = json!({ "apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": wanted.spec() });
        match self.certificates.patch(wanted.secret.as_str(), &how, &Patch::Apply(&object)).await {
            Ok(mut made) => {
                let spec = made.data["spec"].take();
                tracing::info!(
                    "{} `{}/{}`: TlsCertificate `{}` applied",
                    asker.kind,
                    self.namespace,
                    asker.name,
                    wanted.secret
                );
                self.done().applied.insert(wanted.secret.clone(), (asker.clone(), wanted.clone(), spec));
                Outcome::Done
            }
            Err(kube::Error::Api(status)) if matches!(status.code, 400 | 422) => Outcome::Wrong(format!(
                "the TlsCertificate `{}` is refused: {}",
                wanted.secret,
                words(&kube::Error::Api(status))
            )),
            Err(error) => self.failed("apply", wanted, &error),
        }
    }

    fn failed(&self, verb: &str, wanted: &Wanted, error: &kube::Error) -> Outcome {
        let name = format!("{}/{}", self.namespace, wanted.secret);
        match is_conflict(error) {
            true => tracing::debug!("the TlsCertificate `{name}` has just changed: {}", words(error)),
            false => tracing::warn!(
                reason = "StoreFailed",
                "cannot {verb} the TlsCertificate `{name}` (verbs get, create, patch): {}",
                words(error)
            ),
        }
        Outcome::Later
    }

    /// Once, until it is something else.
    fn tell(&self, key: Key, asker: &Asker, wrong: &str) {
        let news = (asker.uid.clone(), wrong.to_owned());
        let before = self.done().told.insert(key, news.clone());
        if !wrong.is_empty() && before != Some(news) {
            tracing::warn!(reason = "DocumentRejected", "{} `{}/{}`: {wrong}", asker.kind, self.namespace, asker.name);
            self.events.warn(reference(asker), Reason::DocumentRejected, wrong);
        }
    }

    fn asking(&self) -> MutexGuard<'_, BTreeMap<Key, Request>> {
        self.asking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn done(&self) -> MutexGuard<'_, Done> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Outcome {
    Done,
    Later,
    Wrong(String),
}

fn reference(asker: &Asker) -> ObjectReference {
    ObjectReference {
        api_version: Some(asker.api_version.to_owned()),
        kind: Some(asker.kind.to_owned()),
        name: Some(asker.name.clone()),
        namespace: Some(asker.namespace.clone()),
        uid: Some(asker.uid.clone()),
        ..ObjectReference::default()
    }
}
