//! The driver, with an outside that panics, fails and keeps passes waiting as a test says.

use claviger_config::{
    judge::{Incumbents, SettingsFacts},
    settle::FileRead,
};
use claviger_core::{
    domain::{
        effect::{Effect, News, Query},
        failure::Failure,
        record::Intent,
    },
    ports::{Answer, Clock, Commit, Version},
    reconcile::{
        pass::{Common, Listener, Told},
        world::{Scene, World},
    },
};

use super::*;

/// A clock that stands still until it is moved.
struct Dial(AtomicI64);

impl Clock for Dial {
    fn now(&self) -> Moment {
        Moment(self.0.load(Ordering::Relaxed))
    }

    fn draw(&self) -> u64 {
        7
    }
}

impl Pace for Dial {
    fn real_wait(&self, _: Moment, _: Duration) -> Duration {
        Duration::from_millis(1)
    }

    fn real_since(&self, _: Moment) -> Duration {
        Duration::ZERO
    }
}

/// What becomes of the next pass when it asks for its record.
enum Load {
    Fails(Failure),
    Panics,
    Works,
}

struct Outside {
    load: Mutex<Load>,
    passes: AtomicI64,
    /// A pass waits for one of these.
    leave: Semaphore,
}

impl World for Outside {
    fn load<'a>(&'a self, name: &'a ObjectName) -> Answer<'a, Option<(String, Version)>> {
        Box::pin(async {
            // A key wakes its environment: those passes are not counted.
            self.passes.fetch_add(i64::from(name.kind == Kind::KmsKey), Ordering::SeqCst);
            drop(self.leave.acquire().await);
            match &*lock(&self.load) {
                Load::Fails(failure) => Err(failure.clone()),
                Load::Panics => panic!("a fault in a pass"),
                Load::Works => Ok(None),
            }
        })
    }

    fn commit<'a>(&'a self, _: Commit<'a>) -> Answer<'a, Version> {
        Box::pin(async { Ok(Version(1)) })
    }

    fn look<'a>(&'a self, _: Scene<'a>, _: &'a Query) -> Answer<'a, News> {
        Box::pin(async { Err(Failure::new(Reason::KmsUnreachable, "nobody answers").retry(Retry::Never)) })
    }

    fn perform<'a>(&'a self, _: Scene<'a>, _: &'a Effect) -> Answer<'a, News> {
        Box::pin(async { Err(Failure::new(Reason::KmsUnreachable, "nobody answers").retry(Retry::Never)) })
    }

    fn recall<'a>(&'a self, _: Scene<'a>, _: &'a Intent) -> Answer<'a, Option<News>> {
        Box::pin(async { Ok(None) })
    }
}

struct Deaf;

impl Listener for Deaf {
    fn hear(&self, _: Told<'_>) {}
}

struct Given {
    clock: Arc<Dial>,
    driver: Arc<Driver>,
    outside: Arc<Outside>,
    running: tokio::task::JoinHandle<()>,
}

fn given(load: Load) -> Given {
    let clock = Arc::new(Dial(AtomicI64::new(1_795_000_000_000)));
    let leave = Semaphore::new(Semaphore::MAX_PERMITS);
    let outside = Arc::new(Outside { load: Mutex::new(load), passes: AtomicI64::new(0), leave });
    let documents = Documents::new(SettingsFacts::default(), Incumbents::default());
    let file = FileRead { name: "fleet.yaml".to_owned(), content: Ok(DOCUMENTS.as_bytes().into()) };
    documents.put_in_force(documents.judge(&[file]));
    let documents = Arc::new(documents);
    let fleet = Arc::new(Fleet::new(Common {
        world: Arc::clone(&outside) as Arc<dyn World>,
        source: Arc::clone(&documents) as _,
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        budgets: Mutex::default(),
        board: Mutex::default(),
        listener: Arc::new(Deaf),
    }));
    let metrics = Arc::new(Metrics::new().unwrap());
    let driver = Driver::new(fleet, documents, Arc::clone(&clock) as Arc<dyn Pace>, metrics);
    let running = tokio::spawn({
        let driver = Arc::clone(&driver);
        async move { driver.run().await }
    });
    Given { clock, driver, outside, running }
}

fn key() -> ObjectName {
    ObjectName { kind: Kind::KmsKey, namespace: Some("staging".parse().unwrap()), name: "wrapping".parse().unwrap() }
}

impl Given {
    /// Waits until there were that many passes and none is out.
    async fn rests_after(&self, passes: i64) {
        let rested = || self.outside.passes.load(Ordering::SeqCst) >= passes && self.driver.depth().running == 0;
        self.until(rested).await;
        assert_eq!(self.outside.passes.load(Ordering::SeqCst), passes);
    }

    async fn until(&self, condition: impl Fn() -> bool) {
        let looking = async {
            while !condition() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), looking).await.unwrap();
    }

    fn passes(&self, span: Span) {
        self.clock.0.fetch_add(span.0, Ordering::Relaxed);
    }

    /// No pass comes back before it is let go.
    fn hold(&self) {
        self.outside.leave.forget_permits(Semaphore::MAX_PERMITS);
    }

    fn let_go(&self) {
        self.outside.leave.add_permits(Semaphore::MAX_PERMITS);
    }
}

#[tokio::test]
async fn a_pass_that_breaks_off_gives_its_subject_back_and_it_is_tried_again() {
    let given = given(Load::Panics);
    given.driver.put(key());
    given.rests_after(1).await;
    assert_eq!(given.driver.depth().waiting, 1);
    *lock(&given.outside.load) = Load::Works;
    given.passes(Span::minutes(10));
    given.rests_after(2).await;
}

#[tokio::test]
async fn a_subject_that_is_woken_during_its_pass_runs_once_more() {
    let given = given(Load::Fails(Failure::new(Reason::StoreFailed, "for good").retry(Retry::Never)));
    given.hold();
    given.driver.put(key());
    given.until(|| given.driver.depth().running == 1).await;
    given.driver.put(key());
    given.driver.put(key());
    given.let_go();
    given.rests_after(2).await;
}

#[tokio::test]
async fn a_stop_waits_for_the_pass_that_is_out_and_begins_no_other() {
    let given = given(Load::Works);
    given.hold();
    given.driver.put(key());
    given.until(|| given.outside.passes.load(Ordering::SeqCst) == 1).await;
    given.driver.stop();
    given.driver.put(ObjectName { name: "other".parse().unwrap(), ..key() });
    tokio::task::yield_now().await;
    assert!(!given.running.is_finished());
    given.let_go();
    tokio::time::timeout(Duration::from_secs(10), given.running).await.unwrap().unwrap();
    assert_eq!(given.outside.passes.load(Ordering::SeqCst), 1);
    assert_eq!(given.driver.depth().running, 0);
}

#[tokio::test]
async fn a_store_that_fails_is_told_until_it_works() {
    let given = given(Load::Fails(Failure::new(Reason::StoreFailed, "the disk is full")));
    given.driver.put(key());
    given.rests_after(1).await;
    assert_eq!(given.driver.trouble().as_deref(), Some("the store does not work: the disk is full"));
    *lock(&given.outside.load) = Load::Works;
    given.passes(STORE_AGAIN);
    given.rests_after(2).await;
    assert_eq!(given.driver.trouble(), None);
}

#[tokio::test]
async fn what_one_object_is_refused_is_no_trouble_of_the_store() {
    let given = given(Load::Fails(Failure::new(Reason::StoreFailed, "cannot be read").retry(Retry::Never)));
    given.driver.put(key());
    given.rests_after(1).await;
    assert_eq!(given.driver.trouble(), None);
}

#[tokio::test]
async fn a_key_wakes_its_environment_and_then_everything_was_looked_at() {
    let given = given(Load::Works);
    let environment = ObjectName { kind: Kind::Environment, namespace: None, name: "staging".parse().unwrap() };
    given.driver.put_within(environment, Span::minutes(5));
    assert!(!given.driver.complete());
    given.driver.put(key());
    given.until(|| given.driver.complete()).await;
}

const DOCUMENTS: &str = r#"
apiVersion: claviger.dev/v1alpha1
kind: Environment
metadata: { name: staging }
spec:
  class: non-production
  owner: itops@example.com
  kms: { accountId: "222222222222", region: eu-west-1, aliasPrefix: claviger/staging, wrappingKey: wrapping }
---
apiVersion: claviger.dev/v1alpha1
kind: KmsKey
metadata: { name: wrapping, namespace: staging }
spec: { purpose: wrap, rotation: { period: 365d } }
"#;
