//! Where log lines go: to standard error, by a thread of its own. A reader that stands still, a full disk or a closed stream stops
//! nobody; what cannot be written is counted.

use std::{
    io::{self, Write},
    sync::{
        OnceLock,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::Duration,
};

use prometheus::IntCounter;
use tracing_subscriber::fmt::MakeWriter;

/// Lines that wait; a minute of a busy fleet.
const QUEUE: usize = 8_192;
/// How long the end of the process waits for the last lines.
const LAST: Duration = Duration::from_secs(1);

static LINES: OnceLock<SyncSender<Job>> = OnceLock::new();

enum Job {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

/// Takes lines and never waits.
#[derive(Clone)]
pub(super) struct Lines {
    queue: SyncSender<Job>,
    lost: IntCounter,
}

impl Lines {
    /// Starts the thread. What it cannot write, and what does not fit, counts as lost.
    pub(super) fn start(lost: IntCounter) -> io::Result<Self> {
        let (queue, jobs) = sync_channel(QUEUE);
        let counter = lost.clone();
        let thread = std::thread::Builder::new().name("claviger-log".to_owned());
        thread.spawn(move || write_all(&jobs, &counter))?;
        let _ = LINES.set(queue.clone()); // a second one writes for itself alone
        Ok(Self { queue, lost })
    }
}

/// Waits a moment until what was said so far is written: before the process ends.
pub fn flush() {
    let Some(queue) = LINES.get() else { return };
    let (done, wait) = sync_channel(1);
    if queue.try_send(Job::Flush(done)).is_ok() {
        let _ = wait.recv_timeout(LAST); // whoever does not read does not hold up the end
    }
}

fn write_all(jobs: &Receiver<Job>, lost: &IntCounter) {
    for job in jobs {
        match job {
            Job::Line(line) if io::stderr().write_all(&line).is_err() => lost.inc(),
            Job::Line(_) => {}
            Job::Flush(done) => drop(done.send(())),
        }
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for Lines {
    /// A whole line: `tracing-subscriber` writes each event at once.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.queue.try_send(Job::Line(bytes.to_vec())).is_err() {
            self.lost.inc();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_counted_and_nobody_waits() {
        let (queue, jobs) = sync_channel(2);
        let lost = IntCounter::new("lost", "lost").unwrap();
        let mut lines = Lines { queue, lost: lost.clone() };
        for _ in 0..5 {
            lines.write_all(b"line\n").unwrap();
        }
        assert_eq!(lost.get(), 3);
        drop(jobs);
        lines.write_all(b"line\n").unwrap();
        assert_eq!(lost.get(), 4);
    }
}
