//! The agenda on tokio: lends names to passes, sleeps until the next instant, and never longer than a minute, because timers
//! stand still while a machine is suspended.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use claviger_config::{EnvironmentName, Kind, Moment, ObjectName, Reason, Span};
use claviger_core::{
    domain::{budget::Class, failure::Retry, plan::Plan},
    ports::Source,
    reconcile::{
        agenda::{Agenda, Depth, Lane, Next, Ticket},
        board::Wakes,
        pass::PassError,
    },
};
use futures::FutureExt as _;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{adapters::clock::Pace, fleet::Fleet, sight::metrics::Metrics, source::Documents};

/// How many passes run at once: they wait for the outside most of the time.
const PASSES: usize = 64;
/// The longest sleep.
const TICK: Duration = Duration::from_secs(60);
/// After a pass that the store did not let through.
const STORE_AGAIN: Span = Span::seconds(10);

/// When the turn of a subject that waits for a budget is expected to come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Forecast {
    /// The budget.
    pub class: Class,
    /// How many stand before it in line.
    pub before: usize,
    /// When its turn comes, as long as nobody more urgent comes along.
    pub at: Moment,
}

impl std::fmt::Display for Forecast {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (class, at) = (self.class.word(), self.at.to_second());
        write!(f, "it waits for the budget `{class}`, {} before it in line; its turn is expected at {at}", self.before)
    }
}

/// Drives the fleet.
pub struct Driver {
    agenda: Mutex<Agenda>,
    clock: Arc<dyn Pace>,
    documents: Arc<Documents>,
    fleet: Arc<Fleet>,
    heartbeat: AtomicI64,
    /// Whether it has begun: a replica that is not at work stands still, and that is well.
    begun: AtomicBool,
    metrics: Arc<Metrics>,
    places: Arc<Semaphore>,
    seen: Mutex<BTreeSet<ObjectName>>,
    stop: CancellationToken,
    /// Whose pass the store did not let through: what it said, and how many writes it had taken until then.
    store_trouble: Mutex<BTreeMap<ObjectName, (String, u64)>>,
    tasks: TaskTracker,
    /// What it waits for before it can begin.
    waits: Mutex<Option<String>>,
    wake: Notify,
}

impl Driver {
    /// A driver with an empty agenda.
    pub fn new(fleet: Arc<Fleet>, documents: Arc<Documents>, clock: Arc<dyn Pace>, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            agenda: Mutex::default(),
            heartbeat: AtomicI64::new(clock.now().0),
            begun: AtomicBool::new(false),
            clock,
            documents,
            fleet,
            metrics,
            places: Arc::new(Semaphore::new(PASSES)),
            seen: Mutex::default(),
            stop: CancellationToken::new(),
            store_trouble: Mutex::default(),
            tasks: TaskTracker::new(),
            waits: Mutex::default(),
            wake: Notify::new(),
        })
    }

    /// Runs until it is stopped; then waits for the passes that are out.
    pub async fn run(self: &Arc<Self>) {
        self.heartbeat.store(self.clock.now().0, Ordering::Relaxed);
        self.begun.store(true, Ordering::Relaxed);
        while !self.stop.is_cancelled() {
            let place = tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                place = Arc::clone(&self.places).acquire_owned() => place,
            };
            let Ok(place) = place else { break };
            self.heartbeat.store(self.clock.now().0, Ordering::Relaxed);
            match self.next() {
                Next::Run(name) => self.lend(name, place),
                Next::Idle(until) => {
                    drop(place);
                    self.rest(until).await;
                }
            }
        }
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn next(&self) -> Next {
        let now = self.clock.now();
        let budgets = self.fleet.common().budgets.lock().unwrap_or_else(PoisonError::into_inner);
        self.agenda().next(&budgets, now)
    }

    async fn rest(&self, until: Option<Moment>) {
        let wait = until.map_or(TICK, |until| self.clock.real_wait(until, TICK));
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = self.wake.notified() => {}
            () = self.stop.cancelled() => {}
        }
    }

    fn lend(self: &Arc<Self>, name: ObjectName, place: OwnedSemaphorePermit) {
        let driver = Arc::clone(self);
        self.tasks.spawn(async move {
            driver.pass(name).await;
            drop(place);
            driver.wake.notify_one();
        });
    }

    async fn pass(&self, name: ObjectName) {
        let now = || self.clock.now();
        // A fault in one pass must not keep its subject out for ever: the next pass begins with what is stored.
        let passed = AssertUnwindSafe(self.fleet.pass(&name)).catch_unwind().await.unwrap_or(Err(PassError::Restless));
        self.metrics.pass(name.kind.word(), passed.is_ok());
        let (plan, wakes) = match passed {
            Ok(rested) => {
                lock(&self.store_trouble).remove(&name);
                (rested.plan, rested.wakes)
            }
            Err(error) => (self.failed(&name, error), Vec::new()),
        };
        lock(&self.seen).insert(name.clone());
        let environment = self.environment(&name);
        let ticket = Ticket { lane: lane(&name, &plan), hurts: plan.hurts.unwrap_or(Moment::MAX), environment };
        self.agenda().done(name.clone(), &plan, ticket, now());
        for wakes in wakes {
            self.wake_neighbours(&name, wakes);
        }
    }

    fn failed(&self, name: &ObjectName, error: PassError) -> Plan {
        let (wait, text) = match error {
            // One damaged record is that subject's trouble alone.
            PassError::Store(failure) if failure.retry == Retry::Never => (Span::minutes(10), failure.message),
            PassError::Store(failure) => {
                let said = (failure.message.clone(), self.metrics.committed());
                lock(&self.store_trouble).insert(name.clone(), said);
                (STORE_AGAIN, failure.message)
            }
            PassError::Bug(out_of_turn) => (Span::minutes(10), out_of_turn.to_string()),
            PassError::Restless => (
                Span::minutes(10),
                "a fault in claviger: its pass does not come to an end; please report it".to_owned(),
            ),
        };
        tracing::error!(object = %name, reason = Reason::StoreFailed.word(), "{text}");
        Plan::rest(Some(self.clock.now() + wait), Reason::StoreFailed).saying(text)
    }

    fn wake_neighbours(&self, from: &ObjectName, wakes: Wakes) {
        let Some(environment) = self.environment(from) else { return };
        let mut woken = Vec::new();
        self.documents.each(|name, wanted| {
            let near = wanted.environment.as_ref().is_some_and(|at| at.name == environment);
            if near && wakes.wakes(name.kind) && name != from {
                woken.push(name.clone());
            }
        });
        woken.into_iter().for_each(|name| self.put(name));
    }

    /// Puts a subject on the agenda now.
    pub fn put(&self, name: ObjectName) {
        self.put_at(name, self.clock.now());
    }

    /// Puts a subject on the agenda for when a neighbour wakes it, or for that long from now.
    pub fn put_within(&self, name: ObjectName, wait: Span) {
        self.put_at(name, self.clock.now() + wait);
    }

    fn put_at(&self, name: ObjectName, at: Moment) {
        let environment = self.environment(&name);
        let lane = if matches!(name.kind, Kind::Environment | Kind::KmsKey) { Lane::Floor } else { Lane::Asked };
        self.agenda().put(name, at, Ticket { lane, hurts: Moment::MAX, environment });
        self.wake.notify_one();
    }

    fn environment(&self, name: &ObjectName) -> Option<EnvironmentName> {
        self.documents.wanted(name)?.environment.as_ref().map(|at| at.name.clone())
    }

    /// Asks it to stop after the passes that are out.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// When the turn of a subject comes, if it waits for a budget.
    pub fn forecast(&self, name: &ObjectName) -> Option<Forecast> {
        self.foresee(|agenda, foresee| {
            let (environment, class, before) = agenda.place(name)?;
            foresee(environment?, class, before)
        })
    }

    /// The same for everybody who waits for a budget.
    pub fn forecasts(&self) -> BTreeMap<ObjectName, Forecast> {
        self.foresee(|agenda, foresee| {
            let one = |(name, environment, class, before): (&ObjectName, Option<&EnvironmentName>, Class, usize)| {
                Some((name.clone(), foresee(environment?, class, before)?))
            };
            agenda.places().filter_map(one).collect()
        })
    }

    /// Budgets are locked before the agenda, as wherever both are.
    fn foresee<T>(
        &self,
        with: impl FnOnce(&Agenda, &dyn Fn(&EnvironmentName, Class, usize) -> Option<Forecast>) -> T,
    ) -> T {
        let now = self.clock.now();
        let budgets = self.fleet.common().budgets.lock().unwrap_or_else(PoisonError::into_inner);
        let foresee = |at: &EnvironmentName, class, before: usize| {
            let tokens = i64::try_from(before).ok()?.checked_add(1)?;
            Some(Forecast { class, before, at: budgets.forecast(at, class, tokens, now) })
        };
        with(&self.agenda(), &foresee)
    }

    /// How many stand in the line of each budget.
    pub fn lines(&self) -> Vec<(EnvironmentName, Class, usize)> {
        let agenda = self.agenda();
        agenda.lines().filter_map(|(environment, class, count)| Some((environment?.clone(), class, count))).collect()
    }

    /// How full the agenda is.
    pub fn depth(&self) -> Depth {
        self.agenda().depth()
    }

    /// Whether every subject of the documents has been looked at since the start.
    pub fn complete(&self) -> bool {
        let seen = lock(&self.seen);
        let mut complete = true;
        self.documents.each(|name, _| complete &= seen.contains(name));
        complete
    }

    /// Whether it has begun.
    pub fn works(&self) -> bool {
        self.begun.load(Ordering::Relaxed)
    }

    /// Why the work cannot begin, although it should; `None` when nothing stands in its way.
    pub fn waits(&self, why: Option<String>) {
        *lock(&self.waits) = why;
    }

    /// Why it does not work: the scheduler stands still, or the store takes nothing.
    pub fn trouble(&self) -> Option<String> {
        // A pass that had nothing to write says nothing about the store.
        let taken = self.metrics.committed();
        if let Some((text, _)) = lock(&self.store_trouble).values().find(|(_, before)| *before == taken) {
            return Some(format!("the store does not work: {text}"));
        }
        if !self.begun.load(Ordering::Relaxed) {
            return lock(&self.waits).as_ref().map(|why| format!("the work cannot begin: {why}"));
        }
        let beat = Moment(self.heartbeat.load(Ordering::Relaxed));
        let still = self.clock.real_since(beat);
        (still > TICK * 3).then(|| format!("the scheduler has stood still for {} s", still.as_secs()))
    }

    fn agenda(&self) -> MutexGuard<'_, Agenda> {
        lock(&self.agenda)
    }
}

fn lane(name: &ObjectName, plan: &Plan) -> Lane {
    match (name.kind, plan.reason) {
        (Kind::Environment | Kind::KmsKey, _) => Lane::Floor,
        (_, Reason::Requested) => Lane::Asked,
        (Kind::TlsCertificate, _) if plan.hurts.is_some() => Lane::Renewal,
        (_, Reason::Issued | Reason::Active | Reason::Released) => Lane::Scan,
        _ => Lane::Onboarding,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
