//! A certificate as it is shown.

use claviger_config::{
    admin::{ExplainedStep, StepState},
    certificate::{IssuedView, OutletView, RenewalView, TlsCertificateStatus},
    condition::{CommonStatus, Pending},
};

use super::{Certificate, Memory};
use crate::domain::{
    effect::Stage,
    noun::{Viewed, explained},
};

pub(super) fn status(view: &Viewed<'_, Certificate>, common: CommonStatus) -> serde_json::Value {
    let memory = &view.seen.record.memory;
    let certificate = memory.issued.as_ref().map(|issued| IssuedView {
        issuer: issued.issuer.clone(),
        serial: issued.chain.serial.clone(),
        spki_sha256: issued.chain.spki_sha256.clone(),
        not_before: issued.chain.not_before,
        not_after: issued.chain.not_after,
        dns_names: issued.chain.names.clone(),
    });
    let renewal = memory.renewal.as_ref().map(|renewal| RenewalView {
        at: renewal.at.to_second(),
        source: renewal.source,
        observed_at: view.seen.facts.window_at.map(|at| at.to_second()),
        explanation_url: renewal.explanation_url.clone(),
    });
    let common = CommonStatus { pending: common.pending.clone().or_else(|| pending(view)), ..common };
    let status = TlsCertificateStatus { common, certificate, renewal, outlets: outlets(view) };
    serde_json::to_value(status).unwrap_or_default()
}

/// The order in flight, also between two effects.
fn pending(view: &Viewed<'_, Certificate>) -> Option<Pending> {
    let (record, stage) = (&view.seen.record, view.seen.facts.stage.as_ref());
    let order = record.memory.order.as_ref()?;
    let effect = match stage {
        Some(Stage::Ready | Stage::Processing | Stage::Valid) => "finalize",
        _ => "answer_challenges",
    };
    Some(Pending {
        intent: None,
        effect: effect.to_owned(),
        issuer: Some(order.issuer.to_string()),
        order_url: Some(order.url.clone()),
        failures: record.trouble.as_ref().map_or(0, |trouble| trouble.count),
    })
}

fn outlets(view: &Viewed<'_, Certificate>) -> Vec<OutletView> {
    let memory = &view.seen.record.memory;
    let named = view.spec.map(|spec| spec.outlets.iter().map(|outlet| outlet.name.clone()).collect::<Vec<_>>());
    let names = named.unwrap_or_else(|| memory.outlets.keys().cloned().collect());
    let shown = names.into_iter().map(|name| {
        let delivered = memory.outlets.get(&name);
        OutletView {
            spki_sha256: delivered.map(|delivered| delivered.spki_sha256.clone()),
            delivered_at: delivered.map(|delivered| delivered.at.to_second()),
            reload: delivered.and_then(|delivered| delivered.reload),
            name,
        }
    });
    shown.collect()
}

/// The way of the certificate that is under way, else of the one in service.
pub(super) fn steps(view: &Viewed<'_, Certificate>) -> Vec<ExplainedStep> {
    let memory = &view.seen.record.memory;
    let under_way = memory.order.is_some() || memory.next_key.is_some() || memory.issued.is_none();
    let reached = if under_way { reached(memory, view.seen.facts.stage.as_ref()) } else { 5 };
    let delivered = memory.issued.as_ref().filter(|_| !under_way).is_some_and(|issued| {
        memory.outlets.values().all(|outlet| outlet.fingerprint == issued.chain.fingerprint)
            && !memory.outlets.is_empty()
    });
    let reached = if delivered { 6 } else { reached };
    let failed = view.seen.record.trouble.is_some();
    let names = ["SealNewKey", "OpenOrder", "Answer", "Finalize", "Download", "Deliver"];
    let mut steps: Vec<_> =
        names.into_iter().enumerate().map(|(index, name)| explained(name, state(index, reached, failed))).collect();
    steps[0].r#ref = memory.next_key.as_ref().map(|key| format!("spki-sha256:{}", key.spki_sha256));
    if let Some(order) = &memory.order {
        (steps[1].at, steps[1].r#ref) = (Some(order.opened.to_second()), Some(order.url.clone()));
    }
    if let Some(issued) = memory.issued.as_ref().filter(|_| !under_way) {
        (steps[4].at, steps[4].r#ref) = (Some(issued.at.to_second()), Some(format!("serial:{}", issued.chain.serial)));
    }
    steps
}

fn reached(memory: &Memory, stage: Option<&Stage>) -> usize {
    match (&memory.order, &memory.next_key, stage) {
        (None, None, _) => 0,
        (None, Some(_), _) => 1,
        (Some(_), _, Some(Stage::Ready)) => 3,
        (Some(_), _, Some(Stage::Processing | Stage::Valid)) => 4,
        (Some(_), ..) => 2,
    }
}

fn state(index: usize, reached: usize, failed: bool) -> StepState {
    match index.cmp(&reached) {
        std::cmp::Ordering::Less => StepState::Done,
        std::cmp::Ordering::Equal if failed => StepState::Failed,
        std::cmp::Ordering::Equal => StepState::Current,
        std::cmp::Ordering::Greater => StepState::Waiting,
    }
}

#[cfg(test)]
mod tests {
    use claviger_config::KeyAlgorithm;

    use super::*;
    use crate::{
        domain::{
            effect::{KeyUse, News, Opened},
            given::{self, Given, NOW, ORDER, certificate, glance, sealed, serving},
        },
        report,
    };

    fn shown(given: &Given<Certificate>) -> TlsCertificateStatus {
        given.shown(|view| serde_json::from_value(status(view, report::common(view))).unwrap())
    }

    fn states(given: &Given<Certificate>) -> Vec<(String, StepState)> {
        given.shown(steps).into_iter().map(|step| (step.step, step.state)).collect()
    }

    fn opened() -> Given<Certificate> {
        let key = News::KeySealed(KeyUse::Certificate, sealed("key-1", KeyAlgorithm::EcdsaP256));
        let opened = Opened {
            issuer: "first".parse().unwrap(),
            names: given::names(&["www.example.com", "api.example.com"]),
            profile: None,
            order: given::order(Stage::Pending { unanswered: 2 }),
        };
        glance(certificate()).hears(key).hears(News::Opened(Box::new(opened)))
    }

    #[test]
    fn an_order_in_flight_is_shown_with_its_issuer_and_its_address() {
        let pending = shown(&opened()).common.pending.unwrap();
        assert_eq!((pending.effect.as_str(), pending.issuer.as_deref()), ("answer_challenges", Some("first")));
        assert_eq!((pending.order_url.as_deref(), pending.intent), (Some(ORDER), None));
        assert_eq!(shown(&serving()).common.pending, None);
    }

    #[test]
    fn what_is_in_service_is_shown_with_its_end_its_renewal_and_its_outlets() {
        let status = shown(&serving());
        let issued = status.certificate.unwrap();
        assert_eq!((issued.serial.as_str(), issued.not_before), ("serial-key-1", NOW));
        assert!(status.renewal.unwrap().at > NOW);
        assert_eq!(status.outlets[0].spki_sha256.as_deref(), Some("key-1"));
    }

    #[test]
    fn nothing_that_is_unknown_is_shown_as_zero_or_false() {
        let body = certificate().shown(|view| status(view, report::common(view)));
        for absent in ["certificate", "renewal", "pending", "attention"] {
            assert!(body.get(absent).is_none(), "{absent}: {body}");
        }
        assert_eq!(body["outlets"], serde_json::json!([{ "name": "nginx" }]));
        assert!(!body.to_string().contains("wrapped"), "no ciphertext in a public status");
        let body = serving().shown(|view| status(view, report::common(view))).to_string();
        assert!(!body.contains("wrapped") && !body.contains("PEM"), "{body}");
    }

    #[test]
    fn the_way_is_told_step_by_step() {
        use StepState::{Current, Done, Waiting};
        let told: Vec<_> = states(&opened()).into_iter().map(|(_, state)| state).collect();
        assert_eq!(told, [Done, Done, Current, Waiting, Waiting, Waiting]);
        assert!(states(&serving()).iter().all(|(_, state)| *state == Done));
        assert_eq!(states(&glance(certificate()))[0], ("SealNewKey".to_owned(), Current));
    }
}
