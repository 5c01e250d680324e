//! What a port's error says: when to try again, whether it may have happened, who else must stop.

use claviger_config::{Moment, Reason};
use serde::{Deserialize, Serialize};

use super::effect::Class;

/// An error that left an adapter. Nothing in it is secret: it is logged, shown and stored.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Failure {
    /// Why.
    pub reason: Reason,
    /// When it may be tried again.
    pub retry: Retry,
    /// Whether it may have happened all the same.
    pub done: Done,
    /// Who must stop.
    pub stops: Stops,
    /// In words: what was found, what is accepted.
    pub message: String,
    /// What a person can do, step by step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fix: Vec<String>,
}

impl Failure {
    /// A failure of this one object that did not happen and may be tried again later.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            retry: Retry::Later,
            done: Done::No,
            stops: Stops::Object,
            message: message.into(),
            fix: Vec::new(),
        }
    }

    /// The same, to be tried again as told.
    pub fn retry(self, retry: Retry) -> Self {
        Self { retry, ..self }
    }

    /// The same, although it may have happened.
    pub fn maybe_done(self) -> Self {
        Self { done: Done::Unknown, ..self }
    }

    /// The same, and others must stop too.
    pub fn stops(self, stops: Stops) -> Self {
        Self { stops, ..self }
    }

    /// The same, with one more thing that a person can do.
    pub fn fix(mut self, step: impl Into<String>) -> Self {
        self.fix.push(step.into());
        self
    }
}

/// When it may be tried again.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Retry {
    /// Not before that instant: the far side named it.
    At(Moment),
    /// By the back-off.
    Later,
    /// Not before the document changes or a person asks.
    Never,
}

/// Whether an effect that failed may have happened.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Done {
    /// It did not.
    No,
    /// The answer was lost.
    Unknown,
}

/// Who must stop.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Stops {
    /// Everybody who pays from this budget in this environment.
    Budget(Class),
    /// This object only.
    Object,
}
