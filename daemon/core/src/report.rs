//! A plan, told once: conditions, attention, event, metric labels and audit words. Pure; writers are adapters.

use claviger_config::{
    Moment, Reason, Span, Turn,
    condition::{Attention, CommonStatus, Condition, ConditionStatus, Pending},
};

use crate::domain::{
    noun::{Noun, Viewed},
    plan::{Plan, Step},
    record::{Dated, PATIENCE, Record, Said},
};

/// What every status begins with.
pub fn common<N: Noun>(view: &Viewed<'_, N>) -> CommonStatus {
    let record = &view.seen.record;
    CommonStatus {
        observed_generation: record.generation,
        environment: record.environment.as_ref().map(ToString::to_string),
        conditions: conditions(record, view.plan),
        pending: pending(record),
        attention: attention(record, view.plan, view.now),
    }
}

fn conditions<M>(record: &Record<M>, plan: &Plan) -> Vec<Condition> {
    let message = |said: &Dated| if said.reason == plan.reason { plan.message.clone() } else { String::new() };
    let condition = |r#type: &str, said: &Dated| Condition {
        r#type: r#type.to_owned(),
        status: said.status,
        reason: said.reason,
        message: message(said),
        observed_generation: record.generation,
        last_transition_time: said.since.to_second(),
    };
    vec![condition("Ready", &record.said.ready), condition("OnSchedule", &record.said.on_schedule)]
}

fn pending<M>(record: &Record<M>) -> Option<Pending> {
    let failures = record.trouble.as_ref().map_or(0, |trouble| trouble.count);
    let intent = record.intent.as_ref()?;
    Some(Pending {
        intent: Some(intent.id.clone()),
        effect: intent.effect.terms().word.to_owned(),
        issuer: intent.effect.issuer().map(ToString::to_string),
        order_url: intent.effect.order().cloned(),
        failures,
    })
}

/// What someone must know: a person's turn, what is out of service, and somebody else's turn that has failed twice in a row, has
/// lasted for long or will.
pub fn attention<M>(record: &Record<M>, plan: &Plan, now: Moment) -> Option<Attention> {
    let (said, trouble) = (&record.said, record.trouble.as_ref());
    let since = trouble.map_or(said.since, |trouble| trouble.since);
    let turn = plan.reason.turn();
    let due = match turn {
        Turn::Nobody => false,
        Turn::Operator | Turn::Customer => true,
        Turn::Aws | Turn::CertificateAuthority | Turn::Claviger | Turn::Cloudflare => {
            let far = |until: Moment| until.since(since) >= PATIENCE;
            let stuck = trouble.is_some_and(|trouble| trouble.count > 1 || trouble.until.is_none_or(far));
            // Whoever stands in a budget's line knows why, and thousands may: worth a word after a day.
            let patience = if plan.reason == Reason::BudgetSpent { Span::days(1) } else { PATIENCE };
            stuck || now.since(since) >= patience || plan.hurts.is_some_and(|hurts| hurts <= now)
        }
    };
    due.then(|| Attention {
        reason: plan.reason,
        turn,
        since: since.to_second(),
        next_try: plan.next.map(|at| at.to_second()),
        hurts_at: plan.hurts.map(|at| at.to_second()),
        message: if plan.message.is_empty() { plan.reason.hint().to_owned() } else { plan.message.clone() },
        fix: plan.fix.clone(),
    })
}

/// Whether a plan says something else than what was said before: one line in the log, one event.
pub fn is_news(before: Option<&Said>, after: &Said) -> bool {
    before.is_none_or(|before| before.reason != after.reason || before.ready.status != after.ready.status)
}

/// One line for the log.
pub fn line(plan: &Plan) -> String {
    let what = match &plan.step {
        Step::Act(effect) => format!("does {}", effect.terms().word),
        Step::Look(query) => format!("asks {}", query.word()),
        Step::Recall(intent) => format!("asks what became of {}", intent.effect.terms().word),
        Step::Rest => "rests".to_owned(),
    };
    if plan.message.is_empty() { what } else { format!("{what}: {}", plan.message) }
}

/// Whether a subject is late: counted as `late` in the totals.
pub fn is_late(said: &Said) -> bool {
    said.on_schedule.status == ConditionStatus::False
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        certificate::Certificate,
        effect::{News, Stage},
        failure::{Failure, Retry},
        given::{self, Given, NOW, certificate, glance, hostname, key, key_in_order, serving},
    };

    fn noticed<N: Noun>(given: &Given<N>) -> Option<Attention> {
        attention(&given.seen.record, &given.plan(), given.now)
    }

    /// Says that for so long.
    fn resting(reason: Reason, span: Span) -> Option<Attention> {
        let mut given = key_in_order().noted();
        let plan = Plan::rest(Some(NOW + Span::days(2)), reason);
        given.seen.note(&given.wanted, &plan, crate::domain::noun::Ready::True(reason), NOW);
        attention(&given.seen.record, &plan, NOW + span)
    }

    #[test]
    fn nobody_is_told_while_all_is_well() {
        assert_eq!(noticed(&serving()), None);
        assert_eq!(noticed(&key_in_order().noted()), None);
    }

    #[test]
    fn a_persons_turn_is_told_at_once() {
        assert_eq!(resting(Reason::KeyDisabled, Span(0)).unwrap().since, NOW);
        assert_eq!(resting(Reason::AwaitingCustomerDns, Span(0)).unwrap().turn, Turn::Customer);
    }

    #[test]
    fn somebody_elses_turn_is_told_when_it_lasts() {
        assert_eq!(resting(Reason::AwaitingCertificate, Span::minutes(59)), None);
        assert!(resting(Reason::AwaitingCertificate, Span::hours(1)).is_some());
        assert_eq!(resting(Reason::BudgetSpent, Span::hours(23)), None, "whoever stands in line knows why");
        assert!(resting(Reason::BudgetSpent, Span::days(1)).is_some());
    }

    #[test]
    fn a_hiccup_is_not_told_and_what_will_take_long_is() {
        let down = || Failure::new(Reason::AcmeUnreachable, "no answer");
        let given = key().fails(down()).noted();
        assert_eq!(noticed(&given), None);
        let given = given.rested().fails(down()).noted();
        let told = noticed(&given).unwrap();
        assert_eq!((told.reason, told.since, told.next_try.is_some()), (Reason::AcmeUnreachable, NOW, true));
        let limited = Failure::new(Reason::RateLimited, "").retry(Retry::At(NOW + Span::days(2)));
        let told = noticed(&key().fails(limited).noted()).unwrap();
        assert_eq!((told.next_try, told.message.as_str()), (Some(NOW + Span::days(2)), Reason::RateLimited.hint()));
    }

    #[test]
    fn what_is_out_of_service_is_told() {
        let given = glance(serving().later(Span::days(91))).noted();
        let told = noticed(&given).unwrap();
        assert_eq!((told.reason, told.hurts_at), (Reason::Expired, Some(NOW + Span::days(90))));
    }

    #[test]
    fn an_order_that_the_ca_works_on_for_long_is_told_although_it_is_asked_about_all_the_time() {
        let mut given: Given<Certificate> = glance(certificate());
        let algorithm = claviger_config::KeyAlgorithm::EcdsaP256;
        given =
            given.hears(News::KeySealed(crate::domain::effect::KeyUse::Certificate, given::sealed("key-1", algorithm)));
        let order = || given::order(Stage::Processing);
        let opened = crate::domain::effect::Opened {
            issuer: "first".parse().unwrap(),
            names: given::names(&["www.example.com", "api.example.com"]),
            profile: None,
            order: order(),
        };
        given = given.hears(News::Opened(Box::new(opened)));
        while given.now < NOW + Span::minutes(59) {
            given = match given.step() {
                Step::Rest => given.rested(),
                _ => given.hears(News::Order(Box::new(order()))),
            };
        }
        assert_eq!(noticed(&given), None);
        let given = glance(given.later(Span::hours(1))).hears(News::Order(Box::new(order())));
        assert_eq!(noticed(&given).unwrap().reason, Reason::ProvingControl);
    }

    #[test]
    fn a_status_has_both_conditions_from_first_sight() {
        let given = hostname().noted();
        let common = given.shown(common);
        let conditions: Vec<_> = common.conditions.iter().map(|c| (c.r#type.as_str(), c.status)).collect();
        assert_eq!(conditions, [("Ready", ConditionStatus::Unknown), ("OnSchedule", ConditionStatus::True)]);
        assert_eq!((common.observed_generation, common.environment.as_deref()), (1, Some("staging")));
    }

    #[test]
    fn what_is_under_way_is_shown_with_its_intent() {
        let given = key().hears(News::Key(None)).noted();
        let pending = given.shown(common).pending.unwrap();
        assert_eq!((pending.effect.as_str(), pending.failures), ("create_key", 0));
        assert_eq!(pending.intent, Some(given.seen.record.intent_id()));
    }

    #[test]
    fn news_is_another_reason_or_another_ready() {
        let given = serving();
        let said = &given.seen.record.said;
        assert!(is_news(None, said) && !is_news(Some(said), said));
        let mut other = said.clone();
        other.reason = Reason::RenewalDue;
        assert!(is_news(Some(&other), said));
        assert!(!is_late(said));
    }

    #[test]
    fn a_plan_is_one_line() {
        assert_eq!(line(&key().plan()), "asks find_key");
        assert_eq!(line(&key().hears(News::Key(None)).plan()), "does create_key");
        assert_eq!(line(&Plan::rest(None, Reason::Refused).saying("no")), "rests: no");
        let lost = Failure::new(Reason::KmsUnreachable, "lost").maybe_done();
        let given = key().hears(News::Key(None)).fails(lost).rested();
        assert_eq!(line(&given.plan()), "asks what became of create_key");
    }
}
