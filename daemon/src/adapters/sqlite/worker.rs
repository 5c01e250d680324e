//! Two threads that own a connection each: one writes in groups, one answers questions.
//!
//! A write that has been queued is done, also when whoever waited for it has gone.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

use claviger_config::Reason;
use claviger_core::domain::failure::Failure;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    state::{State, StateError, system},
    trouble::{Trouble, Undone, is_full, lost_sync, sql_failure},
};

/// A thread with a connection and a queue.
pub(super) struct Worker {
    queue: Option<mpsc::Sender<Box<dyn Work>>>,
    thread: Option<JoinHandle<()>>,
    path: PathBuf,
}

/// What both threads and the store share.
pub(super) struct Shared {
    /// The database.
    pub(super) path: PathBuf,
    /// The folder; given up once both threads have ended.
    pub(super) state: State,
    /// Transactions that reached the disk.
    pub(super) transactions: AtomicU64,
    /// Why nothing is written any more.
    pub(super) broken: watch::Sender<Option<String>>,
}

/// One piece of work, with whoever waits for it.
trait Work: Send {
    /// Does it, and leaves behind its answer for the time when the changes are on the disk.
    fn run(self: Box<Self>, connection: &Connection) -> Done;
    /// Answers without doing it.
    fn refuse(self: Box<Self>, undone: Undone);
}

/// Work that was done, its answer still to be given.
struct Done {
    keep: bool,
    answer: Box<dyn FnOnce(Option<Undone>) + Send>,
}

struct Task<T, F> {
    work: F,
    waiting: oneshot::Sender<Result<T, Trouble>>,
}

impl<T: Send + 'static, F: FnOnce(&Connection) -> Result<T, Trouble> + Send> Work for Task<T, F> {
    fn run(self: Box<Self>, connection: &Connection) -> Done {
        let result = (self.work)(connection);
        let (keep, waiting) = (result.is_ok(), self.waiting);
        // Who waited may have gone meanwhile: then nobody is told.
        let answer = Box::new(move |lost: Option<Undone>| {
            let _ = waiting.send(lost.map_or(result, |undone| Err(undone.into())));
        });
        Done { keep, answer }
    }

    fn refuse(self: Box<Self>, undone: Undone) {
        let _ = self.waiting.send(Err(undone.into()));
    }
}

impl Worker {
    /// Starts the thread that writes.
    pub(super) fn writer(connection: Connection, shared: Arc<Shared>) -> Result<Self, StateError> {
        let path = shared.path.clone();
        Self::start("claviger-store", path, move |mut queue| {
            while let Some(batch) = next_batch(&mut queue) {
                write_batch(&connection, batch, &shared);
            }
        })
    }

    /// Starts the thread that answers questions.
    pub(super) fn reader(connection: Connection, path: PathBuf) -> Result<Self, StateError> {
        Self::start("claviger-reader", path, move |mut queue| {
            while let Some(work) = queue.blocking_recv() {
                (work.run(&connection).answer)(None);
            }
        })
    }

    /// Queues a piece of work and waits for its answer. `what` completes "cannot …".
    pub(super) async fn run<T: Send + 'static>(
        &self,
        what: &str,
        work: impl FnOnce(&Connection) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, Trouble> {
        let (waiting, answer) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or_else(|| self.ended(what))?;
        queue.send(Box::new(Task { work, waiting })).await.map_err(|_| self.ended(what))?;
        answer.await.map_err(|_| Trouble::from(self.ended(what).maybe_done()))?
    }

    fn start(
        name: &str,
        path: PathBuf,
        body: impl FnOnce(mpsc::Receiver<Box<dyn Work>>) + Send + 'static,
    ) -> Result<Self, StateError> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || body(receiver))
            .map_err(system("start the thread of the database", &path))?;
        Ok(Self { queue: Some(sender), thread: Some(thread), path })
    }

    fn ended(&self, what: &str) -> Failure {
        let path = self.path.display();
        Failure::new(Reason::StoreFailed, format!("cannot {what} in `{path}`: the thread of the database has ended"))
            .fix("start clavigerd again and report this: it is a fault of clavigerd")
    }
}

impl Drop for Worker {
    /// Lets the thread finish what is queued, so that the database is closed when the lock of its folder goes.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Waits for one piece of work and takes what came meanwhile.
fn next_batch(queue: &mut mpsc::Receiver<Box<dyn Work>>) -> Option<Vec<Box<dyn Work>>> {
    let mut batch = vec![queue.blocking_recv()?];
    while batch.len() < BATCH
        && let Ok(work) = queue.try_recv()
    {
        batch.push(work);
    }
    Some(batch)
}

/// One transaction for all; each answer after its end.
fn write_batch(connection: &Connection, batch: Vec<Box<dyn Work>>, shared: &Shared) {
    let mut lost = begin(connection, shared).err();
    let mut finished = Vec::with_capacity(batch.len());
    for work in batch {
        match &lost {
            None => finished.extend(in_savepoint(connection, work, &shared.path, &mut lost)),
            Some(undone) => work.refuse(undone.clone()),
        }
    }
    let end = lost.or_else(|| commit(connection, shared).err());
    for done in finished {
        (done.answer)(end.clone().filter(|_| done.keep));
    }
}

fn begin(connection: &Connection, shared: &Shared) -> Result<(), Undone> {
    if let Some(why) = shared.broken.borrow().as_ref() {
        let failure = Failure::new(Reason::StoreFailed, why.clone());
        return Err(Undone { failure: failure.fix("start clavigerd again once the disk is in order"), full: false });
    }
    connection.execute_batch("BEGIN IMMEDIATE").map_err(|cause| undone("begin a transaction", &shared.path, &cause))
}

/// Runs one piece of work so that its refusal undoes nothing but itself. SQLite ends the whole transaction on some errors (a full
/// disk): `lost` then says so for all.
fn in_savepoint(connection: &Connection, work: Box<dyn Work>, path: &Path, lost: &mut Option<Undone>) -> Option<Done> {
    if let Err(cause) = connection.execute_batch("SAVEPOINT work") {
        work.refuse(lost.insert(undone("begin a piece of work", path, &cause)).clone());
        return None;
    }
    let done = work.run(connection);
    let end = if done.keep { "RELEASE work" } else { "ROLLBACK TO work; RELEASE work" };
    if connection.is_autocommit() {
        let message =
            format!("the transaction in `{}` was undone by a failure that it shared with others", path.display());
        // A full disk is what ends a transaction from within; the work that met it says so itself.
        *lost = Some(Undone { failure: Failure::new(Reason::StoreFailed, message), full: true });
    } else if let Err(cause) = connection.execute_batch(end) {
        *lost = Some(undone("end a piece of work", path, &cause));
        let _ = connection.execute_batch("ROLLBACK");
    }
    Some(done)
}

fn commit(connection: &Connection, shared: &Shared) -> Result<(), Undone> {
    let Err(cause) = connection.execute_batch("COMMIT") else {
        let before = shared.transactions.fetch_add(1, Ordering::Relaxed);
        if before.is_multiple_of(REFILL_EVERY) {
            shared.state.refill_reserve();
        }
        return Ok(());
    };
    if !connection.is_autocommit() {
        let _ = connection.execute_batch("ROLLBACK");
    }
    let Undone { failure, full } = undone("commit", &shared.path, &cause);
    if lost_sync(&cause) {
        shared.broken.send_replace(Some(failure.message.clone()));
    }
    Err(Undone { failure: failure.maybe_done(), full })
}

fn undone(what: &str, path: &Path, cause: &rusqlite::Error) -> Undone {
    Undone { failure: sql_failure(what, path, cause), full: is_full(cause) }
}

const QUEUE: usize = 4_096;
const BATCH: usize = 1_024;
/// How many transactions lie between two attempts to take the reserve up again.
const REFILL_EVERY: u64 = 64;
