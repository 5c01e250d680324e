//! The audit journal: one line before an effect and one after, each bound to the line before it.
//!
//! `audit.jsonl` in the state folder is only ever appended to. A line carries the SHA-256 of the line before it, so an edit, a
//! removal or a swap is found by whoever reads the file (`clavigerctl audit verify`). One thread writes: what came meanwhile goes
//! with one sync. A sync that fails ends the journal for this process, because what the disk holds is then not known.

mod line;
mod start;
mod writer;

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use claviger_config::{Moment, Reason, Span};
use claviger_core::{
    domain::failure::Failure,
    ports::{Answer, Audit, Clock, Entry},
};
use tokio::sync::{mpsc, oneshot, watch};

pub use self::start::{Break, Start, Torn};
use self::{
    line::Stage,
    writer::{Job, Tell, Writer},
};
use crate::adapters::sqlite::State;

/// The journal. Dropping it writes what is queued.
pub struct Journal {
    queue: Option<mpsc::Sender<Job>>,
    thread: Option<std::thread::JoinHandle<()>>,
    broken: watch::Receiver<Option<String>>,
    trouble: watch::Receiver<Option<(Moment, String)>>,
    path: PathBuf,
    start: Start,
    tally: Arc<Tally>,
}

/// What became of lines since the start.
#[derive(Debug, Default)]
struct Tally {
    written: AtomicU64,
    failed: AtomicU64,
    late: AtomicU64,
    /// Milliseconds since 1970; 0: never.
    last: AtomicI64,
}

/// What became of lines since the start, as metrics tell it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Told {
    /// Lines that are durable.
    pub written: u64,
    /// Attempts to write a line that failed.
    pub failed: u64,
    /// Lines that wait to be written.
    pub queued: u64,
    /// When the last one was written; absent when none was.
    pub last: Option<Moment>,
}

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot {what} `{path}`: check that the volume is mounted, writable and not full, and that clavigerd's user owns the file"
)]
pub struct JournalError {
    what: &'static str,
    path: PathBuf,
    #[source]
    cause: io::Error,
}

impl Journal {
    /// Opens the journal of the state folder, finds its head, and cuts off a last line that was not written whole.
    ///
    /// A chain that is broken further up is told in [`Journal::start`] and left as it is: it is evidence.
    pub fn open(state: &State, clock: Arc<dyn Clock>) -> Result<Self, JournalError> {
        let path = state.join(NAME);
        let (file, start) = start::open(state.directory(), &path)?;
        let (tell, broken) = watch::channel(None);
        let (sender, receiver) = mpsc::channel(QUEUE);
        let (tell_trouble, trouble) = watch::channel(None);
        let tally = Arc::new(Tally::default());
        let told = Tell { broken: tell, trouble: tell_trouble, tally: Arc::clone(&tally) };
        let mut writer = Writer::new(file, state.clone(), &start, clock, told);
        if let Some(torn) = &start.torn {
            writer.record_repair(torn).map_err(failed("record the repair of", &path))?;
        }
        let thread = std::thread::Builder::new()
            .name("claviger-journal".to_owned())
            .spawn(move || writer.run(receiver))
            .map_err(failed("start the thread of", &path))?;
        Ok(Self { queue: Some(sender), thread: Some(thread), broken, trouble, path, start, tally })
    }

    /// What was found when it was opened.
    pub fn start(&self) -> &Start {
        &self.start
    }

    /// What became of lines since the start.
    pub fn told(&self) -> Told {
        let last = self.tally.last.load(Ordering::Relaxed);
        let queued = self.queue.as_ref().map_or(0, |queue| queue.max_capacity() - queue.capacity());
        Told {
            written: self.tally.written.load(Ordering::Relaxed),
            failed: self.tally.failed.load(Ordering::Relaxed),
            queued: queued as u64 + self.tally.late.load(Ordering::Relaxed),
            last: (last > 0).then_some(Moment(last)),
        }
    }

    /// Why nothing is written any more. The process is to end and to start again.
    pub fn broken(&self) -> watch::Receiver<Option<String>> {
        self.broken.clone()
    }

    /// Why nothing can be written at present, if the last attempt failed and is not long ago: whoever has to write tries again soon.
    pub fn trouble(&self, now: Moment) -> Option<String> {
        let recent = |(at, why): &(Moment, String)| (now < *at + TROUBLE).then(|| why.clone());
        self.trouble.borrow().as_ref().and_then(recent)
    }

    async fn queue(&self, job: Job) -> Result<(), Failure> {
        if let Some(why) = self.broken.borrow().as_ref() {
            return Err(broken(why));
        }
        let sent = match &self.queue {
            Some(queue) => queue.send(job).await.is_ok(),
            None => false,
        };
        if sent { Ok(()) } else { Err(self.ended()) }
    }

    fn ended(&self) -> Failure {
        let message = format!("cannot write the audit journal `{}`: its thread has ended", self.path.display());
        Failure::new(Reason::StoreFailed, message)
            .fix("start clavigerd again and report this: it is a fault of clavigerd")
    }
}

impl Audit for Journal {
    fn intend<'a>(&'a self, entry: &'a Entry) -> Answer<'a, ()> {
        let (waiting, answer) = oneshot::channel();
        let job = Job { entry: entry.clone(), stage: Stage::Intent, waiting: Some(waiting) };
        Box::pin(async move {
            self.queue(job).await?;
            answer.await.map_err(|_| self.ended())?
        })
    }

    fn conclude<'a>(&'a self, entry: &'a Entry) -> Answer<'a, ()> {
        let job = Job { entry: entry.clone(), stage: Stage::Outcome, waiting: None };
        Box::pin(self.queue(job))
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn broken(why: &str) -> Failure {
    Failure::new(Reason::StoreFailed, why).fix("check the disk and start clavigerd again")
}

fn failed(what: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> JournalError {
    let path = path.to_owned();
    move |cause| JournalError { what, path, cause }
}

const NAME: &str = "audit.jsonl";
const QUEUE: usize = 4_096;
const TROUBLE: Span = Span::minutes(5);

#[cfg(test)]
mod tests;
