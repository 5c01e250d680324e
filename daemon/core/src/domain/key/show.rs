//! A key as it is shown.

use claviger_config::{
    Moment,
    admin::{ExplainedStep, StepState},
    condition::CommonStatus,
    key::{KeyView, KmsKeyStatus},
};

use super::{Key, alias};
use crate::domain::{
    effect::KeySeen,
    noun::{Viewed, explained},
};

pub(super) fn status(view: &Viewed<'_, Key>, common: CommonStatus) -> serde_json::Value {
    let memory = &view.seen.record.memory;
    let seen = view.seen.facts.key.as_ref().and_then(|(seen, at)| Some((seen.as_ref()?, *at)));
    let key = seen.map(|(key, at)| shown(key, at));
    let at = view.wanted.and_then(|wanted| Some((wanted.environment.as_ref()?, wanted)));
    let alias = at.filter(|_| memory.arn.is_some()).map(|(at, wanted)| alias(at, wanted.name.name.as_str()));
    serde_json::to_value(KmsKeyStatus { common, key, alias }).unwrap_or_default()
}

pub(super) fn steps(view: &Viewed<'_, Key>) -> Vec<ExplainedStep> {
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
    let mut steps: Vec<_> = done.iter().enumerate().map(|(index, (name, _))| explained(name, state(index))).collect();
    (steps[0].r#ref, steps[0].at) = (memory.arn.clone(), memory.since.map(|at| at.to_second()));
    steps
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
