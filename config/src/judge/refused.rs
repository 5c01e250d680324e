//! Why an object is accepted and still not worked on.

use crate::{desired::Refusal, reason::Reason};

/// Why an object is not worked on, and which field says so.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Refused {
    pub(super) refusal: Refusal,
    pub(super) path: String,
}

impl Refused {
    pub(super) fn new(reason: Reason, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { refusal: Refusal { reason, message: message.into(), fix: Vec::new() }, path: path.into() }
    }

    /// With one more step that helps.
    pub(super) fn fix(mut self, step: impl Into<String>) -> Self {
        self.refusal.fix.push(step.into());
        self
    }
}
