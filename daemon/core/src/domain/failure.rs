//! What a port's error says: when to try again, whether it may have happened, who else must stop.

use claviger_config::{Moment, Reason, Span};
use serde::{Deserialize, Serialize};

use super::budget::Class;

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

    /// The same, with an instant that can be meant: a far side that names one a year away does not know what it says, and a
    /// certificate would lapse over it.
    pub fn bounded(self, now: Moment) -> Self {
        match self.retry {
            Retry::At(at) => self.retry(Retry::At(at.clamp(now + Span::seconds(1), now + LONGEST))),
            Retry::Later | Retry::Never => self,
        }
    }

    /// The same, with one more thing that a person can do.
    pub fn fix(mut self, step: impl Into<String>) -> Self {
        self.fix.push(step.into());
        self
    }
}

/// The longest wait that a far side may ask for: the week of Let's Encrypt's limits on duplicates
/// (<https://letsencrypt.org/docs/rate-limits/>).
const LONGEST: Span = Span::days(7);

/// Whether it is the far side that does not answer: that says nothing against the object.
pub const fn is_away(reason: Reason) -> bool {
    matches!(reason, Reason::AcmeUnreachable | Reason::EdgeUnreachable | Reason::KmsUnreachable)
}

/// How long to wait for a far side that has been away for so long: a quarter of that, at least 15 seconds. So it is found soon after
/// it is back, however long it was away, and is not flooded.
pub fn knock(away: Span, longest: Span) -> Span {
    Span((away.0 / 4).clamp(Span::seconds(15).0, longest.0))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_that_the_far_side_names_is_obeyed_up_to_a_week() {
        let now = Moment(1_000_000);
        let at = |at| Failure::new(Reason::RateLimited, "").retry(Retry::At(at)).bounded(now).retry;
        assert_eq!(at(now + Span::days(6)), Retry::At(now + Span::days(6)));
        assert_eq!(at(now + Span::days(365)), Retry::At(now + Span::days(7)));
        assert_eq!(at(now - Span::days(1)), Retry::At(now + Span::seconds(1)));
    }

    #[test]
    fn what_names_no_instant_stays_as_it_is() {
        let failure = Failure::new(Reason::Refused, "no").retry(Retry::Never).maybe_done();
        assert_eq!(failure.clone().bounded(Moment(0)), failure);
    }
}
