//! The one pass: plan, admit, commit, step, hear; again until the plan rests.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use claviger_config::{
    EnvironmentName, Moment, ObjectName, Reason, Span,
    desired::{Spec, Wanted},
};

use super::{
    board::Wakes,
    kept::{Kept, Stored, digest, essence, is_brief, of_the_past},
    lock,
    resting::Resting,
    world::Scene,
};
pub use super::{
    common::{Common, Listener, Told},
    sight::{Explained, Rehearsed, Shown},
};
use crate::{
    domain::{
        decide,
        effect::Effect,
        failure::{Done, Failure, Retry, Stops},
        neighbours::Neighbours,
        noun::{Noun, OutOfTurn, Ready, View, Viewed},
        plan::{Plan, Step},
        record::Ask,
    },
    ports::{Commit, Shows, Version},
    report,
};

/// Looks after all subjects of one kind. The agenda lends each name to one pass at a time.
pub struct Keeper<N: Noun> {
    pub(super) common: Arc<Common>,
    pub(super) kept: Mutex<Resting<N>>,
    /// How subjects were when they went out on the pass that they are on. Locked after `kept`, if both are.
    pub(super) out: Mutex<BTreeMap<ObjectName, Arc<Kept<N>>>>,
    /// Asks that were stored while their subject was out on a pass.
    pub(super) asked: Mutex<BTreeMap<ObjectName, (Ask, Version)>>,
    /// Whom a pass that came to no end has yet to wake.
    owed: Mutex<BTreeMap<ObjectName, Vec<Wakes>>>,
    /// Who must look again: somebody changed something outside.
    pub(super) doubted: Mutex<BTreeSet<ObjectName>>,
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
pub(super) const REPEATS: usize = 3;

impl<N: Noun> Keeper<N> {
    /// A keeper that knows nothing yet.
    pub fn new(common: Arc<Common>) -> Self {
        Self {
            common,
            kept: Mutex::default(),
            out: Mutex::default(),
            asked: Mutex::default(),
            owed: Mutex::default(),
            doubted: Mutex::default(),
        }
    }

    /// Brings one subject on until it rests.
    ///
    /// # Errors
    /// When the store fails, or claviger has a fault.
    pub async fn pass(&self, name: &ObjectName) -> Result<Rested, PassError> {
        let mut wakes = lock(&self.owed).remove(name).unwrap_or_default();
        match self.run(name, &mut wakes).await {
            Ok(plan) => {
                if lock(&self.kept).get(name).is_some() {
                    lock(&self.out).remove(name);
                }
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
        let mut kept = match self.take(name).await {
            Err(PassError::Store(failure)) if failure.retry == Retry::Never => {
                return Ok(self.unreadable(name, failure));
            }
            taken => taken?,
        };
        if lock(&self.doubted).remove(name) {
            N::doubt(&mut kept.seen);
        }
        let wanted = self.common.source.wanted(name);
        let spec = wanted.as_ref().and_then(|wanted| Some((N::spec(&wanted.spec)?, wanted)));
        let Some((spec, wanted)) = spec else { return self.unwanted(name, kept).await };
        if self.common.world.term() > 0 && kept.speaks_of_later(wanted.generation) {
            return Err(PassError::Store(of_the_past(name, self.common.clock.now())));
        }
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
            let (plan, ready) = (self.admit(at, decide::plan(&view), now), N::ready(&view));
            let claims = N::claims(&view);
            let share = N::share(&view);
            self.note(name, &mut kept, wanted, &plan, ready, now);
            if let Err(failure) = self.write(name, &mut kept, &plan, &claims, now).await {
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
        kept.soil();
        self.put_back(name, kept);
        Err(PassError::Restless)
    }

    /// Keeps it for the next pass, unless something newer was stored meanwhile.
    pub(super) fn put_back(&self, name: &ObjectName, kept: Box<Kept<N>>) {
        lock(&self.kept).put(name, kept);
    }

    async fn step(
        &self,
        name: &ObjectName,
        wanted: &Wanted,
        neighbours: &Neighbours,
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
            // A store that says when to come back is away: what was just heard outside is not thrown away over that. Otherwise
            // somebody else wrote: forget, and read what is there.
            if matches!(failure.retry, Retry::At(_)) {
                kept.soil();
                self.put_back(name, kept);
            }
            return Err(PassError::Store(failure));
        }
        kept.seen.record.intent = kept.stored.as_ref().and_then(|stored| stored.intent.clone()); // nothing was begun
        let plan = Plan::rest(Some(now + Span::minutes(10)), failure.reason).saying(failure.message);
        let plan = Plan { fix: failure.fix, ..plan };
        kept.soil();
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
            self.commit(name, &mut kept, &plan, &[], now).await.map_err(PassError::Store)?;
            if kept.stored.as_ref().is_some_and(|stored| stored.version == Version::NOTHING) {
                lock(&self.out).remove(name);
                return Ok(plan);
            }
            plan
        };
        kept.plan = plan.clone();
        self.put_back(name, kept);
        Ok(plan)
    }

    fn note(&self, name: &ObjectName, kept: &mut Kept<N>, wanted: &Wanted, plan: &Plan, ready: Ready, at: Moment) {
        let before = kept.stored.is_some().then(|| kept.seen.record.said.clone());
        kept.seen.note(wanted, plan, ready, at);
        if let (Step::Act(_), Some(intent)) = (&plan.step, &mut kept.seen.record.intent) {
            intent.term = self.common.world.term();
        }
        let environment = wanted.environment.as_ref().map(|at| &at.name);
        let now = &kept.seen.record.said;
        let hostname = match &*wanted.spec {
            Spec::CustomHostname(spec) => Some(&spec.hostname),
            _ => None,
        };
        self.common.listener.hear(Told { name, environment, hostname, plan, before: before.as_ref(), now, at });
    }

    /// Commits; once more if it was an ask that came in between, so that nothing which was just heard is lost over it.
    async fn write(
        &self,
        name: &ObjectName,
        kept: &mut Kept<N>,
        plan: &Plan,
        claims: &[(&'static str, String)],
        now: Moment,
    ) -> Result<(), Failure> {
        match self.commit(name, kept, plan, claims, now).await {
            Err(failure) if failure.done == Done::No && self.take_in(name, kept) => {
                self.commit(name, kept, plan, claims, now).await
            }
            written => written,
        }
    }

    /// Writes when the intent changes, before anything is done with what is newly claimed, and at rest when anything changed. All
    /// else rides along or is done again after a crash. Where several processes could act, the first thing that is done waits for a
    /// write too: it is refused when what was read is long past.
    pub(super) async fn commit(
        &self,
        name: &ObjectName,
        kept: &mut Kept<N>,
        plan: &Plan,
        claims: &[(&'static str, String)],
        now: Moment,
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
        let proves =
            self.common.world.term() > 0 && matches!(plan.step, Step::Act(_)) && old.is_some_and(|old| !old.ours);
        if !proves && (!due || self.is_as_it_was(name, kept)) {
            return Ok(());
        }
        let essence = essence(record);
        if is_brief(plan, &record.said, now) && old.is_some_and(|old| old.essence == essence) {
            kept.soil(); // said again soon, or written then
            return Ok(());
        }
        let body = serde_json::to_string(record).map_err(|error| {
            Failure::new(Reason::StoreFailed, format!("a record could not be written as JSON: {error}"))
        })?;
        let digest = Some(digest(&body));
        if !proves && old.is_some_and(|old| old.digest == digest) {
            kept.stored.iter_mut().for_each(|old| old.claims.clone_from(&claimed));
            return Ok(());
        }
        let (expected, environment) = (old.map(|old| old.version), record.environment.as_ref());
        let (status, thought) = (|| self.status(kept, plan, now), || self.thought_of(kept, plan));
        let (status, thought) = (Shows(&status), Shows(&thought));
        let commit = Commit { name, environment, body: &body, expected, claims, status, thought };
        let version = self.common.world.commit(commit).await?;
        kept.stored =
            Some(Stored { intent: record.intent.clone(), digest, essence, version, claims: claimed, ours: true });
        Ok(())
    }

    fn status(&self, kept: &Kept<N>, plan: &Plan, now: Moment) -> serde_json::Value {
        let wanted = kept.wanted.as_deref();
        let spec = wanted.and_then(|wanted| N::spec(&wanted.spec));
        let view = Viewed { spec, wanted, seen: &kept.seen, plan, now };
        N::status(&view, report::common(&view))
    }

    fn thought_of(&self, kept: &Kept<N>, plan: &Plan) -> serde_json::Value {
        serde_json::to_value(self.think(kept, plan)).unwrap_or_default()
    }

    /// Most passes look and find nothing new: that is seen without writing the record as JSON.
    fn is_as_it_was(&self, name: &ObjectName, kept: &Kept<N>) -> bool {
        let out = lock(&self.out);
        let before = out.get(name).filter(|before| before.clean().is_some() && before.clean() == kept.clean());
        before.is_some_and(|before| before.seen.record == kept.seen.record)
    }

    /// What does not fit now rests in that budget's line, before anything is written or asked.
    fn admit(&self, at: Option<&EnvironmentName>, plan: Plan, now: Moment) -> Plan {
        let (pays, Some(at)) = (plan.step.pays(), at) else { return plan };
        let mut budgets = lock(&self.common.budgets);
        let Err(class) = budgets.take(at, pays, now) else { return plan };
        let opens = budgets.opens(at, class, now);
        let text = format!("the budget `{}` opens again at {}", class.word(), opens.to_second());
        Plan { line: Some(class), hurts: plan.hurts, ..Plan::rest(Some(opens), Reason::BudgetSpent).saying(text) }
    }
}

/// How long a budget is shut when the far side did not say.
const PAUSE: Span = Span::minutes(1);
