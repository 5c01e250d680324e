//! The next step of a subject, and its reason; also when there is nothing to do.

use claviger_config::{Moment, Reason};
use serde::{Deserialize, Serialize};

use super::{
    budget::Class,
    effect::{Effect, Query},
    record::Intent,
};

/// What comes next, and why.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Plan {
    /// What.
    pub step: Step,
    /// Why.
    pub reason: Reason,
    /// The same in words, where the reason alone does not say it.
    pub message: String,
    /// What a person can do.
    pub fix: Vec<String>,
    /// Look again then at the latest; absent: until somebody wakes it.
    pub next: Option<Moment>,
    /// When waiting begins to cost.
    pub hurts: Option<Moment>,
    /// Rests until this budget opens.
    pub line: Option<Class>,
}

/// One step.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub enum Step {
    /// Do.
    Act(Effect),
    /// Ask.
    Look(Query),
    /// Ask what became of an effect.
    Recall(Intent),
    /// Wait.
    Rest,
}

impl Step {
    /// Its word in logs and metrics.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Act(effect) => effect.terms().word,
            Self::Look(query) => query.word(),
            Self::Recall(_) => "recall",
            Self::Rest => "rest",
        }
    }

    /// What it pays.
    pub const fn pays(&self) -> &'static [Class] {
        match self {
            Self::Act(effect) => effect.terms().pays,
            Self::Look(query) => query.pays(),
            Self::Recall(intent) => match &intent.effect {
                Effect::Edge(_) => &[Class::EdgeCalls],
                Effect::Kms(_) => &[Class::KmsReads],
                Effect::Acme(_) | Effect::Outlet(_) | Effect::Vault(_) => &[],
            },
            Self::Rest => &[],
        }
    }

    /// The effect that it does or asks about.
    pub const fn effect(&self) -> Option<&Effect> {
        match self {
            Self::Act(effect) | Self::Recall(Intent { effect, .. }) => Some(effect),
            Self::Look(_) | Self::Rest => None,
        }
    }
}

impl Plan {
    const fn new(step: Step, reason: Reason, next: Option<Moment>) -> Self {
        Self { step, reason, message: String::new(), fix: Vec::new(), next, hurts: None, line: None }
    }

    /// Do it now.
    pub const fn act(effect: Effect, reason: Reason) -> Self {
        Self::new(Step::Act(effect), reason, None)
    }

    /// Ask it now.
    pub const fn look(query: Query, reason: Reason) -> Self {
        Self::new(Step::Look(query), reason, None)
    }

    /// Ask now what became of it.
    pub const fn recall(intent: Intent, reason: Reason) -> Self {
        Self::new(Step::Recall(intent), reason, None)
    }

    /// Wait.
    pub const fn rest(next: Option<Moment>, reason: Reason) -> Self {
        Self::new(Step::Rest, reason, next)
    }

    /// The same, in words.
    pub fn saying(self, message: impl Into<String>) -> Self {
        Self { message: message.into(), ..self }
    }

    /// The same, with one more thing that a person can do.
    pub fn fix(mut self, step: impl Into<String>) -> Self {
        self.fix.push(step.into());
        self
    }

    /// The same, hurting from then on.
    pub fn hurting(self, hurts: Option<Moment>) -> Self {
        Self { hurts, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        effect::{AcmeEffect, News},
        failure::Failure,
        given::{hostname, key},
    };

    #[test]
    fn asking_what_became_of_an_effect_costs_a_call_too() {
        let lost = || Failure::new(Reason::KmsUnreachable, "lost").maybe_done();
        let given = key().hears(News::Key(None)).fails(lost()).rested();
        assert_eq!(given.step().pays(), [Class::KmsReads]);
        let given = hostname().hears(News::Hostname(None)).fails(lost()).rested();
        assert_eq!(given.step().pays(), [Class::EdgeCalls]);
    }

    #[test]
    fn steps_have_words() {
        let order = AcmeEffect::Answer { issuer: "first".parse().unwrap(), order: String::new() };
        assert_eq!(Plan::act(Effect::Acme(order), Reason::Missing).step.word(), "answer_challenges");
        assert_eq!(key().step().word(), "find_key");
        assert_eq!(Plan::rest(None, Reason::Ready).step.word(), "rest");
    }
}
