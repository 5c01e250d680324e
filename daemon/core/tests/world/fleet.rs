//! Keepers and agenda, driven by hand: no runtime, virtual time. A crash drops all memory, and the next life begins with what the
//! store and the world still have.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, atomic::Ordering::Relaxed},
    task::{Context, Poll, Waker},
};

use claviger_config::{Kind, Moment, ObjectName, Reason, Span, condition::ConditionStatus};
use claviger_core::{
    domain::{
        actor::Actor, certificate::Certificate, environment::Environment, hostname::Hostname, key::Key, plan::Plan,
        record::Ask,
    },
    ports::Source,
    reconcile::{
        agenda::{Agenda, Lane, Next, Ticket},
        board::Wakes,
        pass::{Common, Keeper, Listener, PassError, Rested, Shown, Told},
    },
};

use crate::{documents::Documents, sim::Sim};

/// How many passes are out at once.
const PASSES: usize = 64;

/// The daemon, less its runtime.
pub(crate) struct Fleet {
    pub(crate) sim: Arc<Sim>,
    pub(crate) documents: Arc<Documents>,
    pub(crate) passes: u64,
    pub(crate) crashes: u64,
    keepers: Arc<Keepers>,
    agenda: Agenda,
    flying: BTreeMap<(Moment, u64), (ObjectName, Job)>,
    serial: u64,
}

type Job = Pin<Box<dyn Future<Output = Result<Rested, PassError>> + Send>>;

struct Keepers {
    common: Arc<Common>,
    certificates: Keeper<Certificate>,
    environments: Keeper<Environment>,
    hostnames: Keeper<Hostname>,
    keys: Keeper<Key>,
}

struct Nobody;

impl Listener for Nobody {
    fn hear(&self, _: Told<'_>) {}
}

impl Keepers {
    fn new(sim: &Arc<Sim>, documents: &Arc<Documents>) -> Arc<Self> {
        let (world, clock, source) = (Arc::clone(sim), Arc::clone(sim), Arc::clone(documents));
        let (budgets, board) = (Mutex::default(), Mutex::default());
        let common = Arc::new(Common { world, source, clock, budgets, board, listener: Arc::new(Nobody) });
        Arc::new(Self {
            certificates: Keeper::new(Arc::clone(&common)),
            environments: Keeper::new(Arc::clone(&common)),
            hostnames: Keeper::new(Arc::clone(&common)),
            keys: Keeper::new(Arc::clone(&common)),
            common,
        })
    }

    async fn pass(&self, name: &ObjectName) -> Result<Rested, PassError> {
        match name.kind {
            Kind::CustomHostname => self.hostnames.pass(name).await,
            Kind::Environment => self.environments.pass(name).await,
            Kind::KmsKey => self.keys.pass(name).await,
            Kind::TlsCertificate => self.certificates.pass(name).await,
            Kind::Authority => panic!("there are none yet"),
        }
    }

    async fn ask(&self, name: &ObjectName, ask: Ask) -> Result<(), PassError> {
        match name.kind {
            Kind::TlsCertificate => self.certificates.ask(name, ask).await,
            Kind::KmsKey => self.keys.ask(name, ask).await,
            _ => panic!("nobody asks that here"),
        }
    }

    fn shown(&self, name: &ObjectName) -> Option<Shown> {
        match name.kind {
            Kind::CustomHostname => self.hostnames.shown(name),
            Kind::Environment => self.environments.shown(name),
            Kind::KmsKey => self.keys.shown(name),
            Kind::TlsCertificate => self.certificates.shown(name),
            Kind::Authority => None,
        }
    }
}

impl Fleet {
    /// Begins: everything that is wanted or remembered goes on the agenda.
    pub(crate) fn new(sim: Arc<Sim>, documents: Arc<Documents>) -> Self {
        let keepers = Keepers::new(&sim, &documents);
        let (agenda, flying) = (Agenda::default(), BTreeMap::new());
        let mut fleet = Self { sim, documents, passes: 0, crashes: 0, keepers, agenda, flying, serial: 0 };
        fleet.begin();
        fleet
    }

    fn begin(&mut self) {
        let mut names = self.documents.names();
        names.extend(self.sim.model().store.keys().cloned());
        names.sort();
        names.dedup();
        names.into_iter().for_each(|name| self.put(name));
    }

    pub(crate) fn put(&mut self, name: ObjectName) {
        let lane = if matches!(name.kind, Kind::Environment | Kind::KmsKey) { Lane::Floor } else { Lane::Asked };
        let ticket = Ticket { lane, ..self.ticket(&name, None) };
        self.agenda.put(name, self.sim.time(), ticket);
    }

    fn ticket(&self, name: &ObjectName, plan: Option<&Plan>) -> Ticket {
        let wanted = self.documents.wanted(name);
        let environment = wanted.and_then(|wanted| wanted.environment.as_ref().map(|at| at.name.clone()));
        let hurts = plan.and_then(|plan| plan.hurts);
        let lane = match name.kind {
            Kind::Environment | Kind::KmsKey => Lane::Floor,
            _ if hurts.is_some() => Lane::Renewal,
            _ => Lane::Onboarding,
        };
        Ticket { lane, hurts: hurts.unwrap_or(Moment::MAX), environment }
    }

    /// All memory is gone; the next life begins a second later.
    pub(crate) fn crash(&mut self) {
        self.crashes += 1;
        self.restart();
    }

    pub(crate) fn restart(&mut self) {
        self.flying.clear();
        self.agenda = Agenda::default();
        self.keepers = Keepers::new(&self.sim, &self.documents);
        self.sim.go_to(self.sim.time() + Span::seconds(1));
        self.begin();
    }

    pub(crate) fn run_for(&mut self, span: Span) {
        self.run_until(self.sim.time() + span);
    }

    pub(crate) fn run_until(&mut self, end: Moment) {
        while self.sim.time() < end {
            let now = self.sim.time();
            let landed = self.flying.first_key_value().is_some_and(|((at, _), _)| *at <= now);
            if landed && let Some((_, (name, job))) = self.flying.pop_first() {
                self.poll(name, job);
                continue;
            }
            let next = if self.flying.len() < PASSES { self.next() } else { Next::Idle(None) };
            match next {
                Next::Run(name) => {
                    self.passes += 1;
                    let (keepers, out) = (Arc::clone(&self.keepers), name.clone());
                    self.poll(name, Box::pin(async move { keepers.pass(&out).await }));
                }
                Next::Idle(at) => {
                    let lands = self.flying.first_key_value().map(|((at, _), _)| *at);
                    let next = [at, lands].into_iter().flatten().min().unwrap_or(end);
                    assert!(next > now, "it is idle until later");
                    self.sim.go_to(next.min(end));
                }
            }
        }
    }

    fn next(&mut self) -> Next {
        self.agenda.next(&self.keepers.common.budgets.lock().unwrap(), self.sim.time())
    }

    fn poll(&mut self, name: ObjectName, mut job: Job) {
        let now = self.sim.time();
        match job.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(rested)) => {
                let ticket = self.ticket(&name, Some(&rested.plan));
                self.agenda.done(name.clone(), &rested.plan, ticket, now);
                rested.wakes.into_iter().for_each(|wakes| self.wake(&name, wakes));
            }
            Poll::Ready(Err(PassError::Store(_))) => {
                let plan = Plan::rest(Some(now + Span::seconds(10)), Reason::StoreFailed);
                self.agenda.done(name.clone(), &plan, self.ticket(&name, None), now);
            }
            Poll::Ready(Err(fault)) => panic!("{name}: {fault:?}"),
            Poll::Pending if self.sim.crashed.swap(false, Relaxed) => self.crash(),
            Poll::Pending => {
                self.serial += 1;
                let takes = Span(20 + (self.serial.wrapping_mul(0x9E37_79B9) >> 7).cast_signed() % 480);
                self.flying.insert((now + takes, self.serial), (name, job));
            }
        }
    }

    fn wake(&mut self, from: &ObjectName, wakes: Wakes) {
        let environment = self.ticket(from, None).environment;
        for name in self.documents.names() {
            let near = self.ticket(&name, None).environment == environment;
            if near && wakes.wakes(name.kind) && name != *from {
                self.put(name);
            }
        }
    }

    /// A person asks, whatever else is under way.
    pub(crate) fn ask(&mut self, name: &ObjectName) {
        let (actor, reason) = (Actor::system(), "because".to_owned());
        let ask = Ask { actor, reason, ticket: None, at: self.sim.time(), fresh: true };
        let keepers = Arc::clone(&self.keepers);
        let mut asking = Box::pin(async move { keepers.ask(name, ask).await });
        loop {
            match asking.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(asked) => break asked.expect("the ask is stored"),
                Poll::Pending => {} // the call takes a while, and here nobody else goes on meanwhile
            }
        }
        self.put(name.clone());
    }

    pub(crate) fn shown(&self, name: &ObjectName) -> Shown {
        self.keepers.shown(name).expect("it is known")
    }

    pub(crate) fn reason(&self, name: &ObjectName) -> Reason {
        self.shown(name).said.reason
    }

    pub(crate) fn is_ready(&self, name: &ObjectName) -> bool {
        self.shown(name).said.ready.status == ConditionStatus::True
    }

    /// Those that are not as they should be, and why.
    pub(crate) fn unready(&self) -> Vec<String> {
        let bad = |name: &ObjectName| {
            let said = self.shown(name).said;
            let fine = said.ready.status == ConditionStatus::True && said.on_schedule.status == ConditionStatus::True;
            (!fine).then(|| format!("{name}: {} {:?}", said.reason, said.ready))
        };
        self.documents.names().iter().filter_map(bad).collect()
    }

    /// How full the agenda is: what waits, is due, stands in line and is out.
    pub(crate) fn subjects_on_agenda(&self) -> usize {
        let depth = self.agenda.depth();
        depth.waiting + depth.ready + depth.in_line + depth.running
    }
}
