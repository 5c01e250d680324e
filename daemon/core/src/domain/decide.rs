//! Decides the next step of any subject: what goes for every kind first, then the rules of the kind.

use claviger_config::{Reason, Span};

use super::{
    noun::{Noun, Rule, View},
    plan::Plan,
};

/// Decides the next step of any subject.
pub fn plan<N: Noun>(view: &View<'_, N>) -> Plan {
    let first: [Rule<N>; 5] = [refused, unclaimed, moved, backing_off, unanswered];
    let plan = first.iter().chain(N::RULES).find_map(|rule| rule(view));
    let plan = plan.unwrap_or_else(|| Plan::rest(None, Reason::NotObserved));
    let hurts = plan.hurts.or_else(|| N::hurts(view));
    // A rest until an instant that has passed would be no rest.
    let next = plan.next.map(|next| next.max(view.now + Span::seconds(1)));
    Plan { next, ..plan.hurting(hurts) }
}

fn refused<N: Noun>(view: &View<'_, N>) -> Option<Plan> {
    let refusal = view.wanted.refusal.as_ref()?;
    let plan = Plan::rest(None, refusal.reason).saying(refusal.message.clone());
    Some(Plan { fix: refusal.fix.clone(), ..plan })
}

/// Every step needs an environment's account, role or token.
fn unclaimed<N: Noun>(view: &View<'_, N>) -> Option<Plan> {
    view.wanted.environment.is_none().then(|| {
        Plan::rest(None, Reason::NamespaceUnclaimed)
            .saying(format!("no environment claims the namespace of {}", view.wanted.name))
            .fix("name its namespace in `namespaces` of an environment")
    })
}

fn moved<N: Noun>(view: &View<'_, N>) -> Option<Plan> {
    let (was, is) = (view.seen.record.environment.as_ref()?, view.wanted.environment.as_ref()?);
    (*was != is.name).then(|| {
        Plan::rest(None, Reason::EnvironmentChanged)
            .saying(format!("it belongs to `{was}`; its namespace is now claimed by `{}`", is.name))
            .fix(format!("give the namespace back to `{was}`, or delete this object and create it under another name"))
    })
}

fn backing_off<N: Noun>(view: &View<'_, N>) -> Option<Plan> {
    let trouble = view.seen.record.trouble.as_ref().filter(|_| !view.lifted())?;
    trouble.holds(view.now).then(|| Plan {
        fix: trouble.fix.clone(),
        ..Plan::rest(trouble.until, trouble.reason).saying(trouble.message.clone())
    })
}

/// How long to wait before a far side that may answer late is asked again.
const ASK_AGAIN: Span = Span::seconds(20);

fn unanswered<N: Noun>(view: &View<'_, N>) -> Option<Plan> {
    let intent = view.seen.record.intent.as_ref()?;
    let again = view.seen.recalled.map(|at| at + ASK_AGAIN).filter(|again| view.now < *again);
    Some(match again {
        Some(again) => Plan::rest(Some(again), Reason::Unanswered).saying(format!(
            "whether `{}` happened is asked again: the far side may answer late",
            intent.effect.terms().word
        )),
        None => Plan::recall(intent.clone(), Reason::Unanswered),
    })
}

#[cfg(test)]
mod tests {
    use claviger_config::{Turn, desired::Refusal};

    use super::*;
    use crate::domain::{
        effect::{EdgeEffect, Effect, News},
        failure::{Failure, Retry},
        given::{ARN, NOW, certificate, environment, hostname, key, serving},
        plan::Step,
    };

    #[test]
    fn a_refused_document_is_shown_with_its_reason_and_nothing_is_done() {
        let mut given = certificate();
        given.wanted.refusal = Some(Refusal {
            reason: Reason::NameOutsideZones,
            message: "`www.other.example` lies outside".to_owned(),
            fix: vec!["take it out".to_owned()],
        });
        let plan = given.plan();
        assert_eq!((plan.step, plan.reason, plan.next), (Step::Rest, Reason::NameOutsideZones, None));
        assert_eq!(
            (plan.message.as_str(), plan.fix.as_slice()),
            ("`www.other.example` lies outside", &["take it out".to_owned()][..])
        );
    }

    #[test]
    fn an_object_without_an_environment_rests() {
        let mut given = key();
        given.wanted.environment = None;
        assert_eq!(given.rest(), (Reason::NamespaceUnclaimed, None));
    }

    #[test]
    fn an_object_keeps_its_environment_for_life() {
        let given = serving().surrounded(|at| at.name = "other".parse().unwrap());
        let plan = given.plan();
        assert_eq!((&plan.step, plan.reason), (&Step::Rest, Reason::EnvironmentChanged));
        assert!(plan.message.contains("`staging`") && plan.message.contains("`other`"));
    }

    #[test]
    fn backing_off_outranks_every_rule_of_the_kind_and_shows_what_failed() {
        let failure = Failure::new(Reason::EdgeDenied, "the token lacks a permission").fix("grant it");
        let given = hostname().fails(failure);
        let plan = given.plan();
        assert_eq!((plan.step, plan.reason, plan.next.is_some()), (Step::Rest, Reason::EdgeDenied, true));
        assert_eq!(
            (plan.message.as_str(), plan.fix.as_slice()),
            ("the token lacks a permission", &["grant it".to_owned()][..])
        );
    }

    #[test]
    fn an_unanswered_effect_is_asked_about_before_anything_else() {
        let lost = Failure::new(Reason::KmsUnreachable, "lost").maybe_done();
        let given = key().hears(News::Key(None)).fails(lost).restarted().rested();
        assert!(matches!(given.step(), Step::Recall(_)));
        assert_eq!((given.step().word(), given.reason()), ("recall", Reason::Unanswered));
        let given = given.denies();
        assert_eq!(given.rest(), (Reason::Unanswered, Some(given.now + ASK_AGAIN)));
        let given = given.rested().hears(News::KeyCreated(ARN.to_owned()));
        assert!(given.seen.record.intent.is_none());
    }

    #[test]
    fn a_no_of_the_edge_counts_at_once() {
        let lost = Failure::new(Reason::EdgeUnreachable, "lost").maybe_done();
        let given = hostname().hears(News::Hostname(None)).fails(lost).rested().denies();
        assert!(given.seen.record.intent.is_none());
        let given = given.hears(News::Hostname(None));
        assert!(matches!(given.act(), Effect::Edge(EdgeEffect::Create { .. })));
    }

    #[test]
    fn a_recall_that_fails_keeps_the_intent() {
        let lost = || Failure::new(Reason::KmsUnreachable, "lost").maybe_done();
        let given = key().hears(News::Key(None)).fails(lost()).rested().fails(lost());
        assert!(given.seen.record.intent.is_some());
        assert!(matches!(given.rested().step(), Step::Recall(_)));
    }

    #[test]
    fn a_rest_is_never_over_before_it_begins() {
        let mut given = certificate().noted();
        given.seen.record.trouble = Some(given.seen.worse(None, Failure::new(Reason::RateLimited, ""), NOW));
        given.seen.record.trouble.as_mut().unwrap().until = Some(NOW + Span(1));
        assert_eq!(given.rest().1, Some(NOW + Span::seconds(1)));
    }

    #[test]
    fn every_plan_says_when_waiting_begins_to_hurt() {
        assert_eq!(serving().plan().hurts, Some(NOW + Span::days(90)));
        assert_eq!(environment().plan().hurts, None);
    }

    #[test]
    fn what_waits_for_a_person_names_no_instant() {
        let given = certificate().fails(Failure::new(Reason::Refused, "no").retry(Retry::Never));
        assert_eq!(given.rest(), (Reason::Refused, None));
        assert_eq!(Reason::Refused.turn(), Turn::Operator);
    }
}
