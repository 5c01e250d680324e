//! The next step of a subject, and its reason; also when there is nothing to do.

use claviger_config::{Moment, Reason, Span};

use super::{
    effect::{Class, Effect, Query},
    noun::{Noun, Rule, View},
    record::Intent,
};

/// What comes next, and why.
#[derive(Clone, Debug, PartialEq)]
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
#[derive(Clone, Debug, PartialEq)]
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

/// Decides the next step of any subject.
pub fn plan<N: Noun>(view: &View<'_, N>) -> Plan {
    let first: [Rule<N>; 5] = [refused, unclaimed, moved, backing_off, unanswered];
    let plan = first.iter().chain(N::RULES).find_map(|rule| rule(view));
    let plan = plan.unwrap_or_else(|| Plan::rest(None, Reason::NotObserved));
    let hurts = plan.hurts.or_else(|| N::hurts(view));
    // A rest until an instant that has passed would be no rest.
    let next = plan.next.map(|next| next.max(view.now + Span::seconds(1)));
    Plan { next, ..plan.hurting(hurts) }
}

fn refused<N: Noun>(view: &View<'_, N>) -> Option<Plan> {
    let refusal = view.wanted.refusal.as_ref()?;
    let plan = Plan::rest(None, refusal.reason).saying(refusal.message.clone());
    Some(Plan { fix: refusal.fix.clone(), ..plan })
}

/// Every step needs an environment's account, role or token.
fn unclaimed<N: Noun>(view: &View<'_, N>) -> Option<Plan> {
    view.wanted.environment.is_none().then(|| {
        Plan::rest(None, Reason::NamespaceUnclaimed)
            .saying(format!("no environment claims the namespace of {}", view.wanted.name))
            .fix("name its namespace in `namespaces` of an environment")
    })
}

fn moved<N: Noun>(view: &View<'_, N>) -> Option<Plan> {
    let (was, is) = (view.seen.record.environment.as_ref()?, view.wanted.environment.as_ref()?);
    (*was != is.name).then(|| {
        Plan::rest(None, Reason::EnvironmentChanged)
            .saying(format!("it belongs to `{was}`; its namespace is now claimed by `{}`", is.name))
            .fix(format!("give the namespace back to `{was}`, or delete this object and create it under another name"))
    })
}

fn backing_off<N: Noun>(view: &View<'_, N>) -> Option<Plan> {
    let trouble = view.seen.record.trouble.as_ref().filter(|_| !view.lifted())?;
    trouble.holds(view.now).then(|| Plan {
        fix: trouble.fix.clone(),
        ..Plan::rest(trouble.until, trouble.reason).saying(trouble.message.clone())
    })
}

/// How long to wait before a far side that may answer late is asked again.
const ASK_AGAIN: Span = Span::seconds(20);

fn unanswered<N: Noun>(view: &View<'_, N>) -> Option<Plan> {
    let intent = view.seen.record.intent.as_ref()?;
    let again = view.seen.recalled.map(|at| at + ASK_AGAIN).filter(|again| view.now < *again);
    Some(match again {
        Some(again) => Plan::rest(Some(again), Reason::Unanswered).saying(format!(
            "whether `{}` happened is asked again: the far side may answer late",
            intent.effect.terms().word
        )),
        None => Plan::new(Step::Recall(intent.clone()), Reason::Unanswered, None),
    })
}
