//! What went wrong at a CA, and the one table that says what is to be done about it.

use claviger_config::{DnsName, Moment, Reason, Span};
use claviger_core::domain::{
    budget::Class,
    failure::{Failure, Retry, Stops},
};

use super::{
    problem::{Problem, clean},
    reply::{Break, Broken, Reply},
    step::Step,
};

/// What went wrong.
#[derive(Debug)]
pub(super) enum Trouble {
    /// No answer.
    Broken { step: Step, changes: bool, broken: Broken },
    /// A success that cannot be read.
    Garbled { step: Step, changes: bool, words: String },
    /// Judged already.
    Known(Box<Failure>),
    /// The CA refuses.
    Said(Box<Said>),
    /// Nothing was sent.
    Unsent { step: Step, words: String },
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Known(Box::new(failure))
    }
}

/// A refusal of the CA, whole.
#[derive(Debug)]
pub(super) struct Said {
    step: Step,
    changes: bool,
    nonce: bool,
    url: String,
    status: u16,
    retry_after: Option<Moment>,
    problem: Option<Problem>,
    help: Option<String>,
}

impl Said {
    /// Reads an answer that is no success.
    pub(super) fn new(step: Step, changes: bool, nonce: bool, url: String, reply: Reply) -> Self {
        let problem = Problem::read(&reply.body);
        let instance = problem.as_ref().and_then(Problem::instance).map(str::to_owned);
        let linked = |(relation, _): &(String, String)| relation == "help" || relation == "terms-of-service";
        let help = instance.or_else(|| reply.links.into_iter().find(linked).map(|(_, target)| target));
        Self { step, changes, nonce, url, status: reply.status, retry_after: reply.retry_after, problem, help }
    }

    /// The last word of the problem's type; where all its parts agree, theirs.
    pub(super) fn word(&self) -> &str {
        let Some(problem) = &self.problem else { return "" };
        match problem.parts() {
            [first, rest @ ..] if rest.iter().all(|part| part.word() == first.word()) => first.word(),
            _ => problem.word(),
        }
    }

    /// The status.
    pub(super) const fn status(&self) -> u16 {
        self.status
    }

    fn detail(&self) -> &str {
        self.problem.as_ref().map_or("", Problem::detail)
    }
}

/// Whom and when a trouble met: what a failure is told with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene<'a> {
    /// The issuer.
    pub(super) issuer: &'a str,
    /// The names that were asked for, where a limit may be about one of them.
    pub(super) names: &'a [DnsName],
    /// Now.
    pub(super) now: Moment,
}

/// One line of the table: a problem type of RFC 8555 section 6.7, RFC 9773 section 7.4 or the draft on profiles.
struct Row {
    word: &'static str,
    reason: Reason,
    hopeless: bool,
    fix: &'static str,
}

const fn row(word: &'static str, reason: Reason, fix: &'static str) -> Row {
    Row { word, reason, hopeless: false, fix }
}

const fn never(word: &'static str, reason: Reason, fix: &'static str) -> Row {
    Row { word, reason, hopeless: true, fix }
}

const ACCOUNT: &str =
    "find out who deactivated the account or rolled its key; claviger makes no other account by itself";
const PROOF: &str = "see that port 80 of the name reaches `http01.listen` from the internet";
const CONTACTS: &str = "mend `contacts` of the issuer";

/// The table. What is not in it, and what carries a status of 429 or above 499, is judged by the status.
const TABLE: &[Row] = &[
    row("accountDoesNotExist", Reason::AccountRefused, ACCOUNT),
    row("alreadyReplaced", Reason::Refused, ""),
    row("badCSR", Reason::Refused, "look for what the CA dislikes about names or key in its words"),
    row("badNonce", Reason::AcmeUnreachable, ""),
    row("badPublicKey", Reason::Refused, "the CA takes the key for weak or compromised: ask for a new one"),
    row("badSignatureAlgorithm", Reason::AccountRefused, "the CA must accept ES256"),
    row("caa", Reason::CaaForbids, "allow the CA in the CAA records of the name, or choose another issuer"),
    row("connection", Reason::ChallengeFailed, PROOF),
    row("dns", Reason::ChallengeFailed, "see that the name resolves, from everywhere"),
    never("externalAccountRequired", Reason::AccountRefused, "choose an issuer that needs no external account binding"),
    row("incorrectResponse", Reason::ChallengeFailed, PROOF),
    never("invalidContact", Reason::Refused, CONTACTS),
    row("invalidProfile", Reason::ProfileUnknown, "choose a profile that the CA offers for these names"),
    row("malformed", Reason::Refused, ""),
    row("orderNotReady", Reason::Refused, ""),
    row(
        "rejectedIdentifier",
        Reason::Refused,
        "the CA will not issue for the name: choose another issuer or another name",
    ),
    row("tls", Reason::ChallengeFailed, "see that port 80 of the name does not redirect to a server with broken TLS"),
    row("unauthorized", Reason::AccountRefused, ACCOUNT),
    never("unsupportedContact", Reason::Refused, CONTACTS),
    never("unsupportedIdentifier", Reason::Refused, "the CA knows no such kind of name: choose another issuer"),
    never("userActionRequired", Reason::AccountRefused, "agree to the CA's new terms by the link in the message"),
];

/// The reason that the table gives for a problem type.
pub(super) fn reason(word: &str) -> Option<Reason> {
    TABLE.iter().find(|row| row.word == word).map(|row| row.reason)
}

impl Trouble {
    /// The last word of the problem's type; empty when the CA refused nothing.
    pub(super) fn word(&self) -> &str {
        if let Self::Said(said) = self { said.word() } else { "" }
    }

    /// The status of a refusal.
    pub(super) fn status(&self) -> Option<u16> {
        if let Self::Said(said) = self { Some(said.status()) } else { None }
    }

    /// Whether the CA does not know, or no longer knows, what lies at this URL.
    pub(super) fn is_gone(&self, url: &str) -> bool {
        let Self::Said(said) = self else { return false };
        said.url == url && (matches!(said.status, 404 | 410) || (said.status == 400 && said.word() == "malformed"))
    }

    /// Whether a URL of the directory leads nowhere: the directory is read anew.
    pub(super) fn is_moved(&self) -> bool {
        matches!(self, Self::Said(said) if said.status == 404 && (said.nonce || said.step.in_directory()))
    }

    /// Whether the live account should be dropped.
    pub(super) fn is_account_lost(&self) -> bool {
        matches!(self.word(), "accountDoesNotExist" | "unauthorized")
    }

    /// What it means for the plan.
    pub(super) fn failure(self, scene: &Scene<'_>) -> Failure {
        match self {
            Self::Known(failure) => *failure,
            Self::Broken { step, changes, broken } => broke(step, changes, &broken, scene),
            Self::Garbled { step, changes, words } => {
                let message = format!("{}: the CA's answer cannot be read: {}", cannot(step, scene), clean(&words));
                maybe(changes, Failure::new(Reason::AnswerNotUnderstood, message))
            }
            Self::Said(said) if said.is_pause() => paused(&said, scene),
            Self::Said(said) if said.is_limit() => limited(&said, scene),
            Self::Said(said) if said.status >= 500 => ailing(&said, scene),
            Self::Said(said) => refused(&said, scene),
            Self::Unsent { step, words } => {
                Failure::new(Reason::Refused, format!("{}: {}", cannot(step, scene), clean(&words)))
                    .fix("see that the account key is an ECDSA key on P-256 and that the URLs in the record are whole")
            }
        }
    }
}

impl Said {
    fn is_limit(&self) -> bool {
        self.word() == "rateLimited" || self.status == 429
    }

    /// A pair of account and name that failed for too long is paused until a person follows a link: a limit that names no end.
    /// <https://letsencrypt.org/docs/rate-limits/#consecutive-authorization-failures-per-hostname-per-account>
    fn is_pause(&self) -> bool {
        let words = self.detail().to_ascii_lowercase();
        let telling = ["paus", "temporarily prevented"].iter().any(|sign| words.contains(sign));
        self.is_limit() && self.retry_after.is_none() && telling && self.link().is_some()
    }

    /// The link that a person may follow: in the words, else in the header that RFC 8555 section 6.6 gives it.
    fn link(&self) -> Option<&str> {
        let found = self.detail().find("https://").map(|start| {
            let rest = &self.detail()[start..];
            let end =
                rest.find(|c: char| c.is_whitespace() || c.is_control() || "\"'<>".contains(c)).unwrap_or(rest.len());
            rest[..end].trim_end_matches(['.', ',', ';', ')', ':'])
        });
        found.or(self.help.as_deref())
    }

    /// A limit that names one of our names, or one above it, is not the whole account's.
    fn is_about_names(&self, names: &[DnsName]) -> bool {
        let words = self.detail().to_ascii_lowercase();
        let named = |name: &DnsName| above(name.base()).any(|name| mentions(&words, name));
        words.contains("exact set") || !self.parts().is_empty() || names.iter().any(named)
    }

    fn parts(&self) -> &[Problem] {
        self.problem.as_ref().map_or(&[], Problem::parts)
    }

    fn words(&self) -> String {
        match &self.problem {
            Some(problem) => format!("the CA says: {}", problem.words()),
            None => format!("the CA answers status {} without a problem document", self.status),
        }
    }

    fn retry(&self, now: Moment) -> Retry {
        // An instant in the past or present would be asked again at once, and refused again.
        self.retry_after.map_or(Retry::Later, |at| Retry::At(at.max(now + Span::seconds(1))))
    }

    fn help(&self, failure: Failure) -> Failure {
        let link = if self.is_limit() { self.link() } else { self.help.as_deref() };
        match link {
            Some(link) => failure.fix(format!("read {}", clean(link))),
            None => failure,
        }
    }
}

fn broke(step: Step, changes: bool, broken: &Broken, scene: &Scene<'_>) -> Failure {
    let message = format!("{}: {}", cannot(step, scene), clean(&broken.to_string()));
    let (reason, fix) = match broken.how {
        Break::Connect | Break::ConnectTimeout | Break::Cut | Break::Timeout => (Reason::AcmeUnreachable, None),
        Break::Dns => (Reason::AcmeUnreachable, Some("see whether this machine resolves the CA's name")),
        Break::Tls => (
            Reason::AcmeUnreachable,
            Some("see that the CA's server certificate ends at the roots that the issuer names"),
        ),
        Break::Forbidden => {
            (Reason::AnswerNotUnderstood, Some("give the issuer an https directory, or http on loopback"))
        }
        Break::TooLarge => (Reason::AnswerNotUnderstood, None),
    };
    let failure = maybe(changes && broken.how.sent(), Failure::new(reason, message));
    match fix {
        Some(fix) => failure.fix(fix),
        None => failure,
    }
}

fn paused(said: &Said, scene: &Scene<'_>) -> Failure {
    let failure = Failure::new(Reason::AccountPaused, format!("{}: {}", cannot(said.step, scene), said.words()));
    let link = said.link().unwrap_or_default();
    // Whole, however long: a link that was cut leads nowhere.
    failure
        .retry(Retry::Never)
        .fix(format!("mend what made the proofs fail, then follow {}", link.replace(char::is_control, "")))
}

fn limited(said: &Said, scene: &Scene<'_>) -> Failure {
    let until = said.retry_after.map(|at| format!("; limited until {}", at.to_second())).unwrap_or_default();
    let message = format!("{}: {}{until}", cannot(said.step, scene), said.words());
    let stops = match said.step {
        _ if said.nonce => Stops::Budget(Class::AcmeRequests),
        Step::NewOrder if !said.is_about_names(scene.names) => Stops::Budget(Class::AcmeOrders),
        _ => Stops::Object,
    };
    said.help(Failure::new(Reason::RateLimited, message).retry(said.retry(scene.now)).stops(stops))
}

fn ailing(said: &Said, scene: &Scene<'_>) -> Failure {
    let message = format!("{}: {}", cannot(said.step, scene), said.words());
    let failure = Failure::new(Reason::AcmeUnreachable, message).retry(said.retry(scene.now));
    match said.status {
        // A gate in front of the CA turned it away; Let's Encrypt limits requests by address that way.
        503 => failure.stops(Stops::Budget(Class::AcmeRequests)),
        _ => maybe(said.changes, failure),
    }
}

fn refused(said: &Said, scene: &Scene<'_>) -> Failure {
    let message = format!("{}: {}", cannot(said.step, scene), said.words());
    if said.status == 404 && (said.nonce || said.step.in_directory()) {
        return Failure::new(Reason::AcmeUnreachable, format!("{message}; the directory is read anew"));
    }
    if said.problem.is_none() {
        let redirect = if said.status < 400 { "; redirects are not followed" } else { "" };
        let failure = Failure::new(Reason::AnswerNotUnderstood, format!("{message}{redirect}"));
        return failure.fix("see that the issuer's `directory` is the URL of an ACME directory");
    }
    let row = TABLE.iter().find(|row| row.word == said.word());
    let failure = Failure::new(row.map_or(Reason::Refused, |row| row.reason), message);
    let hopeless = row.is_some_and(|row| row.hopeless);
    let failure = failure.retry(if hopeless { Retry::Never } else { said.retry(scene.now) });
    match row.map(|row| row.fix).filter(|fix| !fix.is_empty()) {
        Some(fix) => said.help(failure.fix(fix)),
        None => said.help(failure),
    }
}

fn cannot(step: Step, scene: &Scene<'_>) -> String {
    format!("cannot {} at `{}`", step.does(), scene.issuer)
}

fn maybe(done: bool, failure: Failure) -> Failure {
    if done { failure.maybe_done() } else { failure }
}

/// The name and every name above it that somebody could have registered.
fn above(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |name| name.split_once('.').map(|(_, rest)| rest))
        .filter(|name| name.contains('.'))
}

/// Whether words hold a name as a whole: `shop.example` is not in `my-shop.example` nor in `shop.example.org`.
fn mentions(words: &str, name: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    words.match_indices(name).any(|(start, _)| {
        let (before, after) = (&words[..start], &words[start + name.len()..]);
        let mut rest = after.chars();
        let goes_on = match rest.next() {
            Some('.') => rest.next().is_some_and(part),
            next => next.is_some_and(part),
        };
        !before.ends_with(|c: char| part(c) || c == '.') && !goes_on
    })
}
