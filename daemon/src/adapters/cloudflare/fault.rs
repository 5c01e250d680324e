//! What can go wrong at Cloudflare, and the one table that says what it means.
//! <https://developers.cloudflare.com/cloudflare-for-platforms/cloudflare-for-saas/reference/status-codes/custom-hostnames/>

use std::ops::RangeInclusive;

use claviger_config::{Moment, Reason, Span};
use claviger_core::domain::{
    effect::Class,
    failure::{Failure, Retry, Stops},
};

use super::{envelope::Complaint, rate::Rate, token::TokenProblem};

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
            Self::Refused(refusal) if matches!(refusal.row().then, Then::Throttled) => Some(refusal.limit(attempt)),
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
        let told = format!("cannot {} `{}`: {}", attempt.task, attempt.subject, chain(&self));
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
        code.map_or_else(|| super::sender::label(self.status), |code| code.to_string())
    }

    fn into_failure(self, attempt: Attempt<'_>) -> Failure {
        let row = self.row();
        let message = format!("cannot {} `{}`: {}{}", attempt.task, attempt.subject, row.words, self.quoted());
        let failure = Failure::new(row.reason, message).fix(row.fix);
        let failure = if attempt.changes && self.status >= 500 { failure.maybe_done() } else { failure };
        match row.then {
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

    /// The first code that the table knows, else what the status alone says.
    fn row(&self) -> Row {
        let known =
            self.complaints.iter().find_map(|complaint| CODES.iter().find(|row| row.0.contains(&complaint.code)));
        let by_status = || STATUSES.iter().find(|row| row.0.contains(&u64::from(self.status)));
        known.or_else(by_status).map_or(UNKNOWN, |(_, row)| *row)
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
                (Reason::NotSupportedYet, "put the token in a file below `files.read` and name it in `apiToken.file`")
            }
            Self::NoFolder => (Reason::SettingMissing, "set `files.read` to the folder that holds the token's file"),
            Self::Elsewhere { .. } | Self::Malformed { .. } | Self::Unreadable { .. } => {
                (Reason::EdgeDenied, "write the token as one line into that file, readable for clavigerd")
            }
        };
        Failure::new(reason, told).retry(Retry::At(now + PAUSE)).stops(Stops::Budget(Class::EdgeCalls)).fix(fix)
    }
}

/// What a code or status means.
#[derive(Clone, Copy)]
struct Row {
    reason: Reason,
    then: Then,
    words: &'static str,
    fix: &'static str,
}

/// When it may be tried again.
#[derive(Clone, Copy)]
enum Then {
    /// After a pause, and others stop too: it is about the token.
    Denied,
    /// By the back-off, or when Cloudflare says.
    Later,
    /// After a pause: a person must act outside, and nobody will tell us.
    Long,
    /// Not before the document changes.
    Never,
    /// When the limit allows.
    Throttled,
}

const fn row(reason: Reason, then: Then, words: &'static str, fix: &'static str) -> Row {
    Row { reason, then, words, fix }
}

/// How long a person's work outside is waited for before it is looked at again.
const PAUSE: Span = Span::minutes(5);
/// "your certificate issuance … for 30 seconds", reference/troubleshooting.
const ISSUANCE_STOPS: Span = Span::seconds(30);
/// Going over blocks all calls for the next five minutes: <https://developers.cloudflare.com/fundamentals/api/reference/limits/>
const CALLS_STOP: Span = Span::minutes(5);

const ADDRESS: &str = "check that `endpoints.cloudflare` leads to Cloudflare's API, and report it if it does";
const BUG: &str = "report it: claviger should not have sent this";
const NAME: &str = "give a host name that a public CA would sign, in punycode";
const PERMISSION: &str = "give the token \"SSL and Certificates Write\" for the zone in `edge.cloudflare.zoneId`";
const REACH: &str = "check the way to Cloudflare's API and https://www.cloudflarestatus.com";
const SLOWER: &str = "nothing: it goes on by itself; ask Cloudflare for a higher limit if it happens often";

const UNKNOWN: Row = row(Reason::AnswerNotUnderstood, Then::Later, "Cloudflare's answer is not understood", ADDRESS);

type Known = (RangeInclusive<u64>, Row);

const CODES: &[Known] = {
    use Reason::{EdgeDenied, EdgeQuotaExceeded, EdgeRefused, EdgeUnreachable, HostnameClaimed, Missing};
    use Then::{Denied, Later, Long, Never, Throttled};
    &[
        (971..=971, row(Reason::BudgetSpent, Throttled, "Cloudflare limits the rate", SLOWER)),
        (1000..=1005, row(EdgeDenied, Denied, "Cloudflare does not accept the token", PERMISSION)),
        (1400..=1400, row(EdgeRefused, Never, "Cloudflare cannot read the request", BUG)),
        (
            1404..=1404,
            row(
                EdgeQuotaExceeded,
                Long,
                "custom host names are not switched on",
                "switch on Cloudflare for SaaS in this zone",
            ),
        ),
        (
            1405..=1405,
            row(
                EdgeQuotaExceeded,
                Later,
                "the quota of custom host names is used up",
                "raise the quota, or delete host names that nobody needs: pending ones count too",
            ),
        ),
        (
            1406..=1406,
            row(
                HostnameClaimed,
                Later,
                "another zone at Cloudflare holds the host name",
                "have it removed from the other zone, then ask again",
            ),
        ),
        (1407..=1411, row(EdgeRefused, Never, "Cloudflare does not take a host name of this form", NAME)),
        (
            1413..=1414,
            row(
                EdgeRefused,
                Never,
                "the zone's plan does not include this",
                "remove metadata and origin, or buy the entitlement",
            ),
        ),
        (
            1415..=1421,
            row(
                EdgeRefused,
                Later,
                "Cloudflare does not accept the origin of the host name",
                "make the origin a proxied DNS record of the account",
            ),
        ),
        (
            1422..=1425,
            row(EdgeRefused, Never, "Cloudflare does not accept a TLS setting", "change `edge.cloudflare.defaults`"),
        ),
        (
            1426..=1429,
            row(
                EdgeRefused,
                Never,
                "Cloudflare does not accept the uploaded certificate",
                "replace the uploaded certificate in Cloudflare's dashboard",
            ),
        ),
        (
            1431..=1434,
            row(
                EdgeRefused,
                Never,
                "Cloudflare does not accept how control shall be proven",
                "choose another `validation`",
            ),
        ),
        (
            1436..=1436,
            row(Missing, Later, "Cloudflare does not know the host name", "nothing: it is looked up again by name"),
        ),
        (1437..=1438, row(EdgeRefused, Never, "Cloudflare does not accept how the list is asked for", BUG)),
        (
            1439..=1439,
            row(
                EdgeRefused,
                Later,
                "Cloudflare does not let the host name be changed now",
                "look at its state in Cloudflare's dashboard: it may be about to be deleted",
            ),
        ),
        (1440..=1440, row(EdgeRefused, Never, "Cloudflare misses method and type together", BUG)),
        (
            1441..=1441,
            row(
                EdgeRefused,
                Never,
                "Cloudflare does not accept the uploaded certificate",
                "replace the uploaded certificate in Cloudflare's dashboard",
            ),
        ),
        (
            1442..=1443,
            row(EdgeRefused, Never, "Cloudflare does not accept a TLS setting", "change `edge.cloudflare.defaults`"),
        ),
        (
            1444..=1447,
            row(
                EdgeRefused,
                Never,
                "Cloudflare does not accept the uploaded certificate",
                "replace the uploaded certificate in Cloudflare's dashboard",
            ),
        ),
        (1448..=1448, row(EdgeRefused, Never, "Cloudflare does not take a wildcard as a host name", NAME)),
        (1449..=1449, row(EdgeRefused, Never, "Cloudflare does not accept the bundle method", BUG)),
        (
            1456..=1456,
            row(
                EdgeRefused,
                Long,
                "the zone has no fallback origin to speak of",
                "switch on Cloudflare for SaaS in this zone",
            ),
        ),
        (1459..=1459, row(EdgeRefused, Never, "the zone's plan does not include the choice of a CA", BUG)),
        (1469..=1469, row(EdgeRefused, Never, "the host name is longer than 64 characters", BUG)),
        (1500..=1500, row(EdgeUnreachable, Later, "Cloudflare has an error of its own", REACH)),
        (1551..=1551, row(Missing, Later, "the zone has no fallback origin", "set one in Cloudflare's dashboard")),
        (6003..=6003, row(EdgeDenied, Denied, "Cloudflare does not accept the form of the token", PERMISSION)),
        (7000..=7003, row(EdgeRefused, Long, "Cloudflare does not know the zone", "correct `edge.cloudflare.zoneId`")),
        (9103..=9109, row(EdgeDenied, Denied, "Cloudflare does not accept the token for this zone", PERMISSION)),
        (10000..=10001, row(EdgeDenied, Denied, "the token lacks a permission", PERMISSION)),
        (10100..=10100, row(Reason::BudgetSpent, Throttled, "Cloudflare limits the rate", SLOWER)),
    ]
};

const STATUSES: &[Known] = {
    use Reason::{AnswerNotUnderstood, EdgeDenied, EdgeRefused, EdgeUnreachable};
    use Then::{Denied, Later, Throttled};
    &[
        (200..=299, row(EdgeRefused, Later, "Cloudflare refuses", "read Cloudflare's words")),
        (300..=399, row(AnswerNotUnderstood, Later, "something sends us elsewhere, which is not followed", ADDRESS)),
        (401..=401, row(EdgeDenied, Denied, "Cloudflare does not accept the token", PERMISSION)),
        (403..=403, row(EdgeDenied, Denied, "Cloudflare, or something before it, forbids the call", PERMISSION)),
        (404..=404, row(EdgeRefused, Later, "there is nothing at this address", ADDRESS)),
        (408..=408, row(EdgeUnreachable, Later, "Cloudflare did not get the request in time", REACH)),
        (409..=409, row(EdgeRefused, Later, "something is in the way", "read Cloudflare's words")),
        (429..=429, row(Reason::BudgetSpent, Throttled, "Cloudflare limits the rate", SLOWER)),
        (400..=499, row(EdgeRefused, Later, "Cloudflare refuses", "read Cloudflare's words")),
        (500..=599, row(EdgeUnreachable, Later, "Cloudflare has an error of its own", REACH)),
    ]
};

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
    fn each_row_of_the_table_can_be_reached_and_says_what_to_do() {
        let mut before = 0;
        for (codes, row) in CODES {
            assert!(*codes.start() > before, "{codes:?} is out of order or hidden");
            before = *codes.end();
            let failure = refused(400, &[*codes.end()], true);
            assert_eq!(failure.reason, row.reason);
            assert_eq!(failure.fix.len(), 1);
            assert!(failure.message.starts_with("cannot create `shop.example`: "), "{}", failure.message);
            assert!(failure.message.contains("words"), "{}", failure.message);
        }
    }

    #[test]
    fn codes_outrank_the_status_and_unknown_codes_fall_back_to_it() {
        assert_eq!(refused(403, &[1405], true).reason, Reason::EdgeQuotaExceeded);
        assert_eq!(refused(403, &[4_711, 1405], true).reason, Reason::EdgeQuotaExceeded);
        assert_eq!(refused(403, &[4_711], true).reason, Reason::EdgeDenied);
        assert_eq!(refused(400, &[4_711], true).reason, Reason::EdgeRefused);
        assert_eq!(refused(302, &[], true).reason, Reason::AnswerNotUnderstood);
        assert_eq!(refused(101, &[], true).reason, Reason::AnswerNotUnderstood);
    }

    #[test]
    fn a_form_that_is_refused_waits_for_another_document() {
        for code in [1407, 1411, 1413, 1414, 1459, 1448] {
            let failure = refused(400, &[code], true);
            assert_eq!((failure.retry, failure.stops), (Retry::Never, Stops::Object), "{code}");
        }
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
