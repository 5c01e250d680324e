//! One kind of subject: its words, its rules, and how it takes in news.

use std::fmt::Debug;

use claviger_config::{
    Kind, Moment, Reason,
    admin::ExplainedStep,
    condition::{CommonStatus, ConditionStatus},
    desired::{Spec, Wanted},
};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    effect::{News, Terms},
    failure::Failure,
    neighbours::{Neighbours, Share},
    plan::{Plan, Step},
    record::Record,
};

/// What a kind brings to the one pass.
pub trait Noun: Clone + Send + Sync + 'static {
    /// Its name.
    const KIND: Kind;
    /// What shall be.
    type Spec: Send + Sync;
    /// What is remembered.
    type Memory: Clone + Debug + Default + DeserializeOwned + PartialEq + Send + Serialize + Sync;
    /// What was seen since the start.
    type Facts: Clone + Debug + Default + DeserializeOwned + Send + Serialize + Sync;
    /// The first rule that speaks wins; the order is the documentation.
    const RULES: &'static [Rule<Self>];
    /// Its effects when all goes well, in order, so that a rehearsal can say what the whole way costs; empty: each stands alone.
    const WAY: &'static [Terms] = &[];

    /// Its part of a document.
    fn spec(spec: &Spec) -> Option<&Self::Spec>;
    /// Is it good? Said from memory, facts and the time, never from what is being done about it.
    fn ready(view: &View<'_, Self>) -> Ready;
    /// Takes in what a step brought; a recall brings the news of the effect that it asks about. Some news is a failure: it is
    /// given back and dealt with like any other.
    ///
    /// # Errors
    /// News that nobody asked for: a fault in claviger.
    fn hear(seen: &mut Seen<Self>, step: &Step, news: News, now: Moment) -> Result<Option<Failure>, OutOfTurn>;
    /// Whether a failure is news that the kind can live with (unknown, until), so that it is no trouble of the whole subject.
    fn bears(_seen: &mut Seen<Self>, _step: &Step, _failure: &Failure, _now: Moment) -> bool {
        false
    }
    /// Somebody changed something outside: what was seen no longer counts.
    fn doubt(seen: &mut Seen<Self>) {
        seen.facts = Self::Facts::default();
    }
    /// Its own troubles no longer hold: the document changed, or a person asks.
    fn lift(_seen: &mut Seen<Self>) {}
    /// When what is in service ends.
    fn end(_seen: &Seen<Self>) -> Option<Moment> {
        None
    }
    /// When what is planned comes, while all is well. Looks on the way there are not planned: nobody waits for them.
    fn planned(_seen: &Seen<Self>) -> Option<Moment> {
        None
    }
    /// When waiting begins to cost.
    fn hurts(view: &View<'_, Self>) -> Option<Moment> {
        Self::end(view.seen)
    }
    /// What belongs to its environment alone.
    fn claims(_view: &View<'_, Self>) -> Vec<(&'static str, String)> {
        Vec::new()
    }
    /// What its neighbours may know.
    fn share(_view: &View<'_, Self>) -> Option<Share> {
        None
    }
    /// Its public status.
    fn status(view: &Viewed<'_, Self>, common: CommonStatus) -> serde_json::Value;
    /// Its way, step by step.
    fn steps(view: &Viewed<'_, Self>) -> Vec<ExplainedStep>;
}

/// A rule: the plan, if it has something to say.
pub type Rule<N> = fn(&View<'_, N>) -> Option<Plan>;

/// Record and volatile facts (absent = unknown). Lives in the daemon between passes.
#[derive(Clone, Debug)]
pub struct Seen<N: Noun> {
    /// What is remembered.
    pub record: Record<N::Memory>,
    /// What was seen since the start.
    pub facts: N::Facts,
    /// When the far side last denied an unanswered intent that it may not show yet.
    pub recalled: Option<Moment>,
}

impl<N: Noun> Seen<N> {
    /// A record just loaded or born; nothing seen yet.
    pub fn new(record: Record<N::Memory>) -> Self {
        Self { record, facts: N::Facts::default(), recalled: None }
    }
}

/// All that a rule may look at.
pub struct View<'a, N: Noun> {
    /// What shall be, of this kind.
    pub spec: &'a N::Spec,
    /// What shall be, whole.
    pub wanted: &'a Wanted,
    /// What is known.
    pub seen: &'a Seen<N>,
    /// What is known around it.
    pub neighbours: &'a Neighbours,
    /// Now.
    pub now: Moment,
}

impl<N: Noun> View<'_, N> {
    /// Whether troubles no longer hold: the document changed, or a person asks.
    pub fn lifted(&self) -> bool {
        let record = &self.seen.record;
        record.generation != self.wanted.generation || record.ask.as_ref().is_some_and(|ask| ask.fresh)
    }
}

/// A subject as it is shown, also when its document is gone.
pub struct Viewed<'a, N: Noun> {
    /// What shall be; absent when the document is gone.
    pub spec: Option<&'a N::Spec>,
    /// The same, whole.
    pub wanted: Option<&'a Wanted>,
    /// What is known.
    pub seen: &'a Seen<N>,
    /// The latest plan.
    pub plan: &'a Plan,
    /// Now.
    pub now: Moment,
}

/// Condition `Ready`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ready {
    /// It is not good.
    False(Reason),
    /// It is good.
    True(Reason),
    /// It could not be asked.
    Unknown(Reason),
}

impl Ready {
    /// As a condition has it.
    pub const fn parts(self) -> (ConditionStatus, Reason) {
        match self {
            Self::False(reason) => (ConditionStatus::False, reason),
            Self::True(reason) => (ConditionStatus::True, reason),
            Self::Unknown(reason) => (ConditionStatus::Unknown, reason),
        }
    }
}

/// News that nobody asked for: a fault in claviger.
#[derive(Debug, thiserror::Error)]
#[error("a fault in claviger: {kind} heard `{news}` out of turn; please report it")]
pub struct OutOfTurn {
    /// Who heard it.
    pub kind: Kind,
    /// What.
    pub news: &'static str,
}

/// A step of an explanation, from what is known of it.
pub fn explained(step: &str, state: claviger_config::admin::StepState) -> ExplainedStep {
    ExplainedStep { step: step.to_owned(), state, at: None, r#ref: None, checks: Vec::new() }
}
