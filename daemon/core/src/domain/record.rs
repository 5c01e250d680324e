//! What claviger remembers of one subject. Memory, not truth: it may be lost, and a blank one leads to adoption of what is there.

use claviger_config::{EnvironmentName, Moment, Reason, Span, admin::HistoryEntry, condition::ConditionStatus};
use serde::{Deserialize, Serialize};

use super::{actor::Actor, effect::Effect};

/// A row in SQLite, part of `status` in Kubernetes.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Record<M> {
    /// Drawn once, at birth: root of every intent id and of every choice that must look random.
    pub seed: u64,
    /// For life; absent until an environment claims the namespace.
    pub environment: Option<EnvironmentName>,
    /// The generation of the document that this speaks of.
    pub generation: u64,
    /// How many intents there were.
    pub intents: u64,
    /// Stored before the effect, gone with its outcome. Still there when a pass begins: unanswered.
    pub intent: Option<Intent>,
    /// What does not work out, and when it is tried again.
    pub trouble: Option<Trouble>,
    /// What a person asked for.
    pub ask: Option<Ask>,
    /// When its document went away.
    pub released: Option<Moment>,
    /// What was said last.
    pub said: Said,
    /// What happened, newest last.
    pub history: Vec<HistoryEntry>,
    /// What the kind remembers.
    pub memory: M,
}

/// An effect written down before it is tried.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Intent {
    /// Its id: seed and number.
    pub id: String,
    /// The effect, whole.
    pub effect: Effect,
    /// When it was written down.
    pub since: Moment,
    /// The term of the replica that wrote it down, where there are several; only that one acts on it.
    #[serde(default, skip_serializing_if = "is_none")]
    pub term: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_none(term: &u64) -> bool {
    *term == 0
}

/// What does not work out.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Trouble {
    /// Why.
    pub reason: Reason,
    /// In words.
    pub message: String,
    /// What a person can do.
    pub fix: Vec<String>,
    /// Failures in a row.
    pub count: u32,
    /// Since when.
    pub since: Moment,
    /// When it is tried again; absent: when the document changes or a person asks.
    pub until: Option<Moment>,
}

impl Trouble {
    /// Whether it still keeps the subject waiting.
    pub fn holds(&self, now: Moment) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// What a person asked for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Ask {
    /// Who.
    pub actor: Actor,
    /// Why, in their words.
    pub reason: String,
    /// A ticket.
    pub ticket: Option<String>,
    /// When.
    pub at: Moment,
    /// Whether it still lifts the back-off.
    pub fresh: bool,
}

/// What was said last, so that a change can be dated.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Said {
    /// Condition `Ready`.
    pub ready: Dated,
    /// Condition `OnSchedule`.
    pub on_schedule: Dated,
    /// Why, and since when.
    pub reason: Reason,
    /// Since when.
    pub since: Moment,
}

/// A condition and when it last changed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Dated {
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Why.
    pub reason: Reason,
    /// When `status` last changed.
    pub since: Moment,
}

impl Dated {
    pub(super) fn say(&mut self, status: ConditionStatus, reason: Reason, now: Moment) {
        if self.status != status {
            self.since = now;
        }
        (self.status, self.reason) = (status, reason);
    }
}

/// Others may take an hour before it counts as late.
pub const PATIENCE: Span = Span::hours(1);

/// How much history a record keeps.
pub(super) const HISTORY: usize = 16;

impl<M: Default> Record<M> {
    /// A blank memory.
    pub fn blank(seed: u64, now: Moment) -> Self {
        let unknown = Dated { status: ConditionStatus::Unknown, reason: Reason::NotObserved, since: now };
        Self {
            seed,
            environment: None,
            generation: 0,
            intents: 0,
            intent: None,
            trouble: None,
            ask: None,
            released: None,
            said: Said { ready: unknown, on_schedule: unknown, reason: Reason::NotObserved, since: now },
            history: Vec::new(),
            memory: M::default(),
        }
    }
}

impl<M> Record<M> {
    /// The id of the latest intent.
    pub fn intent_id(&self) -> String {
        format!("{:016x}-{}", self.seed, self.intents)
    }

    /// One more line of history; the oldest goes when there are too many.
    pub(super) fn remember(&mut self, entry: HistoryEntry) {
        if self.history.len() >= HISTORY {
            self.history.remove(0);
        }
        self.history.push(entry);
    }
}
