//! What is remembered, taken in and written down.

use super::*;
use crate::domain::{
    effect::{Effect, KmsEffect},
    given::{ARN, NOW, certificate, glance, hostname, hostname_seen, key, key_in_order, key_seen, serving},
    record::HISTORY,
};

fn down() -> Failure {
    Failure::new(Reason::KmsUnreachable, "AWS does not answer")
}

#[test]
fn an_effect_that_may_not_be_repeated_is_written_down_before_it_is_tried() {
    let given = key().hears(News::Key(None)).noted();
    let intent = given.seen.record.intent.as_ref().unwrap();
    assert_eq!(intent.id, format!("{:016x}-1", given.seen.record.seed));
    assert!(matches!(intent.effect, Effect::Kms(KmsEffect::CreateKey { .. })));
}

#[test]
fn an_effect_that_may_be_repeated_is_counted_and_not_written_down() {
    let given = glance(certificate()).noted();
    assert_eq!((given.seen.record.intents, given.seen.record.intent.is_none()), (1, true));
}

#[test]
fn what_did_not_happen_leaves_no_intent_behind() {
    let given = key().hears(News::Key(None)).fails(down());
    assert!(given.seen.record.intent.is_none());
    let given = key().hears(News::Key(None)).fails(down().maybe_done());
    assert!(given.seen.record.intent.is_some());
}

#[test]
fn failures_in_a_row_are_counted_from_the_first() {
    let given = key().fails(down()).rested().fails(down());
    let trouble = given.seen.record.trouble.as_ref().unwrap();
    assert_eq!((trouble.count, trouble.since), (2, NOW));
}

#[test]
fn trouble_is_over_when_it_works_out_also_if_a_customer_must_act_now() {
    let given = hostname().fails(down()).rested();
    let given = given.hears(News::Hostname(Some(Box::new(hostname_seen("blocked", "active")))));
    let given = given.fails(down()).noted();
    assert_eq!((given.reason(), given.seen.record.trouble.is_none()), (Reason::EdgeBlocked, true));
}

#[test]
fn trouble_is_not_over_in_the_middle_of_the_way() {
    let mut given = key().fails(down()).rested().hears(News::Key(None)).hears(News::KeyCreated(ARN.to_owned()));
    given = given.hears(News::Key(None)).noted();
    assert_eq!((given.reason(), given.seen.record.trouble.is_some()), (Reason::Missing, true));
}

#[test]
fn a_question_says_nothing_new_and_a_change_is_dated() {
    let given = key_in_order().noted();
    let said = given.seen.record.said.clone();
    assert_eq!((said.reason, said.since), (Reason::KeyReady, NOW));
    let given = given.later(Span::minutes(10)).hears(News::Key(Some(Box::new(key_seen())))).noted();
    assert_eq!(given.seen.record.said, said);
}

#[test]
fn history_keeps_what_was_said_and_never_grows_without_end() {
    let mut given = key_in_order().noted();
    for _ in 0..20 {
        given = given.later(Span::minutes(10)).fails(down()).noted();
        given = given.rested().hears(News::Key(Some(Box::new(key_seen())))).noted();
    }
    let history = &given.seen.record.history;
    assert_eq!((history.len(), history.last().unwrap().reason), (HISTORY, Reason::KeyReady));
}

#[test]
fn a_record_is_written_and_read_back_as_it_was() {
    let given = serving();
    let body = serde_json::to_string(&given.seen.record).unwrap();
    let back: Record<crate::domain::certificate::Memory> = serde_json::from_str(&body).unwrap();
    assert_eq!(back, given.seen.record);
}

#[test]
fn somebody_elses_turn_counts_as_late_after_an_hour_and_a_budgets_line_does_not() {
    let rest = |reason| Plan::rest(None, reason);
    let late = |reason, span| {
        let mut given = key_in_order().noted();
        given.seen.note(&given.wanted, &rest(reason), Ready::True(reason), NOW);
        given.seen.note(&given.wanted, &rest(reason), Ready::True(reason), NOW + span);
        given.seen.record.said.on_schedule.status == ConditionStatus::False
    };
    assert!(!late(Reason::ProvingControl, Span::minutes(59)) && late(Reason::ProvingControl, Span::hours(1)));
    assert!(!late(Reason::BudgetSpent, Span::days(3)));
    assert!(!late(Reason::AwaitingCustomerDns, Span::days(3)), "the customer's schedule is not ours");
    assert!(late(Reason::KeyDisabled, Span(0)), "an operator's turn");
}

#[test]
fn a_removed_document_is_released_and_comes_back_as_it_was() {
    let mut given = serving();
    given.seen.release(NOW + Span::days(1));
    assert_eq!(given.seen.record.said.reason, Reason::Released);
    assert_eq!(given.seen.record.said.ready.status, ConditionStatus::Unknown);
    assert_eq!(given.seen.record.released, Some(NOW + Span::days(1)));
    given.seen.release(NOW + Span::days(2));
    assert_eq!(given.seen.record.released, Some(NOW + Span::days(1)), "the first day counts");
    let given = glance(given.later(Span::days(3))).hears(News::Window(None)).noted();
    assert_eq!((given.reason(), given.seen.record.released), (Reason::Issued, None));
}

#[test]
fn the_environment_is_remembered_for_life() {
    let given = key().noted();
    assert_eq!(given.seen.record.environment.as_ref().unwrap().as_str(), "staging");
    let given = given.surrounded(|at| at.name = "other".parse().unwrap()).noted();
    assert_eq!(given.seen.record.environment.as_ref().unwrap().as_str(), "staging");
}

#[test]
fn a_far_side_that_does_not_answer_is_asked_again_after_a_part_of_the_time_that_it_is_away() {
    let mut given = key().fails(down());
    let since = NOW;
    for _ in 0..40 {
        let until = given.seen.record.trouble.as_ref().unwrap().until.unwrap();
        let (wait, away) = (until.since(given.now), given.now.since(since));
        let quarter = Span((away.0 / 4).clamp(Span::seconds(15).0, Span::hours(1).0));
        assert!((quarter.0..quarter.0 + quarter.0 / 5).contains(&wait.0), "{wait} after {away}");
        given = given.rested().fails(down());
    }
    assert!(given.now > NOW + Span::hours(12));
}

#[test]
fn that_the_far_side_was_away_says_nothing_against_the_object() {
    let mut given = key();
    for _ in 0..9 {
        given = given.fails(down()).rested();
    }
    let given = given.fails(Failure::new(Reason::KmsRefused, "no"));
    let trouble = given.seen.record.trouble.as_ref().unwrap();
    let wait = trouble.until.unwrap().since(given.now);
    assert!((Span::minutes(100)..Span::minutes(110)).contains(&wait), "{wait}, and not a day");
}

#[test]
fn refusals_in_turn_with_an_absence_do_not_come_five_times_an_hour() {
    let (mut given, mut refused) = (key(), Vec::new());
    for _ in 0..12 {
        given = given.fails(down()).rested().fails(Failure::new(Reason::KmsRefused, "no"));
        refused.push(given.now);
        given = given.rested();
    }
    assert!(refused.windows(5).all(|five| five[4].since(five[0]) > Span::hours(1)), "{refused:?}");
}

#[test]
fn an_absence_is_counted_from_its_own_beginning_and_not_from_that_of_another_trouble() {
    let mut given = key();
    for _ in 0..5 {
        given = given.fails(Failure::new(Reason::KmsRefused, "no")).rested();
    }
    let given = given.fails(down());
    let trouble = given.seen.record.trouble.as_ref().unwrap();
    assert_eq!(trouble.since, given.now);
    assert!(trouble.until.unwrap().since(given.now) < Span::seconds(20));
}
