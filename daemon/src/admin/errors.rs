//! Every refusal of the API: one code, one status, one wording.

use axum::{
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use claviger_config::{EnvironmentName, Kind, ObjectName, Reason, Span, admin::ErrorView, name::BadName};
use claviger_core::{domain::failure::Failure, reconcile::pass::PassError};

use super::{
    json,
    near::{hint, nearest},
};

macro_rules! codes { ($($variant:ident = $number:literal, $status:ident, $doc:literal;)+) => {
    /// What the API refuses. A code is stable: it is never given another meaning.
    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    pub(super) enum Code { $(#[doc = $doc] $variant),+ }

    impl Code {
        /// Every code, by number.
        #[cfg(test)]
        pub(super) const ALL: &'static [Self] = &[$(Self::$variant),+];

        /// `CLV-` and four digits.
        pub(super) const fn word(self) -> &'static str {
            match self { $(Self::$variant => concat!("CLV-", $number)),+ }
        }

        /// The HTTP status that goes with it.
        pub(super) const fn status(self) -> StatusCode {
            match self { $(Self::$variant => StatusCode::$status),+ }
        }
    }
}}

codes! {
    // The request
    AccessDenied = "0701", FORBIDDEN, "the caller may not do this";
    PathUnknown = "0702", NOT_FOUND, "no route has this path";
    MethodNotAllowed = "0703", METHOD_NOT_ALLOWED, "the path takes other methods";
    PathWrong = "0704", BAD_REQUEST, "a part of the path is not what it must be";
    QueryWrong = "0705", BAD_REQUEST, "the query is not what it must be";
    BodyNotJson = "0706", BAD_REQUEST, "the body is not JSON";
    BodyWrong = "0707", BAD_REQUEST, "the body is JSON of another shape";
    BodyTooLarge = "0708", PAYLOAD_TOO_LARGE, "the body is too large";
    BodyTooSlow = "0709", REQUEST_TIMEOUT, "the body did not come in time";
    BodyOfAnotherType = "0710", UNSUPPORTED_MEDIA_TYPE, "the body is of another media type";
    BrowserRefused = "0711", FORBIDDEN, "a forwarded request came from a web page, or to another name than localhost";

    // What it names
    KindUnknown = "0720", NOT_FOUND, "there is no such kind";
    ObjectUnknown = "0721", NOT_FOUND, "there is no such object";
    EnvironmentUnknown = "0722", NOT_FOUND, "there is no such environment";
    HostnameUnknown = "0723", NOT_FOUND, "the ledger has no such host name";
    PlanUnknown = "0724", NOT_FOUND, "there is no such plan, or it has expired";

    // What stands in its way
    HostnameWrong = "0730", BAD_REQUEST, "this cannot be a customer's host name";
    HostnameClaimed = "0731", CONFLICT, "another origin or tenant has the host name";
    HostnameFromDocument = "0732", CONFLICT, "a document asks for the host name";
    PolicyRefuses = "0733", FORBIDDEN, "the policy of the environment does not allow it";
    SeparationRefused = "0734", FORBIDDEN, "it would lie in another environment";
    SettingMissing = "0735", CONFLICT, "the environment lacks what it needs";
    NotSupportedYet = "0736", BAD_REQUEST, "it comes with a later release";
    TooSoon = "0737", TOO_MANY_REQUESTS, "it was asked for a moment ago";
    VerbWrong = "0738", BAD_REQUEST, "this verb is for other kinds";
    PlanOutdated = "0739", CONFLICT, "the world has changed since the plan";
    PlanEmpty = "0740", CONFLICT, "nothing would follow";

    // What is wrong with claviger
    Busy = "0750", SERVICE_UNAVAILABLE, "the object is being worked on";
    StoreFailed = "0751", SERVICE_UNAVAILABLE, "the store or the journal takes nothing";
    Bug = "0752", INTERNAL_SERVER_ERROR, "a fault in claviger";
    StandsBy = "0753", SERVICE_UNAVAILABLE, "this replica is not at work";
}

/// A refusal, to be answered.
#[derive(Debug)]
pub(super) struct Problem {
    code: Code,
    view: Box<ErrorView>,
    header: Option<(header::HeaderName, String)>,
}

impl Problem {
    /// A refusal with everything that it needs.
    pub(super) fn new(code: Code, message: impl Into<String>, at: impl Into<String>, fix: impl Into<String>) -> Self {
        let view = ErrorView::new(code.word(), message, at, fix);
        Self { code, view: Box::new(view), header: None }
    }

    /// The same; worth trying again after that time.
    pub(super) fn retry_after(self, wait: Span) -> Self {
        let seconds = wait.0.max(1).unsigned_abs().div_ceil(1_000);
        Self { header: Some((header::RETRY_AFTER, seconds.to_string())), ..self }
    }

    /// The same, about that.
    pub(super) fn about(mut self, at: &str) -> Self {
        self.view.at = at.to_owned();
        self
    }

    /// Whether the same request may be good later: claviger or the store was busy.
    pub(super) fn may_pass(&self) -> bool {
        self.code.status().is_server_error()
    }

    /// In words, for the journal.
    pub(super) fn worded(&self) -> String {
        format!("{}: {}", self.view.code, self.view.message)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.code.status();
        let mut response = json(status, &*self.view).unwrap_or_else(|_| status.into_response());
        let header = self.header.and_then(|(name, value)| Some((name, HeaderValue::from_str(&value).ok()?)));
        response.headers_mut().extend(header);
        response
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let code = match failure.reason {
            Reason::HostnameClaimed => Code::HostnameClaimed,
            _ => Code::StoreFailed,
        };
        let fix = match failure.fix[..] {
            [] => "look into the log of clavigerd, then try again".to_owned(),
            _ => failure.fix.join("; "),
        };
        Self::new(code, failure.message, "store", fix)
    }
}

impl From<PassError> for Problem {
    fn from(error: PassError) -> Self {
        match error {
            PassError::Store(failure) => failure.into(),
            PassError::Bug(out_of_turn) => bug("the record does not take the ask", &out_of_turn),
            PassError::Restless => bug("the record does not take the ask", &"it does not rest"),
        }
    }
}

/// The kernel does not say who speaks.
pub(super) fn nobody() -> Problem {
    Problem::new(
        Code::AccessDenied,
        "the kernel does not say which user speaks; accepted: a local user over the unix socket",
        "connection",
        "connect to the unix socket of the setting `admin.listen` directly",
    )
}

/// A web page may have sent it.
pub(super) fn browser(header: &str, found: &str) -> Problem {
    Problem::new(
        Code::BrowserRefused,
        format!("found `{header}: {}` on a forwarded port; accepted: no `origin`, and `host: localhost`", short(found)),
        format!("header `{header}`"),
        "ask with `clavigerctl --cluster`, or with a client that is no browser",
    )
}

/// Who may not.
pub(super) fn denied(actor: &str, verb: &str, owner: u32) -> Problem {
    Problem::new(
        Code::AccessDenied,
        format!("`{actor}` may not do `{verb}`; accepted: root and `uid:{owner}`, the user that clavigerd runs as"),
        actor,
        format!("ask as that user, for example with `sudo -u '#{owner}' clavigerctl …`"),
    )
}

/// No route has the path; `paths` are what there is.
pub(super) fn path_unknown(path: &str, paths: impl IntoIterator<Item = String>) -> Problem {
    let message = format!("there is no path `{}`", short(path));
    Problem::new(Code::PathUnknown, message, short(path), hint(path, paths, "`GET /v1/openapi.json` lists all paths"))
}

/// The path takes other methods.
pub(super) fn method_not_allowed(method: &Method, path: &str, accepted: &[&'static str]) -> Problem {
    let accepted = accepted.join(", ");
    let message = format!("`{path}` does not take {method}; accepted: {accepted}");
    let problem =
        Problem::new(Code::MethodNotAllowed, message, path, "`GET /v1/openapi.json` tells what each path takes");
    Problem { header: Some((header::ALLOW, accepted)), ..problem }
}

/// The path is not UTF-8.
/// Only the replica at work knows the fleet.
pub(super) fn stands_by() -> Problem {
    let message = "this replica stands by: another one is at work and knows the fleet";
    let fix = "ask the pod that holds the lease: `kubectl get lease claviger -o jsonpath={.spec.holderIdentity}` begins with its name";
    Problem::new(Code::StandsBy, message.to_owned(), "", fix).retry_after(Span::seconds(15))
}

pub(super) fn path_not_text(path: &str) -> Problem {
    let message = format!("the path `{}` is not UTF-8 once its `%` are read", short(path));
    Problem::new(Code::PathWrong, message, short(path), "write names in ASCII")
}

/// A part of the path is not what it must be.
pub(super) fn path_wrong(part: &str, bad: &BadName) -> Problem {
    let message = format!("found `{}`; accepted: {}", short(&bad.found), bad.accepted);
    Problem::new(Code::PathWrong, message, part, format!("mend the part `{part}` of the path"))
}

/// An object lives in a namespace, or must not.
pub(super) fn path_of_another_shape(kind: Kind) -> Problem {
    let word = kind.word().to_ascii_lowercase();
    let (message, fix) = match kind {
        Kind::Environment => ("an Environment has no namespace".to_owned(), format!("/v1/resources/{word}/NAME")),
        _ => (format!("a {kind} lives in a namespace"), format!("/v1/resources/{word}/NAMESPACE/NAME")),
    };
    Problem::new(Code::PathWrong, message, "path", format!("write `{fix}`"))
}

/// There is no such kind.
pub(super) fn kind_unknown(bad: &BadName) -> Problem {
    let words = Kind::ALL.into_iter().flat_map(|kind| [&[kind.word()], kind.aliases()].concat()).map(str::to_owned);
    let message = format!("there is no kind `{}`; accepted: {}", short(&bad.found), bad.accepted);
    Problem::new(Code::KindUnknown, message, "kind", hint(&bad.found, words, "write one of the accepted kinds"))
}

/// There is no such object; `others` are what there is.
pub(super) fn object_unknown(name: &ObjectName, others: impl IntoIterator<Item = ObjectName>) -> Problem {
    let slash =
        |name: &ObjectName| name.to_string().split_once('/').map_or_else(String::new, |(_, rest)| rest.to_owned());
    let near = nearest(&slash(name), others.into_iter().map(|other| slash(&other)));
    let kind = name.kind.word().to_ascii_lowercase();
    let list = || format!("`GET /v1/resources/{kind}` lists them all");
    let fix = near.map_or_else(list, |near| format!("did you mean `{near}`?"));
    Problem::new(Code::ObjectUnknown, format!("there is no `{name}`"), name.to_string(), fix)
}

/// There is no such environment in force.
pub(super) fn environment_unknown(name: &EnvironmentName, others: impl IntoIterator<Item = String>) -> Problem {
    let message = format!("there is no environment `{name}` in force");
    let fix = hint(name.as_str(), others, "`GET /v1/resources/environment` lists them all");
    Problem::new(Code::EnvironmentUnknown, message, name.as_str(), fix)
}

/// The query holds something else.
pub(super) fn query_wrong(parameter: &str, message: String, fix: impl Into<String>) -> Problem {
    Problem::new(Code::QueryWrong, message, format!("query parameter `{}`", short(parameter)), fix)
}

/// A body that is not understood: where, what was found, what is accepted, in the words of the reader.
pub(super) fn body_not_understood(error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    let words = text.rsplit_once(" at line ").map_or(text.as_str(), |(words, _)| words);
    let at = format!("body, line {}, column {}", error.line(), error.column());
    match error.classify() {
        serde_json::error::Category::Data => {
            Problem::new(Code::BodyWrong, short(words), at, "`GET /v1/openapi.json` tells the fields of the body")
        }
        _ => Problem::new(Code::BodyNotJson, format!("the body is not JSON: {}", short(words)), at, "mend the JSON"),
    }
}

/// A field of the body that is not what it must be.
pub(super) fn field_wrong(field: &str, message: impl Into<String>, fix: impl Into<String>) -> Problem {
    Problem::new(Code::BodyWrong, message, format!("body, field `{field}`"), fix)
}

/// A fault of ours.
pub(super) fn bug(what: &str, error: &dyn std::fmt::Display) -> Problem {
    tracing::error!("a fault in claviger: {what}: {error}");
    let message = format!("a fault in claviger: {what}: {error}");
    Problem::new(Code::Bug, message, "clavigerd", "please report it with the log of clavigerd")
}

/// What was sent, as messages show it.
pub(super) fn short(text: &str) -> String {
    let seen = |character: char| !claviger_config::document::finding::cannot_be_seen(character);
    let mut shown: String = text.chars().map(|c| if seen(c) { c } else { '\u{fffd}' }).take(LONGEST).collect();
    if text.chars().count() > LONGEST {
        shown.push('…');
    }
    shown
}

const LONGEST: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_stable_unique_and_in_order() {
        assert!(Code::ALL.is_sorted_by(|left, right| left.word() < right.word()));
        assert_eq!(Code::HostnameClaimed.word(), "CLV-0731");
        assert_eq!(Code::TooSoon.status(), StatusCode::TOO_MANY_REQUESTS);
    }

    #[test]
    fn what_was_sent_is_shown_short_and_visible() {
        assert_eq!(short("a\u{202e}b\nc"), "a\u{fffd}b\u{fffd}c");
        assert_eq!(short(&"x".repeat(LONGEST + 1)).chars().count(), LONGEST + 1);
    }

    #[test]
    fn a_wait_is_told_in_whole_seconds_and_never_as_none() {
        let told = |wait| Problem::new(Code::TooSoon, "", "", "").retry_after(wait).header.unwrap().1;
        assert_eq!(told(Span(9_001)), "10");
        assert_eq!(told(Span(0)), "1");
    }
}
