//! Whether a key is there and can be used.

use claviger_config::{Reason, Span, key::KeyState};

use super::{V, own_alias, seen_key};
use crate::domain::{
    effect::{Effect, KeySeen, KmsEffect, Query, RotationSeen},
    plan::Plan,
};

/// How often a key is looked at although nothing is planned.
pub(super) const LOOK_AGAIN: Span = Span::minutes(10);
/// What was just made or changed may be shown late: "usually seconds, sometimes minutes"
/// (<https://docs.aws.amazon.com/kms/latest/developerguide/programming-eventual-consistency.html>).
pub(super) const SETTLE: Span = Span::minutes(5);
/// How often it is looked at meanwhile.
pub(super) const SETTLING: Span = Span::seconds(20);

/// A record that knows no key is not the proof that there is none.
pub(super) fn lost(view: &V<'_>) -> Option<Plan> {
    let due = view.seen.record.memory.arn.is_none() && !view.seen.facts.searched;
    let alias = own_alias(view).filter(|_| due)?;
    Some(Plan::look(Query::LostKey { alias }, Reason::Missing))
}

pub(super) fn missing(view: &V<'_>) -> Option<Plan> {
    let (spec, purpose) = (view.spec.key_spec, view.spec.purpose);
    let due = view.seen.record.memory.arn.is_none();
    due.then(|| Plan::act(Effect::Kms(KmsEffect::CreateKey { spec, purpose }), Reason::Missing))
}

pub(super) fn unseen(view: &V<'_>) -> Option<Plan> {
    let arn = view.seen.record.memory.arn.clone()?;
    let stale = view.seen.facts.key.as_ref().is_none_or(|(_, at)| *at + pace(view) <= view.now);
    let alias = own_alias(view).filter(|_| stale)?;
    Some(Plan::look(Query::Key { arn, alias }, view.seen.record.said.reason))
}

pub(super) fn gone(view: &V<'_>) -> Option<Plan> {
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

pub(super) fn pending_deletion(view: &V<'_>) -> Option<Plan> {
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

pub(super) fn disabled(view: &V<'_>) -> Option<Plan> {
    let key = seen_key(view)?;
    (key.state == KeyState::Disabled).then(|| {
        rest(view, Reason::KeyDisabled)
            .saying(format!("{} is disabled: nothing can be wrapped or opened with it", key.arn))
            .fix(format!("aws kms enable-key --key-id {}", key.arn))
    })
}

pub(super) fn unusable(view: &V<'_>) -> Option<Plan> {
    let key = seen_key(view)?;
    (key.state != KeyState::Enabled)
        .then(|| rest(view, Reason::KeyUnavailable).saying(format!("{} is in the state {}", key.arn, key.state.word())))
}

/// A change of our own that is not shown yet is neither made again nor called drift.
pub(super) fn settling(view: &V<'_>) -> Option<Plan> {
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

pub(super) fn in_order(view: &V<'_>) -> Option<Plan> {
    seen_key(view)?;
    Some(rest(view, Reason::KeyReady))
}

pub(super) fn rest(view: &V<'_>, reason: Reason) -> Plan {
    let at = view.seen.facts.key.as_ref().map_or(view.now, |(_, at)| *at);
    Plan::rest(Some(at + LOOK_AGAIN), reason)
}

/// The ARN for those who wrap with it, or why they must wait.
pub(super) fn usable(view: &V<'_>) -> Result<String, Reason> {
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
