//! Keys: made once, tagged, aliased, rotating; drift is seen and shown, and never answered by making a replacement.

mod drift;
mod show;
mod watch;

use claviger_config::{
    Kind, Moment, Reason, Span,
    admin::ExplainedStep,
    condition::CommonStatus,
    desired::{Spec, Surroundings},
    key::{KmsKeySpec, Purpose},
};
use serde::{Deserialize, Serialize};

use super::{
    effect::{KeySeen, News},
    failure::Failure,
    neighbours::Share,
    noun::{Noun, OutOfTurn, Ready, Rule, Seen, View, Viewed},
    plan::Step,
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
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Facts {
    /// Whether alias and tags were searched for a key that the record does not know.
    pub searched: bool,
    /// The key as last seen; `None` inside: AWS does not know it.
    pub key: Option<(Option<KeySeen>, Moment)>,
    /// When claviger itself last changed alias or rotation.
    pub changed: Option<Moment>,
}

impl Noun for Key {
    const KIND: Kind = Kind::KmsKey;
    type Spec = KmsKeySpec;
    type Memory = Memory;
    type Facts = Facts;
    const RULES: &'static [Rule<Self>] = &[
        watch::lost,
        watch::missing,
        watch::unseen,
        watch::gone,
        watch::pending_deletion,
        watch::disabled,
        watch::unusable,
        watch::settling,
        drift::alias_missing,
        drift::alias_moved,
        drift::rotation_unset,
        drift::rotation_off,
        drift::rotation_period_differs,
        watch::in_order,
    ];

    fn spec(spec: &Spec) -> Option<&KmsKeySpec> {
        if let Spec::KmsKey(spec) = spec { Some(spec) } else { None }
    }

    fn ready(view: &View<'_, Self>) -> Ready {
        if view.seen.record.memory.arn.is_none() {
            return Ready::False(view.wanted.refusal.as_ref().map_or(Reason::Missing, |refusal| refusal.reason));
        }
        let Some((seen, _)) = &view.seen.facts.key else { return Ready::Unknown(Reason::NotObserved) };
        let rules = [
            watch::gone,
            watch::pending_deletion,
            watch::disabled,
            watch::unusable,
            watch::settling,
            drift::alias_missing,
            drift::alias_moved,
            drift::rotation_missing,
            drift::rotation_off,
            drift::rotation_period_differs,
        ];
        match rules.iter().find_map(|rule| rule(view)) {
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

    fn planned(seen: &Seen<Self>) -> Option<Moment> {
        let (key, _) = seen.facts.key.as_ref()?;
        key.as_ref()?.rotation.as_ref()?.next
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
        wraps.then(|| Share::Key(watch::usable(view)))
    }

    fn status(view: &Viewed<'_, Self>, common: CommonStatus) -> serde_json::Value {
        show::status(view, common)
    }

    fn steps(view: &Viewed<'_, Self>) -> Vec<ExplainedStep> {
        show::steps(view)
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

#[cfg(test)]
mod tests;
