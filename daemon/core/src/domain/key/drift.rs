//! Whether a key is as the document has it: alias and rotation. What claviger set once and finds different is shown, not set again.

use claviger_config::Reason;

use super::{V, own_alias, seen_key, watch::rest};
use crate::domain::{
    effect::{Effect, KmsEffect},
    plan::Plan,
};

pub(super) fn alias_missing(view: &V<'_>) -> Option<Plan> {
    let key = seen_key(view)?;
    let alias = own_alias(view).filter(|_| key.alias_target.is_none())?;
    Some(Plan::act(Effect::Kms(KmsEffect::CreateAlias { alias, arn: key.arn.clone() }), Reason::Missing))
}

pub(super) fn alias_moved(view: &V<'_>) -> Option<Plan> {
    let key = seen_key(view)?;
    let (alias, target) = (own_alias(view)?, key.alias_target.as_ref()?);
    (*target != key.arn).then(|| {
        rest(view, Reason::AliasMoved)
            .saying(format!("{alias} points at {target}; claviger made and uses {}", key.arn))
            .fix(format!("aws kms update-alias --alias-name {alias} --target-key-id {}", key.arn))
    })
}

/// A period that claviger has not set yet, or that a person asked to have back.
pub(super) fn rotation_unset(view: &V<'_>) -> Option<Plan> {
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
pub(super) fn rotation_missing(view: &V<'_>) -> Option<Plan> {
    rotation_unset(view).filter(|plan| plan.reason == Reason::Missing)
}

pub(super) fn rotation_off(view: &V<'_>) -> Option<Plan> {
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

pub(super) fn rotation_period_differs(view: &V<'_>) -> Option<Plan> {
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
