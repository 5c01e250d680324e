//! Subjects as they are shown and explained; reading waits for no pass.

use std::sync::Arc;

use claviger_config::{
    EnvironmentName, Kind, Moment, ObjectName, Reason, Turn,
    admin::{ExplainedNext, HistoryEntry, Thought},
    condition::CommonStatus,
    desired::Wanted,
};

use super::{kept::Kept, lock, pass::Keeper};
use crate::{
    domain::{
        budget::Class,
        decide,
        effect::{Effect, Terms},
        noun::{Noun, View, Viewed},
        plan::{Plan, Step},
        record::{Ask, Said},
    },
    report,
};

/// A subject as it is shown.
#[derive(Clone, Debug)]
pub struct Shown {
    /// What shall be; absent when its document is gone.
    pub wanted: Option<Arc<Wanted>>,
    /// Its environment, for life.
    pub environment: Option<EnvironmentName>,
    /// The generation that status speaks of.
    pub generation: u64,
    /// Its revision in the store.
    pub revision: u64,
    /// What was said last.
    pub said: Said,
    /// What every status begins with.
    pub common: CommonStatus,
    /// Its status, whole.
    pub status: serde_json::Value,
    /// When it is looked at next.
    pub next: Option<Moment>,
    /// The budget that it waits for.
    pub line: Option<Class>,
}

/// A subject explained.
#[derive(Clone, Debug)]
pub struct Explained {
    /// As it is shown.
    pub shown: Shown,
    /// What happened, oldest first.
    pub history: Vec<HistoryEntry>,
    /// What is thought of it.
    pub thought: Thought,
}

/// What a person's ask would lead to now.
#[derive(Clone, Debug)]
pub struct Rehearsed {
    /// The effects that would follow, the first one first.
    pub effects: Vec<Effect>,
    /// What follows them when all goes well.
    pub then: Vec<Terms>,
    /// The generation and revision that it was thought through on.
    pub generation: u64,
    /// The revision in the store.
    pub revision: u64,
    /// Why nothing would follow, when that is so.
    pub rests: Option<(Reason, String)>,
}

impl<N: Noun> Keeper<N> {
    /// The name of every subject that is known.
    pub fn names(&self, mut with: impl FnMut(&ObjectName)) {
        let (all, out) = (lock(&self.kept), lock(&self.out));
        all.names().for_each(&mut with);
        out.keys().filter(|name| all.get(name).is_none()).for_each(with);
    }

    /// Every subject that is known, as it is shown; one that is out on a pass as it was before. Passes need not wait for it.
    pub fn each(&self, mut with: impl FnMut(&ObjectName, Shown)) {
        // Both locked, so that nobody is missed or told twice on the way from one place to the other.
        let (all, out) = (lock(&self.kept), lock(&self.out));
        let (resting, mut passing) = (all.snapshot(), out.clone());
        passing.retain(|name, _| all.get(name).is_none());
        drop((all, out));
        for (name, packed) in resting {
            if let Some(kept) = packed.open() {
                with(&name, self.show(&kept));
            }
        }
        passing.iter().for_each(|(name, kept)| with(name, self.show(kept)));
    }

    /// One subject as it is shown; `None` while it is not known.
    pub fn shown(&self, name: &ObjectName) -> Option<Shown> {
        self.found(name, |kept| self.show(kept))
    }

    /// One subject explained; `None` while it is not known.
    pub fn explained(&self, name: &ObjectName) -> Option<Explained> {
        self.found(name, |kept| self.explain(kept))
    }

    fn found<T>(&self, name: &ObjectName, with: impl Fn(&Kept<N>) -> T) -> Option<T> {
        let all = lock(&self.kept);
        let resting = all.get(name).cloned();
        let out = lock(&self.out).get(name).cloned();
        drop(all);
        match resting.and_then(|packed| packed.open()) {
            Some(kept) => Some(with(&kept)),
            None => out.map(|kept| with(&kept)),
        }
    }

    fn explain(&self, kept: &Kept<N>) -> Explained {
        let (history, thought) = (kept.seen.record.history.clone(), self.think(kept, &kept.plan));
        Explained { shown: self.show(kept), history, thought }
    }

    pub(super) fn think(&self, kept: &Kept<N>, plan: &Plan) -> Thought {
        let now = self.common.clock.now();
        let held = kept.seen.record.trouble.as_ref().is_some_and(|trouble| trouble.holds(now));
        let (next, because) = match plan.reason.turn() {
            _ if held => (plan.next, "BackOff"),
            Turn::Nobody => (N::planned(&kept.seen), "Schedule"),
            _ => (plan.next, plan.reason.word()),
        };
        Thought {
            message: plan.message.clone(),
            fix: plan.fix.clone(),
            hurts: plan.hurts,
            steps: N::steps(&self.view(kept, plan)),
            next: next.map(|at| ExplainedNext { at: at.to_second(), because: because.to_owned() }),
        }
    }

    fn show(&self, kept: &Kept<N>) -> Shown {
        let view = self.view(kept, &kept.plan);
        let common = report::common(&view);
        Shown {
            wanted: kept.wanted.clone(),
            environment: kept.seen.record.environment.clone(),
            generation: kept.seen.record.generation,
            revision: kept.revision(),
            said: kept.seen.record.said.clone(),
            status: N::status(&view, common.clone()),
            common,
            next: kept.plan.next,
            line: kept.plan.line,
        }
    }

    pub(super) fn view<'a>(&self, kept: &'a Kept<N>, plan: &'a Plan) -> Viewed<'a, N> {
        let wanted = kept.wanted.as_deref();
        let spec = wanted.and_then(|wanted| N::spec(&wanted.spec));
        Viewed { spec, wanted, seen: &kept.seen, plan, now: self.common.clock.now() }
    }

    /// What an ask would lead to, without doing or writing anything; `None` while it is out on a pass, which may change that.
    pub fn rehearse(&self, name: &ObjectName, ask: Ask) -> Option<Rehearsed> {
        let mut kept = lock(&self.kept).get(name).cloned()?.open()?;
        kept.seen.record.ask = Some(ask);
        let plan = self.viewed(&kept, |view| decide::plan(&view))?;
        let (generation, revision) = (kept.seen.record.generation, kept.revision());
        let rehearsed = Rehearsed { effects: Vec::new(), then: Vec::new(), generation, revision, rests: None };
        Some(match plan.step {
            Step::Act(effect) => Rehearsed { then: behind(N::WAY, &effect), effects: vec![effect], ..rehearsed },
            // Seconds after a start: the ask waits with it.
            Step::Rest if plan.reason == Reason::AccountPending => Rehearsed { then: N::WAY.to_vec(), ..rehearsed },
            Step::Rest => Rehearsed { rests: Some((plan.reason, plan.message)), ..rehearsed },
            Step::Look(_) | Step::Recall(_) => rehearsed,
        })
    }

    pub(super) fn viewed<T>(&self, kept: &Kept<N>, with: impl FnOnce(View<'_, N>) -> T) -> Option<T> {
        let wanted = kept.wanted.as_deref()?;
        let at = wanted.environment.as_ref().map(|at| &at.name);
        let neighbours = lock(&self.common.board).neighbours(at);
        let now = self.common.clock.now();
        Some(with(View { spec: N::spec(&wanted.spec)?, wanted, seen: &kept.seen, neighbours: &neighbours, now }))
    }

    /// How many subjects are known.
    pub fn count(&self) -> usize {
        let mut count = 0;
        self.names(|_| count += 1);
        count
    }

    /// The kind.
    pub const fn kind(&self) -> Kind {
        N::KIND
    }
}

/// What comes after an effect on that way.
fn behind(way: &[Terms], effect: &Effect) -> Vec<Terms> {
    let at = way.iter().position(|terms| terms.word == effect.terms().word);
    at.map_or_else(Vec::new, |at| way[at + 1..].to_vec())
}
