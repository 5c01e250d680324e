//! A key from its making to service, and what may happen to it there.

use claviger_config::{
    Turn,
    key::{KeySpec, KeyState, Rotation},
};

use super::{
    watch::{LOOK_AGAIN, SETTLE, SETTLING},
    *,
};
use crate::domain::{
    effect::{Effect, KmsEffect, Query, RotationSeen},
    failure::Retry,
    given::{ALIAS, ARN, Given, NOW, key, key_in_order, key_seen},
    plan::Step,
};

fn seen(given: Given<Key>, change: impl FnOnce(&mut KeySeen)) -> Given<Key> {
    let mut key = key_seen();
    change(&mut key);
    given.hears(News::Key(Some(Box::new(key))))
}

/// Looked at again after ten minutes.
fn then(given: Given<Key>, change: impl FnOnce(&mut KeySeen)) -> Given<Key> {
    seen(given.noted().later(LOOK_AGAIN), change)
}

fn rotation(enabled: bool, days: i64) -> Option<RotationSeen> {
    Some(RotationSeen { enabled, period: Some(Span::days(days)), next: None, last: None })
}

fn made() -> Given<Key> {
    key().hears(News::Key(None)).hears(News::KeyCreated(ARN.to_owned()))
}

#[test]
fn a_missing_key_is_searched_for_and_then_made_tagged_aliased_and_rotated() {
    let given = key();
    assert!(matches!(given.look(), Query::LostKey { alias } if alias == ALIAS));
    let given = given.hears(News::Key(None));
    assert!(matches!(given.act(), Effect::Kms(KmsEffect::CreateKey { purpose: Purpose::Wrap, .. })));
    assert_eq!((given.reason(), given.ready()), (Reason::Missing, Ready::False(Reason::Missing)));
    let given = given.hears(News::KeyCreated(ARN.to_owned()));
    assert!(matches!(given.look(), Query::Key { arn, .. } if arn == ARN));
    let given = seen(given, |key| (key.alias_target, key.rotation) = (None, rotation(false, 365)));
    assert!(matches!(given.act(), Effect::Kms(KmsEffect::CreateAlias { alias, arn }) if alias == ALIAS && arn == ARN));
    let given = seen(given.hears(News::Aliased), |key| key.rotation = rotation(false, 365));
    let Effect::Kms(KmsEffect::SetRotation { period, .. }) = given.act() else { panic!("rotation is set next") };
    assert_eq!(given.ready(), Ready::False(Reason::Missing), "without its rotation it is not as the document asks");
    let given = seen(given.hears(News::Rotation(period)), |_| {});
    assert_eq!(given.rest(), (Reason::KeyReady, Some(NOW + LOOK_AGAIN)));
    assert_eq!(given.ready(), Ready::True(Reason::KeyReady));
}

#[test]
fn a_key_whose_answer_was_lost_is_asked_for_until_a_no_can_be_believed() {
    let lost = Failure::new(Reason::KmsUnreachable, "the answer was lost").maybe_done();
    let mut given = key().hears(News::Key(None)).fails(lost).restarted();
    let mut asked = 0;
    while !matches!(given.step(), Step::Look(_)) {
        given = match given.step() {
            Step::Recall(_) => given.denies(),
            Step::Rest => given.rested(),
            step => panic!("it must not {}", step.word()),
        };
        asked += 1;
    }
    assert!(asked > 5, "asked {asked} times");
    assert!(given.now >= NOW + Span::minutes(5));
}

#[test]
fn a_key_whose_answer_was_lost_is_found_again() {
    let lost = Failure::new(Reason::KmsUnreachable, "the answer was lost").maybe_done();
    let given = key().hears(News::Key(None)).fails(lost).restarted().rested();
    let given = given.hears(News::KeyCreated(ARN.to_owned()));
    assert!(matches!(given.look(), Query::Key { arn, .. } if arn == ARN));
    assert_eq!(given.seen.record.intents, 1);
}

#[test]
fn a_lost_record_finds_its_key_again_and_changes_nothing() {
    let given = key_in_order().noted();
    assert_eq!((given.reason(), given.seen.record.intents), (Reason::KeyReady, 0));
    assert_eq!(given.seen.record.memory.rotation_period, Some(Span::days(365)));
}

#[test]
fn a_key_that_is_not_ours_is_not_taken_over() {
    let given = seen(key(), |key| key.ours = false);
    assert!(matches!(given.act(), Effect::Kms(KmsEffect::CreateKey { .. })));
}

#[test]
fn a_new_key_that_is_not_shown_yet_is_waited_for_without_hurry() {
    let given = made().hears(News::Key(None));
    assert_eq!(given.rest(), (Reason::Missing, Some(NOW + SETTLING)));
    let given = given.rested();
    assert!(matches!(given.look(), Query::Key { .. }), "looked at again, not busy");
    let given = given.hears(News::Key(None)).later(SETTLE);
    assert_eq!(given.hears(News::Key(None)).reason(), Reason::KeyUnavailable);
}

#[test]
fn an_alias_that_is_shown_late_is_not_made_again_and_again() {
    let bare = |key: &mut KeySeen| key.alias_target = None;
    let mut given = seen(made(), bare).hears(News::Aliased);
    for _ in 0..10 {
        given = seen(given, bare);
        assert_eq!(given.rest(), (Reason::Missing, Some(given.now + SETTLING)));
        given = given.rested();
    }
    let given = seen(given, |_| {});
    assert_eq!(given.reason(), Reason::KeyReady);
}

#[test]
fn rotation_that_is_shown_late_is_no_drift() {
    let off = |key: &mut KeySeen| key.rotation = rotation(false, 365);
    let given = seen(made(), off);
    let given = seen(given.hears(News::Rotation(Span::days(365))), off);
    assert_eq!((given.reason(), given.ready()), (Reason::Missing, Ready::False(Reason::Missing)));
    let given = seen(given.rested(), |_| {});
    assert_eq!(given.reason(), Reason::KeyReady);
    assert_eq!(then(given, off).reason(), Reason::RotationOff, "later it is");
}

#[test]
fn rotation_that_somebody_switched_off_is_shown_and_not_undone() {
    let given = then(key_in_order(), |key| key.rotation = rotation(false, 365));
    let plan = given.plan();
    assert_eq!((plan.step, plan.reason, plan.reason.turn()), (Step::Rest, Reason::RotationOff, Turn::Operator));
    assert!(plan.fix.iter().any(|fix| fix.contains("clavigerctl renew kmskey/wrapping -n staging")));
    assert_eq!(given.ready(), Ready::False(Reason::RotationOff));
}

#[test]
fn another_period_is_shown_and_not_undone() {
    let given = then(key_in_order(), |key| key.rotation = rotation(true, 90));
    assert_eq!(given.rest().0, Reason::RotationPeriodDiffers);
    assert!(given.plan().message.contains("rotates every 90d; the document asks for every 365d"));
}

#[test]
fn a_person_may_have_rotation_put_back() {
    let given = then(key_in_order(), |key| key.rotation = rotation(false, 365)).asked();
    assert!(matches!(given.act(), Effect::Kms(KmsEffect::SetRotation { .. })));
    assert_eq!(given.reason(), Reason::Requested);
    let given = seen(given.hears(News::Rotation(Span::days(365))), |_| {});
    assert_eq!((given.reason(), given.seen.record.ask.is_none()), (Reason::KeyReady, true));
}

#[test]
fn an_ask_that_finds_nothing_to_do_is_answered() {
    let given = key_in_order().changed(|spec| {
        let Spec::KmsKey(spec) = spec else { panic!("a key") };
        (spec.purpose, spec.key_spec, spec.rotation) = (Purpose::Mac, KeySpec::Hmac256, None);
    });
    let given = given.asked().noted();
    assert_eq!((given.reason(), given.seen.record.ask.is_none()), (Reason::KeyReady, true));
}

#[test]
fn a_period_that_the_document_changes_is_set() {
    let given = key_in_order().changed(|spec| {
        let Spec::KmsKey(spec) = spec else { panic!("a key") };
        spec.rotation = Some(Rotation { period: Span::days(90) });
    });
    let Effect::Kms(KmsEffect::SetRotation { period, .. }) = given.act() else { panic!("rotation is set next") };
    assert_eq!(period, Span::days(90));
    assert_eq!(given.ready(), Ready::False(Reason::Missing));
}

#[test]
fn a_key_that_aws_does_not_rotate_is_not_asked_to() {
    let given = key().changed(|spec| {
        let Spec::KmsKey(spec) = spec else { panic!("a key") };
        (spec.purpose, spec.key_spec, spec.rotation) = (Purpose::Sign, KeySpec::EccNistP256, None);
    });
    let given = seen(seen(given, |_| {}), |key| key.rotation = None).noted();
    assert_eq!((given.reason(), given.seen.record.intents), (Reason::KeyReady, 0));
}

#[test]
fn an_alias_that_was_moved_is_shown_and_never_moved_back() {
    let given = then(key_in_order(), |key| key.alias_target = Some("arn:other".to_owned()));
    let plan = given.plan();
    assert_eq!((plan.step, plan.reason), (Step::Rest, Reason::AliasMoved));
    assert!(plan.message.contains(&format!("{ALIAS} points at arn:other")) && plan.fix[0].contains("update-alias"));
    assert_eq!(Key::share(&given.view()), Some(Share::Key(Ok(ARN.to_owned()))), "its ARN is used, not the alias");
}

#[test]
fn an_alias_that_was_deleted_is_made_again() {
    let given = then(key_in_order(), |key| key.alias_target = None);
    assert!(matches!(given.act(), Effect::Kms(KmsEffect::CreateAlias { .. })));
}

#[test]
fn a_disabled_key_is_shown_and_never_replaced() {
    let given = then(key_in_order(), |key| key.state = KeyState::Disabled);
    let plan = given.plan();
    assert_eq!((&plan.step, plan.reason, plan.reason.turn()), (&Step::Rest, Reason::KeyDisabled, Turn::Operator));
    assert_eq!(plan.fix, [format!("aws kms enable-key --key-id {ARN}")]);
    assert_eq!(Key::share(&given.view()), Some(Share::Key(Err(Reason::KeyDisabled))));
    assert_eq!(then(given, |_| {}).reason(), Reason::KeyReady, "it is noticed when it is enabled again");
}

#[test]
fn a_key_pending_deletion_is_shown_with_its_date() {
    let date = NOW + Span::days(7);
    let doomed = |key: &mut KeySeen| (key.state, key.deletion_at) = (KeyState::PendingDeletion, Some(date));
    let given = then(key_in_order(), doomed);
    let plan = given.plan();
    assert_eq!((&plan.step, plan.reason, plan.hurts), (&Step::Rest, Reason::KeyPendingDeletion, Some(date)));
    assert!(plan.message.contains("2026-12-01T09:00:00Z") && plan.fix[0].contains("cancel-key-deletion"));
    assert_eq!(given.ready(), Ready::False(Reason::KeyPendingDeletion));
}

#[test]
fn a_key_in_an_odd_state_or_gone_is_shown_and_never_replaced() {
    let given = then(key_in_order(), |key| key.state = KeyState::Unavailable);
    assert_eq!(given.rest().0, Reason::KeyUnavailable);
    let given = given.noted().later(LOOK_AGAIN).hears(News::Key(None));
    assert_eq!(given.rest().0, Reason::KeyUnavailable);
    assert!(given.plan().message.contains("AWS does not know"));
}

#[test]
fn a_key_that_cannot_be_asked_about_keeps_its_last_good_state() {
    let down = Failure::new(Reason::KmsUnreachable, "AWS does not answer");
    let given = key_in_order().noted().later(LOOK_AGAIN).fails(down.clone());
    assert_eq!((given.reason(), given.ready()), (Reason::KmsUnreachable, Ready::True(Reason::KeyReady)));
    assert_eq!(Key::share(&given.view()), Some(Share::Key(Ok(ARN.to_owned()))));
    let given = given.noted().restarted().rested().fails(down.retry(Retry::Later));
    assert_eq!(given.ready(), Ready::Unknown(Reason::NotObserved));
    assert_eq!(Key::share(&given.view()), Some(Share::Key(Err(Reason::KmsUnreachable))));
}

#[test]
fn only_the_wrapping_key_of_the_first_namespace_is_shared() {
    let mut given = key_in_order();
    given.wanted.name.name = "other".parse().unwrap();
    assert_eq!(Key::share(&given.view()), None);
    let mut given = key_in_order();
    given.wanted.name.namespace = Some("elsewhere".parse().unwrap());
    assert_eq!(Key::share(&given.view()), None);
}

#[test]
fn a_key_claims_its_arn_and_its_material() {
    let given = key_in_order();
    let claims = Key::claims(&given.view());
    assert_eq!(claims, [("kms-key", ARN.to_owned()), ("key-material", "material-1".to_owned())]);
    assert!(Key::claims(&key().view()).is_empty());
    assert_eq!(key().ready(), Ready::False(Reason::Missing));
}
