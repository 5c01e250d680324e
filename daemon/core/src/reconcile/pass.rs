//! The one pass: plan, admit, commit, step, hear; again until the plan rests.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use claviger_config::{
    EnvironmentName, Kind, Moment, ObjectName, Reason, Span,
    admin::{ExplainedNext, ExplainedStep, HistoryEntry},
    condition::CommonStatus,
    desired::Wanted,
};

use super::{
    board::{Board, Wakes},
    lock,
    world::{Scene, World},
};
use crate::{
    domain::{
        budget::Budgets,
        effect::{Class, Effect, Terms},
        failure::{Done, Failure, Retry, Stops},
        noun::{Noun, OutOfTurn, View, Viewed},
        plan::{self, Plan, Step},
        record::{Ask, Intent, Record, Said, Seen},
    },
    ports::{Clock, Commit, Source, Version},
    report,
};

/// What all keepers share.
pub struct Common {
    /// The outside.
    pub world: Arc<dyn World>,
    /// What shall be.
    pub source: Arc<dyn Source>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The limits.
    pub budgets: Mutex<Budgets>,
    /// What subjects tell each other.
    pub board: Mutex<Board>,
    /// Hears every plan once.
    pub listener: Arc<dyn Listener>,
}

/// Hears what passes decide: logs, events and metrics hang on it.
pub trait Listener: Send + Sync {
    /// A subject said something new, or took a step.
    fn hear(&self, told: Told<'_>);
}

/// What a pass decided.
#[derive(Debug)]
pub struct Told<'a> {
    /// The subject.
    pub name: &'a ObjectName,
    /// Its environment.
    pub environment: Option<&'a EnvironmentName>,
    /// The host name, of a custom host name.
    pub hostname: Option<&'a claviger_config::DnsName>,
    /// The plan.
    pub plan: &'a Plan,
    /// What was said before.
    pub before: Option<&'a Said>,
    /// What is said now.
    pub now: &'a Said,
    /// When.
    pub at: Moment,
}

/// Looks after all subjects of one kind. The agenda lends each name to one pass at a time.
pub struct Keeper<N: Noun> {
    common: Arc<Common>,
    kept: Mutex<BTreeMap<ObjectName, Box<Kept<N>>>>,
    /// How subjects looked when they went out on the pass that they are on.
    out: Mutex<BTreeMap<ObjectName, Box<Explained>>>,
    /// Asks that were stored while their subject was out on a pass.
    asked: Mutex<BTreeMap<ObjectName, (Ask, Version)>>,
    /// Whom a pass that came to no end has yet to wake.
    owed: Mutex<BTreeMap<ObjectName, Vec<Wakes>>>,
}

struct Kept<N: Noun> {
    seen: Seen<N>,
    stored: Option<Stored>,
    plan: Plan,
    wanted: Option<Arc<Wanted>>,
}

/// What the store holds, as far as a comparison needs it: the record itself would take its memory twice.
struct Stored {
    intent: Option<Intent>,
    digest: u64,
    version: Version,
    /// Digests of the claims that were let through.
    claims: Vec<u64>,
}

/// How a pass ended.
#[derive(Debug)]
pub struct Rested {
    /// The plan that it ended with.
    pub plan: Plan,
    /// Who else must look again.
    pub wakes: Vec<Wakes>,
}

/// Why a pass could not come to an end.
#[derive(Debug)]
pub enum PassError {
    /// A fault in claviger.
    Bug(OutOfTurn),
    /// The store does not take or give a record.
    Store(Failure),
    /// It does not rest: a fault in claviger.
    Restless,
}

/// More steps than any pass needs.
const STEPS: usize = 256;
/// No pass does one and the same thing more often: a far side that says yes and does nothing is not asked for ever.
const REPEATS: usize = 3;

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
    /// Why, in words.
    pub message: String,
    /// What to do.
    pub fix: Vec<String>,
    /// When waiting begins to cost.
    pub hurts: Option<Moment>,
    /// The way, step by step.
    pub steps: Vec<ExplainedStep>,
    /// What happened, newest first.
    pub history: Vec<HistoryEntry>,
    /// What comes next.
    pub next: Option<ExplainedNext>,
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
    /// A keeper that knows nothing yet.
    pub fn new(common: Arc<Common>) -> Self {
        Self { common, kept: Mutex::default(), out: Mutex::default(), asked: Mutex::default(), owed: Mutex::default() }
    }

    /// Brings one subject on until it rests.
    ///
    /// # Errors
    /// When the store fails, or claviger has a fault.
    pub async fn pass(&self, name: &ObjectName) -> Result<Rested, PassError> {
        let mut wakes = lock(&self.owed).remove(name).unwrap_or_default();
        match self.run(name, &mut wakes).await {
            Ok(plan) => {
                lock(&self.out).remove(name);
                Ok(Rested { plan, wakes })
            }
            Err(error) => {
                if !wakes.is_empty() {
                    lock(&self.owed).insert(name.clone(), wakes);
                }
                Err(error) // until the next pass it is shown as it was
            }
        }
    }

    async fn run(&self, name: &ObjectName, wakes: &mut Vec<Wakes>) -> Result<Plan, PassError> {
        let mut kept = self.take(name).await?;
        let wanted = self.common.source.wanted(name);
        let spec = wanted.as_ref().and_then(|wanted| Some((N::spec(&wanted.spec)?, wanted)));
        let Some((spec, wanted)) = spec else { return self.unwanted(name, kept).await };
        kept.wanted = Some(Arc::clone(wanted));
        let at = wanted.environment.as_ref().map(|at| &at.name);
        if let Some(surroundings) = &wanted.environment {
            lock(&self.common.budgets).know(surroundings);
        }
        let mut done: Vec<Effect> = Vec::new();
        for _ in 0..STEPS {
            self.take_in(name, &mut kept);
            let now = self.common.clock.now();
            let neighbours = lock(&self.common.board).neighbours(at);
            let view = View { spec, wanted, seen: &kept.seen, neighbours: &neighbours, now };
            let (plan, ready) = (self.admit(at, plan::plan(&view), now), N::ready(&view));
            let claims = N::claims(&view);
            let share = N::share(&view);
            self.note(name, &mut kept, wanted, &plan, ready, now);
            if let Err(failure) = self.commit(name, &mut kept, &plan, &claims).await {
                return self.uncommitted(name, kept, failure, now);
            }
            if let (Some(at), Some(share)) = (at, share) {
                wakes.extend(lock(&self.common.board).tell(at, name, share));
            }
            kept.plan = plan.clone();
            if plan.step == Step::Rest {
                self.put_back(name, kept);
                return Ok(plan);
            }
            if let Step::Act(effect) = &plan.step {
                if done.iter().filter(|before| *before == effect).count() == REPEATS {
                    break;
                }
                done.push(effect.clone());
            }
            self.step(name, wanted, &neighbours, &mut kept, &plan, now).await?;
        }
        self.put_back(name, kept);
        Err(PassError::Restless)
    }

    /// An ask that was stored meanwhile is part of the record from now on.
    fn take_in(&self, name: &ObjectName, kept: &mut Kept<N>) {
        let Some((ask, version)) = lock(&self.asked).remove(name) else { return };
        if let Some(stored) = kept.stored.as_mut().filter(|stored| stored.version.0 < version.0) {
            (stored.version, stored.digest) = (version, 0);
            kept.seen.record.ask = Some(ask);
        }
    }

    /// Keeps it for the next pass, unless something newer was stored meanwhile.
    fn put_back(&self, name: &ObjectName, kept: Box<Kept<N>>) {
        let version = |kept: &Kept<N>| kept.stored.as_ref().map_or(0, |stored| stored.version.0);
        let mut all = lock(&self.kept);
        if all.get(name).is_none_or(|other| version(other) <= version(&kept)) {
            all.insert(name.clone(), kept);
        }
    }

    async fn step(
        &self,
        name: &ObjectName,
        wanted: &Wanted,
        neighbours: &crate::domain::neighbours::Neighbours,
        kept: &mut Kept<N>,
        plan: &Plan,
        now: Moment,
    ) -> Result<(), PassError> {
        let record = &kept.seen.record;
        let intent_id = record.intent_id();
        let (reason, ask) = (plan.reason, record.ask.as_ref());
        let scene = Scene { name, wanted, neighbours, reason, intent_id: &intent_id, ask, now };
        let heard = match &plan.step {
            Step::Rest => return Ok(()),
            Step::Act(effect) => self.common.world.perform(scene, effect).await.map(Some),
            Step::Look(query) => self.common.world.look(scene, query).await.map(Some),
            Step::Recall(intent) => self.common.world.recall(scene, intent).await,
        };
        let now = self.common.clock.now();
        let heard = heard.map_err(|failure| failure.bounded(now));
        if let (Some(at), Err(Failure { stops: Stops::Budget(class), retry, .. })) = (scene.environment(), &heard) {
            let until = if let Retry::At(until) = retry { *until } else { now + PAUSE };
            lock(&self.common.budgets).shut(at, *class, until);
        }
        kept.seen.hear(&plan.step, heard, now).map_err(PassError::Bug)
    }

    /// A refused write is shown: a claim that another environment holds. The next pass reads anew.
    fn uncommitted(
        &self,
        name: &ObjectName,
        mut kept: Box<Kept<N>>,
        failure: Failure,
        now: Moment,
    ) -> Result<Plan, PassError> {
        if failure.reason != Reason::ClaimedElsewhere || failure.done == Done::Unknown {
            return Err(PassError::Store(failure)); // forget, and read what is there
        }
        kept.seen.record.intent = kept.stored.as_ref().and_then(|stored| stored.intent.clone()); // nothing was begun
        let plan = Plan::rest(Some(now + Span::minutes(10)), failure.reason).saying(failure.message);
        let plan = Plan { fix: failure.fix, ..plan };
        kept.seen.refuse(&plan, now);
        kept.plan = plan.clone();
        self.put_back(name, kept);
        Ok(plan)
    }

    /// Its document is gone. What could not be read is not gone.
    async fn unwanted(&self, name: &ObjectName, mut kept: Box<Kept<N>>) -> Result<Plan, PassError> {
        let now = self.common.clock.now();
        if kept.stored.is_none() {
            return Ok(Plan::rest(None, Reason::Released)); // it never was
        }
        let plan = if self.common.source.frozen() {
            Plan { next: Some(now + Span::minutes(1)), step: Step::Rest, line: None, ..kept.plan.clone() }
        } else {
            kept.wanted = None;
            kept.seen.release(now);
            if let Some(at) = &kept.seen.record.environment {
                lock(&self.common.board).forget(at, name);
            }
            let plan = Plan::rest(None, Reason::Released);
            self.commit(name, &mut kept, &plan, &[]).await.map_err(PassError::Store)?;
            plan
        };
        kept.plan = plan.clone();
        self.put_back(name, kept);
        Ok(plan)
    }

    fn note(
        &self,
        name: &ObjectName,
        kept: &mut Kept<N>,
        wanted: &Wanted,
        plan: &Plan,
        ready: crate::domain::noun::Ready,
        at: Moment,
    ) {
        let before = kept.stored.is_some().then(|| kept.seen.record.said.clone());
        kept.seen.note(wanted, plan, ready, at);
        let environment = wanted.environment.as_ref().map(|at| &at.name);
        let now = &kept.seen.record.said;
        let hostname = match &wanted.spec {
            claviger_config::desired::Spec::CustomHostname(spec) => Some(&spec.hostname),
            _ => None,
        };
        self.common.listener.hear(Told { name, environment, hostname, plan, before: before.as_ref(), now, at });
    }

    async fn take(&self, name: &ObjectName) -> Result<Box<Kept<N>>, PassError> {
        let kept = lock(&self.kept).remove(name);
        if let Some(kept) = kept {
            lock(&self.out).insert(name.clone(), Box::new(self.explain(&kept)));
            return Ok(kept);
        }
        let stored = self.common.world.load(name).await.map_err(PassError::Store)?;
        let blank = || Record::blank(self.common.clock.draw(), self.common.clock.now());
        let (record, stored) = match stored {
            None => (blank(), None),
            Some((body, version)) => {
                let record: Record<N::Memory> = read(name, &body).map_err(PassError::Store)?;
                let (intent, digest) = (record.intent.clone(), digest(&body));
                let stored = Stored { intent, digest, version, claims: Vec::new() };
                (record, Some(stored))
            }
        };
        let plan = Plan::rest(None, record.said.reason);
        Ok(Box::new(Kept { seen: Seen::new(record), stored, plan, wanted: None }))
    }

    /// Writes when the intent changes, before anything is done with what is newly claimed, and at rest when anything changed. All
    /// else rides along or is done again after a crash.
    async fn commit(
        &self,
        name: &ObjectName,
        kept: &mut Kept<N>,
        plan: &Plan,
        claims: &[(&'static str, String)],
    ) -> Result<(), Failure> {
        let (record, old) = (&kept.seen.record, kept.stored.as_ref());
        let claimed: Vec<u64> = claims.iter().map(|(kind, value)| digest(&format!("{kind} {value}"))).collect();
        let intent_changed = old.and_then(|old| old.intent.as_ref()) != record.intent.as_ref();
        let claims_more = || claimed.iter().any(|claim| old.is_none_or(|old| !old.claims.contains(claim)));
        let due = match &plan.step {
            Step::Rest => true,
            Step::Act(_) => intent_changed || claims_more(),
            Step::Look(_) | Step::Recall(_) => intent_changed,
        };
        if !due {
            return Ok(());
        }
        let body = serde_json::to_string(record).map_err(|error| {
            Failure::new(Reason::StoreFailed, format!("a record could not be written as JSON: {error}"))
        })?;
        let digest = digest(&body);
        if old.is_some_and(|old| old.digest == digest) {
            kept.stored.iter_mut().for_each(|old| old.claims.clone_from(&claimed));
            return Ok(());
        }
        let (expected, environment) = (old.map(|old| old.version), record.environment.as_ref());
        let version = self.common.world.commit(Commit { name, environment, body: &body, expected, claims }).await?;
        kept.stored = Some(Stored { intent: record.intent.clone(), digest, version, claims: claimed });
        Ok(())
    }

    /// What does not fit now rests in that budget's line, before anything is written or asked.
    fn admit(&self, at: Option<&EnvironmentName>, plan: Plan, now: Moment) -> Plan {
        let (pays, Some(at)) = (pays(&plan.step), at) else { return plan };
        let mut budgets = lock(&self.common.budgets);
        let Err(class) = budgets.take(at, pays, now) else { return plan };
        let opens = budgets.opens(at, class, now);
        let text = format!("the budget `{}` opens again at {}", class.word(), opens.to_second());
        Plan { line: Some(class), hurts: plan.hurts, ..Plan::rest(Some(opens), Reason::BudgetSpent).saying(text) }
    }

    /// A person's ask, stored, to be answered by the next pass; also while one is under way.
    ///
    /// # Errors
    /// When the store does not take it.
    pub async fn ask(&self, name: &ObjectName, ask: Ask) -> Result<(), PassError> {
        let mut left = REPEATS;
        loop {
            let mut kept = self.take(name).await?;
            kept.wanted = self.common.source.wanted(name);
            kept.seen.record.ask = Some(ask.clone());
            let plan = Plan { step: Step::Rest, ..kept.plan.clone() };
            let claims = self.viewed(&kept, |view| N::claims(&view)).unwrap_or_default();
            left -= 1;
            match self.commit(name, &mut kept, &plan, &claims).await {
                Ok(()) => {
                    if let Some(stored) = &kept.stored {
                        lock(&self.asked).insert(name.clone(), (ask, stored.version));
                    }
                    self.put_back(name, kept);
                    lock(&self.out).remove(name);
                    return Ok(());
                }
                Err(failure) if failure.done == Done::No && left > 0 => {} // a pass that is out wrote meanwhile: read anew
                Err(failure) => return Err(PassError::Store(failure)),
            }
        }
    }

    fn viewed<T>(&self, kept: &Kept<N>, with: impl FnOnce(View<'_, N>) -> T) -> Option<T> {
        let wanted = kept.wanted.as_deref()?;
        let at = wanted.environment.as_ref().map(|at| &at.name);
        let neighbours = lock(&self.common.board).neighbours(at);
        let now = self.common.clock.now();
        Some(with(View { spec: N::spec(&wanted.spec)?, wanted, seen: &kept.seen, neighbours: &neighbours, now }))
    }

    /// The name of every subject that is known.
    pub fn names(&self, mut with: impl FnMut(&ObjectName)) {
        lock(&self.kept).keys().for_each(&mut with);
        lock(&self.out).keys().for_each(&mut with);
    }

    /// Every subject that is known, as it is shown; one that is out on a pass as it was before.
    pub fn each(&self, mut with: impl FnMut(&ObjectName, Shown)) {
        for (name, kept) in lock(&self.kept).iter() {
            with(name, self.show(kept));
        }
        for (name, explained) in lock(&self.out).iter() {
            with(name, explained.shown.clone());
        }
    }

    /// One subject as it is shown; `None` while it is not known.
    pub fn shown(&self, name: &ObjectName) -> Option<Shown> {
        let kept = lock(&self.kept).get(name).map(|kept| self.show(kept));
        kept.or_else(|| lock(&self.out).get(name).map(|explained| explained.shown.clone()))
    }

    /// One subject explained; `None` while it is not known.
    pub fn explained(&self, name: &ObjectName) -> Option<Explained> {
        let kept = lock(&self.kept).get(name).map(|kept| self.explain(kept));
        kept.or_else(|| lock(&self.out).get(name).map(|explained| (**explained).clone()))
    }

    fn explain(&self, kept: &Kept<N>) -> Explained {
        let record = &kept.seen.record;
        let held = record.trouble.as_ref().is_some_and(|trouble| trouble.holds(self.common.clock.now()));
        let because = if held { "BackOff" } else { kept.plan.reason.word() }.to_owned();
        Explained {
            shown: self.show(kept),
            message: kept.plan.message.clone(),
            fix: kept.plan.fix.clone(),
            hurts: kept.plan.hurts,
            steps: N::steps(&self.view(kept)),
            history: record.history.iter().rev().map(to_second).collect(),
            next: kept.plan.next.map(|at| ExplainedNext { at: at.to_second(), because }),
        }
    }

    fn show(&self, kept: &Kept<N>) -> Shown {
        let view = self.view(kept);
        let common = report::common(&view);
        Shown {
            wanted: kept.wanted.clone(),
            environment: kept.seen.record.environment.clone(),
            generation: kept.seen.record.generation,
            revision: kept.stored.as_ref().map_or(0, |stored| stored.version.0),
            said: kept.seen.record.said.clone(),
            status: N::status(&view, common.clone()),
            common,
            next: kept.plan.next,
            line: kept.plan.line,
        }
    }

    fn view<'a>(&self, kept: &'a Kept<N>) -> Viewed<'a, N> {
        let wanted = kept.wanted.as_deref();
        let spec = wanted.and_then(|wanted| N::spec(&wanted.spec));
        Viewed { spec, wanted, seen: &kept.seen, plan: &kept.plan, now: self.common.clock.now() }
    }

    /// What an ask would lead to, without doing or writing anything.
    pub fn rehearse(&self, name: &ObjectName, ask: Ask) -> Option<Rehearsed> {
        let mut kept = lock(&self.kept);
        let kept = kept.get_mut(name)?;
        let before = kept.seen.record.ask.replace(ask);
        let plan = self.viewed(kept, |view| plan::plan(&view));
        kept.seen.record.ask = before;
        let plan = plan?;
        let effects = if let Step::Act(effect) = &plan.step { vec![effect.clone()] } else { Vec::new() };
        let then = effects.last().map_or_else(Vec::new, N::follow);
        let rests = effects.is_empty().then(|| (plan.reason, plan.message.clone()));
        let revision = kept.stored.as_ref().map_or(0, |stored| stored.version.0);
        Some(Rehearsed { effects, then, generation: kept.seen.record.generation, revision, rests })
    }

    /// How many subjects are known.
    pub fn count(&self) -> usize {
        lock(&self.kept).len()
    }

    /// The kind.
    pub const fn kind(&self) -> Kind {
        N::KIND
    }
}

/// How long a budget is shut when the far side did not say.
const PAUSE: Span = Span::minutes(1);

/// As every instant is told.
fn to_second(entry: &HistoryEntry) -> HistoryEntry {
    HistoryEntry { at: entry.at.to_second(), ..entry.clone() }
}

/// FNV-1a: the same in every build, good enough to see a change.
fn digest(body: &str) -> u64 {
    body.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

fn pays(step: &Step) -> &'static [Class] {
    match step {
        Step::Act(effect) => effect.terms().pays,
        Step::Look(query) => query.pays(),
        Step::Recall(intent) => match &intent.effect {
            Effect::Edge(_) => &[Class::EdgeCalls],
            Effect::Kms(_) => &[Class::KmsReads],
            Effect::Acme(_) | Effect::Outlet(_) | Effect::Vault(_) => &[],
        },
        Step::Rest => &[],
    }
}

/// A record that cannot be read is left where it is: nothing is made anew over it.
fn read<M: serde::de::DeserializeOwned>(name: &ObjectName, body: &str) -> Result<Record<M>, Failure> {
    serde_json::from_str(body).map_err(|error| {
        Failure::new(Reason::StoreFailed, format!("the record of {name} cannot be read: {error}"))
            .retry(Retry::Never)
            .fix("restore the state folder from a backup, or start this release's predecessor again")
    })
}
