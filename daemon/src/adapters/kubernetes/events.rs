//! Events: what `kubectl describe` shows. Few: an event is said when a person would act on it, or when it is over.

use std::{collections::BTreeSet, sync::Arc};

use claviger_config::{Kind, ObjectName, Reason, Turn, crd};
use claviger_core::domain::plan::{Plan, Step};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::sync::mpsc;

use super::{Cluster, MANAGER, Objects, fault};

/// Takes events and never makes anybody wait: what does not fit is dropped, for the status says the same.
#[derive(Clone)]
pub struct Events(mpsc::Sender<(About, Event)>);

/// What an event is about.
enum About {
    /// An object of ours, as it is now.
    Ours(ObjectName),
    /// Any other.
    Other(Box<ObjectReference>),
}

const WAITING: usize = 1_000;

impl Events {
    /// Publishes for as long as somebody holds it.
    pub fn start(cluster: &Cluster, objects: Arc<Objects>, instance: String) -> Self {
        let (sender, mut queue) = mpsc::channel::<(About, Event)>(WAITING);
        let reporter = Reporter { controller: "claviger.dev/clavigerd".to_owned(), instance: Some(instance) };
        let recorder = Recorder::new(cluster.client.clone(), reporter);
        tokio::spawn(async move {
            let mut silent = BTreeSet::new();
            while let Some((about, event)) = queue.recv().await {
                let about = match about {
                    About::Ours(name) => objects.held(&name).map(|held| reference(&name, held.uid)),
                    About::Other(reference) => Some(*reference),
                };
                let Some(about) = about else { continue };
                let published = recorder.publish(&event, &about).await;
                // Kubernetes keeps the events about what has no namespace there.
                let namespace = about.namespace.clone().unwrap_or_else(|| "default".to_owned());
                match published {
                    Ok(()) => drop(silent.remove(&namespace)),
                    Err(error) => unheard(&mut silent, namespace, &about, &fault::words(&error)),
                }
            }
        });
        Self(sender)
    }

    /// A plan that is news.
    pub fn tell(&self, name: &ObjectName, plan: &Plan) {
        if plan.step == Step::Rest
            && let Some(event) = event(plan)
        {
            let _ = self.0.try_send((About::Ours(name.clone()), event));
        }
    }

    /// Something on an object that is not of our kinds, which a person must mend.
    pub fn warn(&self, about: ObjectReference, reason: Reason, note: &str) {
        let _ = self.0.try_send((About::Other(Box::new(about)), said(EventType::Warning, reason, note)));
    }
}

/// Said once for a namespace, until an event is published there again: the status says the same.
fn unheard(silent: &mut BTreeSet<String>, namespace: String, about: &ObjectReference, why: &str) {
    let object = about.name.as_deref().unwrap_or_default();
    if silent.contains(&namespace) {
        tracing::debug!(object, "an event could not be published: {why}");
        return;
    }
    tracing::warn!(
        object,
        reason = "StoreFailed",
        "events in `{namespace}` cannot be published (verbs create and patch): {why}"
    );
    silent.insert(namespace);
}

/// What is over, and what a person must act on; not the steps between.
fn event(plan: &Plan) -> Option<Event> {
    let type_ = match (plan.reason, plan.reason.turn()) {
        (Reason::Issued | Reason::Active | Reason::KeyReady | Reason::Ready, _) => EventType::Normal,
        (_, Turn::Operator | Turn::Customer) => EventType::Warning,
        (reason, Turn::Aws | Turn::Cloudflare | Turn::CertificateAuthority) if is_trouble(reason) => EventType::Warning,
        _ => return None,
    };
    let note = if plan.message.is_empty() { plan.reason.hint() } else { plan.message.as_str() };
    Some(said(type_, plan.reason, note))
}

fn said(type_: EventType, reason: Reason, note: &str) -> Event {
    Event {
        type_,
        reason: reason.word().to_owned(),
        note: Some(note.chars().take(LONGEST).collect()),
        action: MANAGER.to_owned(),
        secondary: None,
    }
}

/// Whether the far side does not do its part, and not only takes its time.
const fn is_trouble(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::AcmeUnreachable
            | Reason::EdgeBlocked
            | Reason::EdgeUnreachable
            | Reason::KmsThrottled
            | Reason::KmsUnreachable
            | Reason::RateLimited
    )
}

/// As the API server limits them: <https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/>
const LONGEST: usize = 1_000;

fn reference(name: &ObjectName, uid: Arc<str>) -> ObjectReference {
    ObjectReference {
        api_version: Some(format!("{}/{}", crd::GROUP, crd::VERSION)),
        kind: Some(name.kind.word().to_owned()),
        name: Some(name.name.to_string()),
        namespace: name.namespace.as_ref().map(ToString::to_string).filter(|_| name.kind != Kind::Environment),
        uid: Some(uid.to_string()),
        ..ObjectReference::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(reason: Reason) -> Option<EventType> {
        event(&Plan::rest(None, reason)).map(|event| event.type_)
    }

    #[test]
    fn an_event_is_said_when_something_is_over_or_a_person_must_act() {
        assert!(matches!(kind(Reason::Issued), Some(EventType::Normal)));
        assert!(matches!(kind(Reason::ChallengeFailed), Some(EventType::Warning)));
        assert!(matches!(kind(Reason::AcmeUnreachable), Some(EventType::Warning)));
        for reason in [Reason::ProvingControl, Reason::Missing, Reason::RenewalDue, Reason::AccountPending] {
            assert!(kind(reason).is_none(), "{reason}");
        }
    }
}
