//! Keys: made once, tagged, aliased, rotating; drift is seen and shown, and never answered by making a replacement.

use claviger_config::{
    Kind, Moment, Reason, Span,
    admin::{ExplainedStep, StepState},
    condition::CommonStatus,
    desired::{Spec, Surroundings},
    key::{KeyState, KeyView, KmsKeySpec, KmsKeyStatus, Purpose},
};
use serde::{Deserialize, Serialize};

use super::{
    effect::{Effect, KeySeen, KmsEffect, News, Query, RotationSeen},
    failure::Failure,
    neighbours::Share,
    noun::{Noun, OutOfTurn, Ready, Rule, Seen, View, Viewed, explained},
    plan::{Plan, Step},
};

/// `KmsKey`.
#[derive(Clone, Debug)]
pub struct Key;

/// What is remembered of a key.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Memory {
    /// The key's ARN, for life.
    pub arn: Option<String>,
    /// When it was made or taken over.
    pub since: Option<Moment>,
    /// The period that claviger last set: another one since then is drift.
    pub rotation_period: Option<Span>,
    /// The material in use, for the claim on it.
    pub material: Option<String>,
}

/// What was seen since the start.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Whether alias and tags were searched for a key that the record does not know.
    pub searched: bool,
    /// The key as last seen; `None` inside: AWS does not know it.
    pub key: Option<(Option<KeySeen>, Moment)>,
    /// When claviger itself last changed alias or rotation.
    pub changed: Option<Moment>,
}

/// How often a key is looked at although nothing is planned.
const LOOK_AGAIN: Span = Span::minutes(10);
/// What was just made or changed may be shown late: "usually seconds, sometimes minutes"
/// (<https://docs.aws.amazon.com/kms/latest/developerguide/programming-eventual-consistency.html>).
const SETTLE: Span = Span::minutes(5);
/// How often it is looked at meanwhile.
const SETTLING: Span = Span::seconds(20);

impl Noun for Key {
    const KIND: Kind = Kind::KmsKey;
    type Spec = KmsKeySpec;
    type Memory = Memory;
    type Facts = Facts;
    const RULES: &'static [Rule<Self>] = &[
        lost,
        missing,
        unseen,
        gone,
        pending_deletion,
        disabled,
        unusable,
        settling,
        alias_missing,
        alias_moved,
        rotation_unset,
        rotation_off,
        rotation_period_differs,
        in_order,
    ];

    fn spec(spec: &Spec) -> Option<&KmsKeySpec> {
        if let Spec::KmsKey(spec) = spec { Some(spec) } else { None }
    }

    fn ready(view: &View<'_, Self>) -> Ready {
        if view.seen.record.memory.arn.is_none() {
            return Ready::False(view.wanted.refusal.as_ref().map_or(Reason::Missing, |refusal| refusal.reason));
        }
        let Some((seen, _)) = &view.seen.facts.key else { return Ready::Unknown(Reason::NotObserved) };
        let drift = [
            gone,
            pending_deletion,
            disabled,
            unusable,
            settling,
            alias_missing,
            alias_moved,
            rotation_missing,
            rotation_off,
            rotation_period_differs,
        ];
        match drift.iter().find_map(|rule| rule(view)) {
            Some(plan) => Ready::False(plan.reason),
            None if seen.is_some() => Ready::True(Reason::KeyReady),
            None => Ready::Unknown(Reason::NotObserved),
        }
    }

    fn hear(seen: &mut Seen<Self>, _step: &Step, news: News, now: Moment) -> Result<Option<Failure>, OutOfTurn> {
        let memory = &mut seen.record.memory;
        match news {
            News::Aliased => (seen.facts.key, seen.facts.changed) = (None, Some(now)),
            News::Key(found) if memory.arn.is_none() => {
                seen.facts.searched = true;
                // Only its tags say that it is ours: an alias can be moved by hand.
                if let Some(found) = found.filter(|key| key.ours) {
                    (memory.arn, memory.since) = (Some(found.arn), Some(now));
                }
            }
            News::Key(found) => {
                if let Some(key) = &found {
                    look_back(memory, key);
                }
                seen.facts.key = Some((found.map(|key| *key), now));
            }
            News::KeyCreated(arn) => (memory.arn, memory.since) = (Some(arn), Some(now)),
            News::Rotation(period) => {
                memory.rotation_period = Some(period);
                (seen.facts.key, seen.facts.changed, seen.record.ask) = (None, Some(now), None);
            }
            news => return Err(OutOfTurn { kind: Self::KIND, news: news.word() }),
        }
        Ok(None)
    }

    fn hurts(view: &View<'_, Self>) -> Option<Moment> {
        seen_key(view)?.deletion_at
    }

    fn claims(view: &View<'_, Self>) -> Vec<(&'static str, String)> {
        let memory = &view.seen.record.memory;
        let arn = memory.arn.iter().map(|arn| ("kms-key", arn.clone()));
        arn.chain(memory.material.iter().map(|material| ("key-material", material.clone()))).collect()
    }

    fn share(view: &View<'_, Self>) -> Option<Share> {
        let at = view.wanted.environment.as_ref()?;
        let first = at.spec.namespaces.first();
        let wraps = view.spec.purpose == Purpose::Wrap
            && at.spec.kms.wrapping_key == view.wanted.name.name
            && view.wanted.name.namespace.as_ref() == first;
        wraps.then(|| Share::Key(usable(view)))
    }

    fn status(view: &Viewed<'_, Self>, common: CommonStatus) -> serde_json::Value {
        let memory = &view.seen.record.memory;
        let seen = view.seen.facts.key.as_ref().and_then(|(seen, at)| Some((seen.as_ref()?, *at)));
        let key = seen.map(|(key, at)| shown(key, at));
        let at = view.wanted.and_then(|wanted| Some((wanted.environment.as_ref()?, wanted)));
        let alias = at.filter(|_| memory.arn.is_some()).map(|(at, wanted)| alias(at, wanted.name.name.as_str()));
        serde_json::to_value(KmsKeyStatus { common, key, alias }).unwrap_or_default()
    }

    fn steps(view: &Viewed<'_, Self>) -> Vec<ExplainedStep> {
        let memory = &view.seen.record.memory;
        let seen = view.seen.facts.key.as_ref().and_then(|(seen, _)| seen.as_ref());
        let done = [
            ("CreateKey", memory.arn.is_some()),
            ("CreateAlias", seen.is_some_and(|key| key.alias_target.as_deref() == Some(key.arn.as_str()))),
            (
                "SetRotation",
                memory.rotation_period.is_some() || view.spec.is_some_and(|spec| spec.rotation_period().is_none()),
            ),
            ("Watch", false),
        ];
        let reached = done.iter().position(|(_, done)| !done).unwrap_or(done.len());
        let state = |index: usize| match index.cmp(&reached) {
            std::cmp::Ordering::Less => StepState::Done,
            std::cmp::Ordering::Equal if view.seen.record.trouble.is_some() => StepState::Failed,
            std::cmp::Ordering::Equal => StepState::Current,
            std::cmp::Ordering::Greater => StepState::Waiting,
        };
        let mut steps: Vec<_> =
            done.iter().enumerate().map(|(index, (name, _))| explained(name, state(index))).collect();
        (steps[0].r#ref, steps[0].at) = (memory.arn.clone(), memory.since.map(|at| at.to_second()));
        steps
    }
}

type V<'a> = View<'a, Key>;

/// What a blank memory learns from the key itself: rotation that is on was set before, and is not set again.
fn look_back(memory: &mut Memory, key: &KeySeen) {
    if let Some(material) = &key.material {
        memory.material = Some(material.clone());
    }
    let rotation = key.rotation.as_ref().filter(|rotation| rotation.enabled);
    if let Some(rotation) = rotation.filter(|_| memory.rotation_period.is_none()) {
        memory.rotation_period = rotation.period;
    }
}

/// The alias of a key in its environment's namespace.
pub fn alias(at: &Surroundings, key: &str) -> String {
    format!("alias/{}/{key}", at.spec.kms.alias_prefix)
}

fn own_alias(view: &V<'_>) -> Option<String> {
    Some(alias(view.wanted.environment.as_ref()?, view.wanted.name.name.as_str()))
}

fn seen_key<'a>(view: &V<'a>) -> Option<&'a KeySeen> {
    view.seen.facts.key.as_ref()?.0.as_ref()
}

/// A record that knows no key is not the proof that there is none.
fn lost(view: &V<'_>) -> Option<Plan> {
    let due = view.seen.record.memory.arn.is_none() && !view.seen.facts.searched;
    let alias = own_alias(view).filter(|_| due)?;
    Some(Plan::look(Query::LostKey { alias }, Reason::Missing))
}

fn missing(view: &V<'_>) -> Option<Plan> {
    let (spec, purpose) = (view.spec.key_spec, view.spec.purpose);
    let due = view.seen.record.memory.arn.is_none();
    due.then(|| Plan::act(Effect::Kms(KmsEffect::CreateKey { spec, purpose }), Reason::Missing))
}

fn unseen(view: &V<'_>) -> Option<Plan> {
    let arn = view.seen.record.memory.arn.clone()?;
    let stale = view.seen.facts.key.as_ref().is_none_or(|(_, at)| *at + pace(view) <= view.now);
    let alias = own_alias(view).filter(|_| stale)?;
    Some(Plan::look(Query::Key { arn, alias }, view.seen.record.said.reason))
}

fn gone(view: &V<'_>) -> Option<Plan> {
    let (seen, at) = view.seen.facts.key.as_ref()?;
    if seen.is_some() {
        return None;
    }
    let memory = &view.seen.record.memory;
    let arn = memory.arn.as_deref().unwrap_or_default();
    Some(if is_young(view) {
        Plan::rest(Some(*at + SETTLING), Reason::Missing).saying(format!("{arn} was just made and is not shown yet"))
    } else {
        rest(view, Reason::KeyUnavailable)
            .saying(format!("AWS does not know {arn} any more; what it wrapped cannot be opened"))
            .fix("restore the key, or delete this document and create the key under another name")
    })
}

fn pending_deletion(view: &V<'_>) -> Option<Plan> {
    let key = seen_key(view)?;
    let date = key.deletion_at.map_or_else(|| "an unknown date".to_owned(), |at| at.to_second().to_string());
    matches!(key.state, KeyState::PendingDeletion | KeyState::PendingReplicaDeletion).then(|| {
        rest(view, Reason::KeyPendingDeletion)
            .saying(format!("{} will be deleted on {date}; everything it wrapped is lost then", key.arn))
            .fix(format!("aws kms cancel-key-deletion --key-id {}", key.arn))
            .fix(format!("aws kms enable-key --key-id {}", key.arn))
            .hurting(key.deletion_at)
    })
}

fn disabled(view: &V<'_>) -> Option<Plan> {
    let key = seen_key(view)?;
    (key.state == KeyState::Disabled).then(|| {
        rest(view, Reason::KeyDisabled)
            .saying(format!("{} is disabled: nothing can be wrapped or opened with it", key.arn))
            .fix(format!("aws kms enable-key --key-id {}", key.arn))
    })
}

fn unusable(view: &V<'_>) -> Option<Plan> {
    let key = seen_key(view)?;
    (key.state != KeyState::Enabled)
        .then(|| rest(view, Reason::KeyUnavailable).saying(format!("{} is in the state {}", key.arn, key.state.word())))
}

/// A change of our own that is not shown yet is neither made again nor called drift.
fn settling(view: &V<'_>) -> Option<Plan> {
    let (_, at) = view.seen.facts.key.as_ref().filter(|_| is_settling(view))?;
    let text = "what claviger changed is not shown yet: AWS may answer late";
    Some(Plan::rest(Some(*at + SETTLING), Reason::Missing).saying(text))
}

fn is_settling(view: &V<'_>) -> bool {
    let recent = view.seen.facts.changed.is_some_and(|changed| view.now < changed + SETTLE);
    recent && seen_key(view).is_some_and(|key| !is_as_changed(view, key))
}

/// Whether the key shows the alias and the rotation that claviger gave it.
fn is_as_changed(view: &V<'_>, key: &KeySeen) -> bool {
    let set = view.seen.record.memory.rotation_period;
    let rotates =
        |rotation: &RotationSeen| rotation.enabled && rotation.period.is_none_or(|period| Some(period) == set);
    key.alias_target.is_some() && (set.is_none() || key.rotation.as_ref().is_none_or(rotates))
}

fn is_young(view: &V<'_>) -> bool {
    view.seen.record.memory.since.is_some_and(|since| view.now < since + SETTLE)
}

/// Often while something of our own making is not shown yet.
fn pace(view: &V<'_>) -> Span {
    let unseen = view.seen.facts.key.as_ref().is_some_and(|(seen, _)| seen.is_none());
    if unseen && is_young(view) || is_settling(view) { SETTLING } else { LOOK_AGAIN }
}

fn alias_missing(view: &V<'_>) -> Option<Plan> {
    let key = seen_key(view)?;
    let alias = own_alias(view).filter(|_| key.alias_target.is_none())?;
    Some(Plan::act(Effect::Kms(KmsEffect::CreateAlias { alias, arn: key.arn.clone() }), Reason::Missing))
}

fn alias_moved(view: &V<'_>) -> Option<Plan> {
    let key = seen_key(view)?;
    let (alias, target) = (own_alias(view)?, key.alias_target.as_ref()?);
    (*target != key.arn).then(|| {
        rest(view, Reason::AliasMoved)
            .saying(format!("{alias} points at {target}; claviger made and uses {}", key.arn))
            .fix(format!("aws kms update-alias --alias-name {alias} --target-key-id {}", key.arn))
    })
}

/// A period that claviger has not set yet, or that a person asked to have back.
fn rotation_unset(view: &V<'_>) -> Option<Plan> {
    let period = view.spec.rotation_period()?;
    let (arn, record) = (seen_key(view)?.arn.clone(), &view.seen.record);
    let reason = match (&record.ask, record.memory.rotation_period == Some(period)) {
        (Some(_), _) => Reason::Requested,
        (None, true) => return None,
        (None, false) => Reason::Missing,
    };
    Some(Plan::act(Effect::Kms(KmsEffect::SetRotation { arn, period }), reason))
}

/// What is asked for again is there already.
fn rotation_missing(view: &V<'_>) -> Option<Plan> {
    rotation_unset(view).filter(|plan| plan.reason == Reason::Missing)
}

fn rotation_off(view: &V<'_>) -> Option<Plan> {
    let (key, period) = (seen_key(view)?, view.spec.rotation_period()?);
    let off = view.seen.record.memory.rotation_period.is_some() && !key.rotation.as_ref()?.enabled;
    off.then(|| {
        drift(
            view,
            Reason::RotationOff,
            format!("rotation of {} is off; the document asks for every {period}", key.arn),
        )
    })
}

fn rotation_period_differs(view: &V<'_>) -> Option<Plan> {
    let (key, period) = (seen_key(view)?, view.spec.rotation_period()?);
    let found = key.rotation.as_ref()?.period?;
    let differs = view.seen.record.memory.rotation_period == Some(period) && found != period;
    let text = format!("{} rotates every {found}; the document asks for every {period}", key.arn);
    differs.then(|| drift(view, Reason::RotationPeriodDiffers, text))
}

fn drift(view: &V<'_>, reason: Reason, text: String) -> Plan {
    let object = &view.wanted.name;
    let namespace = object.namespace.as_ref().map_or("", |namespace| namespace.as_str());
    rest(view, reason)
        .saying(text)
        .fix("find out in CloudTrail who changed it and why")
        .fix(format!("put it back: clavigerctl renew kmskey/{} -n {namespace}", object.name))
}

fn in_order(view: &V<'_>) -> Option<Plan> {
    seen_key(view)?;
    Some(rest(view, Reason::KeyReady))
}

fn rest(view: &V<'_>, reason: Reason) -> Plan {
    let at = view.seen.facts.key.as_ref().map_or(view.now, |(_, at)| *at);
    Plan::rest(Some(at + LOOK_AGAIN), reason)
}

/// The ARN for those who wrap with it, or why they must wait.
fn usable(view: &V<'_>) -> Result<String, Reason> {
    let arn = view.seen.record.memory.arn.clone().ok_or(Reason::Missing)?;
    if let Some(trouble) = view.seen.record.trouble.as_ref().filter(|_| view.seen.facts.key.is_none()) {
        return Err(trouble.reason);
    }
    let bad = [gone, pending_deletion, disabled, unusable].iter().find_map(|rule| rule(view));
    match bad {
        Some(plan) => Err(plan.reason),
        None if seen_key(view).is_some() => Ok(arn),
        None => Err(Reason::NotObserved),
    }
}

fn shown(key: &KeySeen, at: Moment) -> KeyView {
    KeyView {
        arn: key.arn.clone(),
        state: key.state,
        material: key.material.clone(),
        created_at: key.created_at.map(|at| at.to_second()),
        rotated_at: key.rotation.as_ref().and_then(|rotation| rotation.last).map(|at| at.to_second()),
        next_rotation: key.rotation.as_ref().and_then(|rotation| rotation.next).map(|at| at.to_second()),
        deletion_at: key.deletion_at.map(|at| at.to_second()),
        observed_at: at.to_second(),
    }
}

#[cfg(test)]
mod tests {
    use claviger_config::{
        Turn,
        key::{KeySpec, Rotation},
    };

    use super::*;
    use crate::domain::{
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
        assert!(
            matches!(given.act(), Effect::Kms(KmsEffect::CreateAlias { alias, arn }) if alias == ALIAS && arn == ARN)
        );
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
}
