//! Events: what `kubectl describe` shows. Few: an event is said when a person would act on it, or when it is over.

use std::sync::Arc;

use claviger_config::{Kind, ObjectName, Reason, Turn, crd};
use claviger_core::domain::plan::{Plan, Step};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::sync::mpsc;

use super::{Cluster, MANAGER, Objects};

/// Takes events and never makes anybody wait: what does not fit is dropped, for the status says the same.
#[derive(Clone)]
pub struct Events(mpsc::Sender<(ObjectName, Event)>);

const WAITING: usize = 1_000;

impl Events {
    /// Publishes for as long as somebody holds it.
    pub fn start(cluster: &Cluster, objects: Arc<Objects>, instance: String) -> Self {
        let (sender, mut queue) = mpsc::channel::<(ObjectName, Event)>(WAITING);
        let reporter = Reporter { controller: "claviger.dev/clavigerd".to_owned(), instance: Some(instance) };
        let recorder = Recorder::new(cluster.client.clone(), reporter);
        tokio::spawn(async move {
            while let Some((name, event)) = queue.recv().await {
                let Some(held) = objects.held(&name) else { continue };
                if let Err(error) = recorder.publish(&event, &reference(&name, held.uid)).await {
                    tracing::debug!(object = %name, "an event could not be published: {error}");
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
            let _ = self.0.try_send((name.clone(), event));
        }
    }
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
    Some(Event {
        type_,
        reason: plan.reason.word().to_owned(),
        note: Some(note.chars().take(LONGEST).collect()),
        action: MANAGER.to_owned(),
        secondary: None,
    })
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

fn reference(name: &ObjectName, uid: String) -> ObjectReference {
    ObjectReference {
        api_version: Some(format!("{}/{}", crd::GROUP, crd::VERSION)),
        kind: Some(name.kind.word().to_owned()),
        name: Some(name.name.to_string()),
        namespace: name.namespace.as_ref().map(ToString::to_string).filter(|_| name.kind != Kind::Environment),
        uid: Some(uid),
        ..ObjectReference::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(reason: Reason) -> Option<EventType> {
        event(&Plan::rest(None, reason)).map(|event| event.type_)
    }

    #[test]
    fn an_event_is_said_when_something_is_over_or_a_person_must_act() {
        assert!(matches!(said(Reason::Issued), Some(EventType::Normal)));
        assert!(matches!(said(Reason::ChallengeFailed), Some(EventType::Warning)));
        assert!(matches!(said(Reason::AcmeUnreachable), Some(EventType::Warning)));
        for reason in [Reason::ProvingControl, Reason::Missing, Reason::RenewalDue, Reason::AccountPending] {
            assert!(said(reason).is_none(), "{reason}");
        }
    }
}
