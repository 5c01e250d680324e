//! The thread that writes the journal.

use std::{
    collections::VecDeque,
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
};

use claviger_config::{Moment, Reason, Span};
use claviger_core::{
    domain::failure::{Failure, Retry},
    ports::{Clock, Entry},
};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    NAME, Start, Tally, Torn, broken,
    line::{self, Head, Stage},
};
use crate::adapters::sqlite::State;

/// A line to be written, and who waits for it.
pub(super) struct Job {
    pub(super) entry: Entry,
    pub(super) stage: Stage,
    pub(super) waiting: Option<oneshot::Sender<Result<(), Failure>>>,
}

/// Whom the writer tells how it fares.
pub(super) struct Tell {
    /// Nothing is written any more, and why.
    pub(super) broken: watch::Sender<Option<String>>,
    /// The last attempt failed: when, and why.
    pub(super) trouble: watch::Sender<Option<(Moment, String)>>,
    /// What became of each line.
    pub(super) tally: Arc<Tally>,
}

pub(super) struct Writer {
    file: File,
    path: PathBuf,
    state: State,
    /// How long the file is up to the last whole line.
    length: u64,
    head: Head,
    clock: Arc<dyn Clock>,
    told: Tell,
    /// Outcomes that could not be written yet. They go first, so that each stays in order behind its intent.
    late: VecDeque<Job>,
}

impl Writer {
    pub(super) fn new(file: File, state: State, start: &Start, clock: Arc<dyn Clock>, told: Tell) -> Self {
        let (path, head) = (state.join(NAME), start.head.clone());
        Self { file, path, state, length: start.length, head, clock, told, late: VecDeque::new() }
    }

    /// Records that the end was cut off.
    pub(super) fn record_repair(&mut self, torn: &Torn) -> io::Result<()> {
        let kept_in = torn.kept_in.file_name().unwrap_or(torn.kept_in.as_os_str()).display();
        let message = format!(
            "{} bytes behind entry {} were not written whole and are kept in `{kept_in}`",
            torn.bytes, self.head.seq
        );
        let mut lines = Vec::new();
        let head = line::append_repair(&mut lines, &self.head, self.clock.now(), &message)?;
        self.write(&lines).map_err(|(_, cause)| cause)?;
        self.advance(&lines, head);
        Ok(())
    }

    /// Writes until nobody can send any more and the queue is empty.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        while let Some(first) = queue.blocking_recv() {
            let mut batch = vec![first];
            while batch.len() < BATCH
                && let Ok(job) = queue.try_recv()
            {
                batch.push(job);
            }
            self.write_batch(batch);
        }
    }

    fn write_batch(&mut self, batch: Vec<Job>) {
        let jobs: Vec<Job> = self.late.drain(..).chain(batch).collect();
        let written = self.try_write(&jobs);
        self.count(jobs.len() as u64, written.is_ok());
        match written {
            Ok(()) => {
                self.told.trouble.send_if_modified(|trouble| trouble.take().is_some());
                jobs.into_iter().for_each(|job| tell(job, Ok(())));
            }
            Err(failure) => {
                self.told.trouble.send_replace(Some((self.clock.now(), failure.message.clone())));
                self.put_off(jobs, &failure);
            }
        }
        self.told.tally.late.store(self.late.len() as u64, Ordering::Relaxed);
    }

    fn count(&self, lines: u64, written: bool) {
        if written {
            self.told.tally.written.fetch_add(lines, Ordering::Relaxed);
            self.told.tally.last.store(self.clock.now().0, Ordering::Relaxed);
        } else {
            self.told.tally.failed.fetch_add(lines, Ordering::Relaxed);
        }
    }

    fn try_write(&mut self, jobs: &[Job]) -> Result<(), Failure> {
        if let Some(why) = self.told.broken.borrow().as_ref() {
            return Err(broken(why));
        }
        let (mut lines, mut head, now) = (Vec::new(), self.head.clone(), self.clock.now());
        for job in jobs {
            head = line::append(&mut lines, &head, now, job.stage, &job.entry)
                .map_err(|cause| self.failure("put an entry into words for", &cause))?;
        }
        self.write(&lines).map_err(|(what, cause)| self.failure(what, &cause))?;
        self.advance(&lines, head);
        Ok(())
    }

    /// Whoever waits is told; outcomes are kept for the next time, since what they speak of has happened.
    fn put_off(&mut self, jobs: Vec<Job>, failure: &Failure) {
        for job in jobs {
            match job.stage {
                Stage::Intent => tell(job, Err(failure.clone())),
                Stage::Outcome if self.late.len() < MOST_LATE => self.late.push_back(job),
                Stage::Outcome => tracing::error!(
                    intent = job.entry.intent,
                    verb = job.entry.verb,
                    "an outcome could not be written to the audit journal and is lost"
                ),
            }
        }
    }

    /// Appends and syncs; on a full disk once more, with the space that was kept for that.
    fn write(&self, lines: &[u8]) -> Result<(), (&'static str, io::Error)> {
        match self.write_once(lines) {
            Err((_, cause)) if is_full(&cause) && self.state.spend_reserve() => self.write_once(lines),
            other => other,
        }
    }

    /// What was written in part is cut off again. When that or the sync fails, the file is not written again.
    fn write_once(&self, lines: &[u8]) -> Result<(), (&'static str, io::Error)> {
        if let Err(cause) = self.file.write_all_at(lines, self.length) {
            if self.file.set_len(self.length).is_err() {
                self.break_off("cannot be written and not be put right", &cause);
            }
            return Err(("write", cause));
        }
        self.file.sync_data().map_err(|cause| {
            self.break_off("could not be brought to the disk", &cause);
            ("sync", cause)
        })
    }

    fn break_off(&self, what: &str, cause: &io::Error) {
        let path = self.path.display();
        self.told
            .broken
            .send_replace(Some(format!("the audit journal `{path}` {what}, nothing is done any more: {cause}")));
    }

    fn advance(&mut self, lines: &[u8], head: Head) {
        self.length += lines.len() as u64;
        self.head = head;
    }

    fn failure(&self, what: &str, cause: &io::Error) -> Failure {
        let path = self.path.display();
        let fix = if is_full(cause) {
            format!("free space on the volume of `{path}`; claviger then goes on by itself")
        } else {
            format!("check the disk behind `{path}` and that clavigerd's user may write the file")
        };
        // Nothing was begun, so that trying again costs nobody anything.
        Failure::new(Reason::StoreFailed, format!("cannot {what} the audit journal `{path}`: {cause}"))
            .retry(Retry::At(self.clock.now() + AGAIN))
            .fix(fix)
    }
}

fn is_full(cause: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(cause.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// Who waited may have gone: then nobody is told.
fn tell(job: Job, result: Result<(), Failure>) {
    if let Some(waiting) = job.waiting {
        let _ = waiting.send(result);
    }
}

const BATCH: usize = 1_024;
const MOST_LATE: usize = 10_000;
const AGAIN: Span = Span::seconds(10);

#[cfg(test)]
mod tests {

    use std::os::unix::fs::PermissionsExt as _;

    use claviger_config::{Kind, ObjectName};
    use claviger_core::ports::Actor;

    use super::*;

    struct Still;
    impl Clock for Still {
        fn now(&self) -> Moment {
            Moment(0)
        }
        fn draw(&self) -> u64 {
            0
        }
    }

    fn writer(path: &str) -> (tempfile::TempDir, Writer, watch::Receiver<Option<String>>) {
        let folder = tempfile::Builder::new().permissions(std::fs::Permissions::from_mode(0o700)).tempdir().unwrap();
        let state = State::open(folder.path()).unwrap();
        let start = Start { entries: 0, breaks: Vec::new(), broken: 0, torn: None, head: Head::empty(), length: 0 };
        let (tell, broken) = watch::channel(None);
        let file = File::options().read(true).write(true).open(path).unwrap();
        let told = Tell { broken: tell, trouble: watch::Sender::new(None), tally: Arc::default() };
        let writer = Writer::new(file, state, &start, Arc::new(Still), told);
        (folder, writer, broken)
    }

    fn intend(writer: &mut Writer) -> Result<(), Failure> {
        let object = ObjectName { kind: Kind::KmsKey, namespace: None, name: "k".parse().unwrap() };
        let entry = Entry {
            actor: Actor::system(),
            verb: "create_key".to_owned(),
            environment: None,
            object,
            reason: Reason::Missing,
            intent: "1".to_owned(),
            asked: None,
            outcome: None,
        };
        let (waiting, mut answer) = oneshot::channel();
        writer.write_batch(vec![Job { entry, stage: Stage::Intent, waiting: Some(waiting) }]);
        answer.try_recv().unwrap()
    }

    #[test]
    fn a_sync_that_fails_ends_the_journal_and_is_not_asked_again() {
        let (_folder, mut writer, broken) = writer("/dev/null");
        let failure = intend(&mut writer).unwrap_err();
        assert!(failure.message.starts_with("cannot sync the audit journal"), "{}", failure.message);
        assert!(broken.borrow().as_ref().unwrap().contains("could not be brought to the disk"));
        assert!(intend(&mut writer).unwrap_err().message.contains("nothing is done any more"));
    }

    #[test]
    fn a_file_that_is_full_and_cannot_be_put_right_ends_the_journal() {
        let (_folder, mut writer, broken) = writer("/dev/full");
        let failure = intend(&mut writer).unwrap_err();
        assert!(failure.fix[0].starts_with("free space on the volume"), "{failure:?}");
        assert!(broken.borrow().is_some());
    }
}
