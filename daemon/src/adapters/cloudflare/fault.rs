//! What can go wrong at Cloudflare, and the failure that leaves the adapter for it.

use claviger_config::{Moment, Reason, Span};
use claviger_core::domain::{
    budget::Class,
    failure::{Failure, Retry, Stops},
};
use http::StatusCode;

use super::{
    complaint::{Complaint, tame},
    meaning::{ADDRESS, BUG, Meaning, REACH, SLOWER, Then, meaning},
    rate::Rate,
    token::TokenProblem,
};

/// Why a call gave nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("an earlier answer said that the limit of calls is used up until {until}")]
    Closed { until: Moment },
    #[error("no connection to Cloudflare could be made")]
    Connect(#[source] reqwest::Error),
    #[error("Cloudflare's answer was lost")]
    Lost(#[source] reqwest::Error),
    #[error("Cloudflare answered with status {status} and something that its reference does not allow")]
    NotUnderstood {
        status: u16,
        #[source]
        source: Option<serde_json::Error>,
    },
    #[error("Cloudflare refuses with status {}", .0.status)]
    Refused(Refusal),
    #[error("Cloudflare did not answer in time")]
    TimedOut(#[source] reqwest::Error),
    #[error("Cloudflare's answer is longer than {longest} bytes")]
    TooLong { longest: usize },
    #[error("the request cannot be sent: {0}")]
    Unsendable(&'static str),
}

/// Cloudflare's "no".
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) complaints: Vec<Complaint>,
    pub(super) rate: Rate,
}

/// What was tried, for the words and the weight of a failure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt<'a> {
    /// For example `create`.
    pub(super) task: &'static str,
    /// The host name or the zone.
    pub(super) subject: &'a str,
    /// Whether it changes something.
    pub(super) changes: bool,
    /// Now.
    pub(super) now: Moment,
}

impl Fault {
    /// Sorts an error of the client: where no connection stood, nothing happened.
    pub(super) fn from_client(error: reqwest::Error) -> Self {
        let error = error.without_url();
        if error.is_connect() {
            Self::Connect(error)
        } else if error.is_timeout() {
            Self::TimedOut(error)
        } else {
            Self::Lost(error)
        }
    }

    /// Whether Cloudflare named this code.
    pub(super) fn has_code(&self, code: u64) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.complaints.iter().any(|complaint| complaint.code == code))
    }

    /// Whether it is Cloudflare's 404.
    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.status == 404)
    }

    /// The limits that came with it.
    pub(super) fn rate(&self) -> Rate {
        match self {
            Self::Refused(refusal) => refusal.rate,
            _ => Rate::default(),
        }
    }

    /// Which limit it means, and until when; `None` when it is about something else.
    pub(super) fn limit(&self, attempt: Attempt<'_>) -> Option<(Class, Moment)> {
        match self {
            Self::Refused(refusal) if matches!(refusal.meaning().then, Then::Throttled) => Some(refusal.limit(attempt)),
            _ => None,
        }
    }

    /// The word in metrics: Cloudflare's code, else the status, else what happened to the call.
    pub(super) fn label(&self) -> String {
        match self {
            Self::Closed { .. } => "held-back".to_owned(),
            Self::Connect(_) => "unreachable".to_owned(),
            Self::Lost(_) => "lost".to_owned(),
            Self::NotUnderstood { .. } | Self::TooLong { .. } => "not-understood".to_owned(),
            Self::Refused(refusal) => refusal.label(),
            Self::TimedOut(_) => "timed-out".to_owned(),
            Self::Unsendable(_) => "unsendable".to_owned(),
        }
    }

    /// The failure that leaves the adapter.
    pub(super) fn into_failure(self, attempt: Attempt<'_>) -> Failure {
        let told = format!("cannot {} `{}`: {}", attempt.task, attempt.subject, tame(&chain(&self), LONGEST));
        let unsure = |failure: Failure| if attempt.changes { failure.maybe_done() } else { failure };
        match self {
            Self::Closed { until } => Failure::new(Reason::BudgetSpent, told)
                .retry(Retry::At(until))
                .stops(Stops::Budget(Class::EdgeCalls))
                .fix(SLOWER),
            Self::Connect(_) => Failure::new(Reason::EdgeUnreachable, told).fix(REACH),
            Self::Lost(_) | Self::TimedOut(_) => unsure(Failure::new(Reason::EdgeUnreachable, told).fix(REACH)),
            Self::NotUnderstood { .. } | Self::TooLong { .. } => {
                unsure(Failure::new(Reason::AnswerNotUnderstood, told).fix(ADDRESS))
            }
            Self::Refused(refusal) => refusal.into_failure(attempt),
            Self::Unsendable(_) => Failure::new(Reason::EdgeRefused, told).retry(Retry::Never).fix(BUG),
        }
    }
}

impl Refusal {
    fn label(&self) -> String {
        let code = self.complaints.iter().map(|complaint| complaint.code).find(|code| *code != 0);
        code.map_or_else(|| label(self.status), |code| code.to_string())
    }

    fn into_failure(self, attempt: Attempt<'_>) -> Failure {
        let meaning = self.meaning();
        let message = format!("cannot {} `{}`: {}{}", attempt.task, attempt.subject, meaning.words, self.quoted());
        let failure = Failure::new(meaning.reason, message).fix(meaning.fix);
        let failure = if attempt.changes && self.status >= 500 { failure.maybe_done() } else { failure };
        match meaning.then {
            Then::Denied => failure.retry(Retry::At(attempt.now + PAUSE)).stops(self.denies(attempt)),
            Then::Later => failure.retry(self.rate.retry_at.map_or(Retry::Later, Retry::At)),
            Then::Long => failure.retry(Retry::At(attempt.now + PAUSE)),
            Then::Never => failure.retry(Retry::Never),
            Then::Throttled => {
                let (class, until) = self.limit(attempt);
                failure.retry(Retry::At(until)).stops(Stops::Budget(class))
            }
        }
    }

    /// Cloudflare's own words, with the field that displeases.
    fn quoted(&self) -> String {
        let words = self.complaints.iter().map(|Complaint { code, message, pointer }| match pointer {
            Some(pointer) => format!("{code} {message} at `{pointer}`"),
            None => format!("{code} {message}"),
        });
        let words = words.collect::<Vec<_>>().join("; ");
        if words.is_empty() { format!(" (status {})", self.status) } else { format!(" (Cloudflare: {words})") }
    }

    fn meaning(&self) -> Meaning {
        meaning(self.status, self.complaints.iter().map(|complaint| complaint.code))
    }

    /// A token that is not accepted stops its environment. A token that may read and not write stops writing only, and a bare
    /// 403, which may come from anything on the way, stops nobody else.
    fn denies(&self, attempt: Attempt<'_>) -> Stops {
        match (self.status, attempt.changes) {
            (401, _) => Stops::Budget(Class::EdgeCalls),
            _ if self.complaints.is_empty() => Stops::Object,
            (_, true) => Stops::Budget(Class::EdgeIssuance),
            (_, false) => Stops::Budget(Class::EdgeCalls),
        }
    }

    /// Which limit a 429 means, and until when. Calls and certificates are limited apart; the refusal of certificates has no
    /// published code, so it is known by its words, or by calls that are left.
    fn limit(&self, attempt: Attempt<'_>) -> (Class, Moment) {
        let speaks_of_issuance = self.complaints.iter().any(|complaint| {
            let words = complaint.message.to_ascii_lowercase();
            words.contains("issu") || words.contains("certificate")
        });
        let calls_left = self.rate.remaining.is_some_and(|left| left > 0);
        if attempt.changes && (speaks_of_issuance || calls_left) {
            (Class::EdgeIssuance, self.rate.retry_at.unwrap_or(attempt.now + ISSUANCE_STOPS))
        } else {
            let until = self.rate.retry_at.or_else(|| self.rate.closed_until());
            (Class::EdgeCalls, until.unwrap_or(attempt.now + CALLS_STOP))
        }
    }
}

impl TokenProblem {
    /// The failure that leaves the adapter: nothing was sent.
    pub(super) fn into_failure(self, environment: &str, now: Moment) -> Failure {
        let told = format!("the Cloudflare token of environment `{environment}` cannot be used: {}", chain(&self));
        let (reason, fix) = match self {
            Self::NoFile => {
                (Reason::SettingMissing, "put the token in a file below `files.read` and name it in `apiToken.file`")
            }
            Self::NoFolder => (Reason::SettingMissing, "set `files.read` to the folder that holds the token's file"),
            Self::Elsewhere { .. } | Self::Malformed { .. } | Self::Unreadable { .. } => {
                (Reason::EdgeDenied, "write the token as one line into that file, readable for clavigerd")
            }
        };
        Failure::new(reason, told).retry(Retry::At(now + PAUSE)).stops(Stops::Budget(Class::EdgeCalls)).fix(fix)
    }
}

/// Errors of a parser may repeat what they found.
const LONGEST: usize = 400;
/// How long a person's work outside is waited for before it is looked at again.
const PAUSE: Span = Span::minutes(5);
/// "your certificate issuance … for 30 seconds", reference/troubleshooting.
const ISSUANCE_STOPS: Span = Span::seconds(30);
/// Going over blocks all calls for the next five minutes: <https://developers.cloudflare.com/fundamentals/api/reference/limits/>
const CALLS_STOP: Span = Span::minutes(5);

/// The status as metrics label it.
pub(super) fn label(status: u16) -> String {
    StatusCode::from_u16(status).map_or_else(|_| "unknown".to_owned(), |status| status.as_str().to_owned())
}

/// An error and its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        told.push_str(": ");
        told.push_str(&next.to_string());
        cause = next.source();
    }
    told
}

#[cfg(test)]
mod tests {
    use claviger_core::domain::failure::Done;

    use super::*;

    const NOW: Moment = Moment(1_795_500_000_000);

    fn attempt(changes: bool) -> Attempt<'static> {
        Attempt { task: "create", subject: "shop.example", changes, now: NOW }
    }

    fn refused(status: u16, codes: &[u64], changes: bool) -> Failure {
        let complaints =
            codes.iter().map(|code| Complaint { code: *code, message: "words".to_owned(), pointer: None }).collect();
        Fault::Refused(Refusal { status, complaints, rate: Rate::default() }).into_failure(attempt(changes))
    }

    #[test]
    fn a_failure_says_what_was_tried_in_our_words_and_in_theirs_and_one_next_step() {
        let pointer = Some("/hostname".to_owned());
        let complaint = Complaint { code: 1407, message: "Invalid custom hostname".to_owned(), pointer };
        let refusal = Refusal { status: 400, complaints: vec![complaint], rate: Rate::default() };
        let failure = Fault::Refused(refusal).into_failure(attempt(true));
        assert_eq!(
            failure.message,
            "cannot create `shop.example`: Cloudflare does not take a host name of this form \
             (Cloudflare: 1407 Invalid custom hostname at `/hostname`)"
        );
        assert_eq!((failure.reason, failure.retry, failure.stops), (Reason::EdgeRefused, Retry::Never, Stops::Object));
        assert_eq!(failure.fix.len(), 1);
        assert!(refused(418, &[], true).message.ends_with("(status 418)"));
    }

    #[test]
    fn what_a_person_must_do_elsewhere_is_looked_at_again_after_a_pause() {
        assert_eq!(refused(403, &[1404], true).retry, Retry::At(NOW + PAUSE));
        assert_eq!(refused(403, &[1405], true).retry, Retry::Later);
        let later = NOW + Span::seconds(9);
        let rate = Rate { retry_at: Some(later), ..Rate::default() };
        let busy = Refusal { status: 503, complaints: Vec::new(), rate };
        assert_eq!(Fault::Refused(busy).into_failure(attempt(true)).retry, Retry::At(later));
    }

    #[test]
    fn a_server_error_leaves_a_change_open_and_a_question_not() {
        assert_eq!(refused(502, &[], true).done, Done::Unknown);
        assert_eq!(refused(500, &[1500], true).done, Done::Unknown);
        assert_eq!(refused(502, &[], false).done, Done::No);
        assert_eq!(refused(409, &[1406], true).done, Done::No);
    }

    #[test]
    fn a_bad_token_stops_its_environment_and_one_that_may_not_write_stops_writing() {
        assert_eq!(refused(401, &[1000], false).stops, Stops::Budget(Class::EdgeCalls));
        assert_eq!(refused(403, &[10_000], false).stops, Stops::Budget(Class::EdgeCalls));
        assert_eq!(refused(403, &[10_000], true).stops, Stops::Budget(Class::EdgeIssuance));
        assert_eq!(refused(403, &[], true).stops, Stops::Object);
        assert_eq!(refused(403, &[10_000], true).retry, Retry::At(NOW + PAUSE));
    }

    #[test]
    fn a_429_closes_the_budget_that_it_is_about() {
        let told = |words: &str, rate: Rate, changes| {
            let complaint = Complaint { code: 971, message: words.to_owned(), pointer: None };
            let failure = Fault::Refused(Refusal { status: 429, complaints: vec![complaint], rate })
                .into_failure(attempt(changes));
            (failure.stops, failure.retry)
        };
        let slow = "Please wait and consider throttling your request speed";
        let calls = Stops::Budget(Class::EdgeCalls);
        let issuance = Stops::Budget(Class::EdgeIssuance);
        let later = NOW + Span::seconds(7);
        let told_when = Rate { retry_at: Some(later), ..Rate::default() };
        let calls_left = Rate { remaining: Some(900), ..Rate::default() };
        let none_left = Rate { remaining: Some(0), resets_at: Some(later), ..Rate::default() };
        assert_eq!(told(slow, Rate::default(), true), (calls, Retry::At(NOW + CALLS_STOP)));
        assert_eq!(told(slow, told_when, true), (calls, Retry::At(later)));
        assert_eq!(told(slow, none_left, true), (calls, Retry::At(later)));
        assert_eq!(told(slow, calls_left, true), (issuance, Retry::At(NOW + ISSUANCE_STOPS)));
        assert_eq!(told("certificate issuance limit", told_when, true), (issuance, Retry::At(later)));
        assert_eq!(told(slow, calls_left, false).0, calls);
    }
}
