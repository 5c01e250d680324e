//! What an error of AWS means for claviger: one table.

use aws_smithy_runtime_api::client::{
    orchestrator::HttpResponse,
    result::{ConnectorError, SdkError},
};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::request_id::RequestId;
use claviger_config::{Reason, Span};
use claviger_core::domain::failure::{Done, Failure, Retry, Stops};
use std::error::Error;

use super::{
    asked::Asked,
    place::account_of,
    sign_in::SignIn,
    words::{causes, shortened, told},
};

/// Why a call gave no answer that can be used.
#[derive(Debug)]
pub(super) enum Fault {
    /// It was sent, and what became of it is unknown.
    Lost(String),
    /// It never left: it certainly did not happen.
    NotSent(String),
    /// What came back is no answer of AWS KMS.
    NotUnderstood(String),
    /// AWS said no.
    Refused(Refused),
    /// There were no credentials to sign it with.
    SignIn(SignIn),
}

/// AWS said no.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) code: String,
    pub(super) status: u16,
    pub(super) message: String,
    pub(super) request: Option<String>,
    pub(super) retry_after: Option<Span>,
}

/// A row of the table.
struct Verdict {
    reason: Reason,
    when: When,
    maybe_done: bool,
}

enum When {
    In(Span),
    Later,
    Never,
    /// In a few seconds, and nobody else who pays from the same budget before.
    Slower,
}

/// The table: <https://docs.aws.amazon.com/kms/latest/APIReference/CommonErrors.html> and each operation's page. The SDK counts
/// `LimitExceededException` as throttling; with KMS it is a hard limit, and asking again cannot help.
fn verdict(code: &str, status: u16, message: &str) -> Verdict {
    use Reason::{
        CiphertextRefused, KeyDisabled, KeyPendingDeletion, KeyUnavailable, KmsDenied, KmsLimitExceeded, KmsRefused,
        KmsThrottled, KmsUnreachable,
    };
    let row = |reason, when| Verdict { reason, when, maybe_done: false };
    match code {
        "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestLimitExceeded"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "TooManyRequestsException" => row(KmsThrottled, When::Slower),
        "LimitExceededException" => row(KmsLimitExceeded, When::Never),
        // Also how a change of our own looks for some minutes, before policies see its tags and aliases.
        "AccessDenied" | "AccessDeniedException" => row(KmsDenied, When::Later),
        code if SIGN_IN.contains(&code) => row(KmsDenied, When::Later),
        "DisabledException" => row(KeyDisabled, When::Later),
        "KMSInvalidStateException" if message.to_lowercase().contains("pending deletion") => {
            row(KeyPendingDeletion, When::Later)
        }
        "KMSInvalidStateException" | "NotFoundException" => row(KeyUnavailable, When::Later),
        "InvalidCiphertextException" | "IncorrectKeyException" => row(CiphertextRefused, When::Never),
        "KeyUnavailableException" => row(KmsUnreachable, When::Later),
        "KMSInternalException"
        | "DependencyTimeoutException"
        | "InternalFailure"
        | "ServiceUnavailable"
        | "ServiceUnavailableException" => Verdict { reason: KmsUnreachable, when: When::Later, maybe_done: true },
        // An automatic rotation is at work, or will be within 20 minutes.
        "ConflictException" => row(KmsRefused, When::In(Span::minutes(20))),
        "AlreadyExistsException"
        | "InvalidAliasNameException"
        | "InvalidArnException"
        | "InvalidKeyUsageException"
        | "InvalidMarkerException"
        | "MalformedPolicyDocumentException"
        | "TagException"
        | "UnsupportedOperationException"
        | "ValidationException" => row(KmsRefused, When::Never),
        _ if status == 429 => row(KmsThrottled, When::Slower),
        _ if status >= 500 => Verdict { reason: KmsUnreachable, when: When::Later, maybe_done: true },
        _ => row(KmsRefused, When::Later),
    }
}

/// Nobody has that.
pub(super) const NOT_FOUND: &[&str] = &["NotFoundException"];
/// A policy does not allow it.
pub(super) const DENIED: &[&str] = &["AccessDenied", "AccessDeniedException"];
/// AWS does not take the credentials themselves.
const SIGN_IN: [&str; 9] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];

impl Fault {
    /// Sorts an error of the SDK.
    pub(super) fn of<E>(error: SdkError<E, HttpResponse>) -> Self
    where
        E: Error + ProvideErrorMetadata + 'static,
    {
        if let Some(fault) = SignIn::within(&error) {
            return Self::SignIn(fault);
        }
        let text = told(&error);
        match &error {
            SdkError::ConstructionFailure(_) => Self::NotSent(text),
            SdkError::DispatchFailure(failure)
                if failure.as_connector_error().is_some_and(ConnectorError::is_user) || never_connected(&error) =>
            {
                Self::NotSent(text)
            }
            SdkError::ResponseError(answer) if answer.raw().status().is_success() && !cut_off(&error) => {
                Self::NotUnderstood(text)
            }
            SdkError::ServiceError(answer) => Self::refused(answer.err().meta(), answer.raw()),
            _ => Self::Lost(text),
        }
    }

    fn refused(said: &aws_smithy_types::error::ErrorMetadata, answer: &HttpResponse) -> Self {
        let status = answer.status().as_u16();
        match said.code() {
            Some(code) => Self::Refused(Refused {
                code: code.chars().take(LONGEST_CODE).collect(),
                status,
                message: shortened(said.message().unwrap_or_default()),
                request: said.request_id().map(str::to_owned),
                retry_after: retry_after(answer),
            }),
            None if status == 429 => Self::Refused(Refused {
                code: "429".to_owned(),
                status,
                message: "slow down".to_owned(),
                request: said.request_id().map(str::to_owned),
                retry_after: retry_after(answer),
            }),
            None if status >= 500 => Self::Lost(format!("the answer is the HTTP status {status}")),
            None => Self::NotUnderstood(format!("the answer is the HTTP status {status} without an error code")),
        }
    }

    /// What metrics count it by.
    pub(super) fn word(&self) -> &str {
        match self {
            Self::Lost(_) => "lost",
            Self::NotSent(_) => "not-sent",
            Self::NotUnderstood(_) => "not-understood",
            Self::Refused(refused) => &refused.code,
            Self::SignIn(_) => "no-credentials",
        }
    }

    /// Whether AWS said no with one of these codes.
    pub(super) fn is(&self, codes: &[&str]) -> bool {
        matches!(self, Self::Refused(refused) if codes.contains(&refused.code.as_str()))
    }

    /// Whether other credentials could help: the ones in use were not taken.
    pub(super) fn rejects_credentials(&self) -> bool {
        self.is(&SIGN_IN)
    }

    /// What it means, and what to do.
    pub(super) fn failure(self, asked: &Asked<'_>) -> Failure {
        let call = format!("`kms:{}` in {}", asked.operation.name(), asked.place);
        let failure = match self {
            Self::Lost(text) => {
                Failure::new(Reason::KmsUnreachable, format!("{call}: no answer came: {text}")).maybe_done()
            }
            Self::NotSent(text) => Failure::new(Reason::KmsUnreachable, format!("{call}: it was not sent: {text}"))
                .fix("see whether this machine reaches AWS KMS, and whether `endpoints.kms` is right"),
            // What a parser says of a data key that it could not read could show a part of it.
            Self::NotUnderstood(_) if asked.operation.is_secret() => {
                Failure::new(Reason::AnswerNotUnderstood, format!("{call}: the answer is not what AWS specifies"))
            }
            Self::NotUnderstood(text) => {
                Failure::new(Reason::AnswerNotUnderstood, format!("{call}: {text}")).maybe_done()
            }
            Self::Refused(refused) => refused.failure(asked, &call),
            Self::SignIn(fault) => fault.failure(asked, &call),
        };
        if asked.operation.changes() { failure } else { Failure { done: Done::No, ..failure } }
    }
}

impl Refused {
    fn failure(self, asked: &Asked<'_>, call: &str) -> Failure {
        let Verdict { reason, when, maybe_done } = verdict(&self.code, self.status, &self.message);
        if reason == Reason::KmsDenied && self.code.starts_with("AccessDenied") {
            return denied(&self, asked, call);
        }
        let failure = with_fix(Failure::new(reason, self.text(reason, call)), asked);
        let failure = if maybe_done { failure.maybe_done() } else { failure };
        match when {
            When::In(span) => failure.retry(Retry::At(asked.now + span)),
            When::Later => failure,
            When::Never => failure.retry(Retry::Never),
            When::Slower => failure
                .retry(Retry::At(asked.now + self.retry_after.unwrap_or_else(|| pause(asked.draw))))
                .stops(Stops::Budget(asked.operation.class())),
        }
    }

    fn text(&self, reason: Reason, call: &str) -> String {
        let alarm = if reason == Reason::CiphertextRefused { "security event: " } else { "" };
        let words = if self.message.is_empty() { String::new() } else { format!(": {}", self.message) };
        let request = self.request.as_ref().map(|id| format!(" (request {id})")).unwrap_or_default();
        format!("{alarm}{call}: AWS says {}{words}{request}", self.code)
    }
}

/// Names the action, who asked and the key, in AWS's own words where it gave them.
fn denied(refused: &Refused, asked: &Asked<'_>, call: &str) -> Failure {
    let told = Denial::read(&refused.message);
    let own = format!("kms:{}", asked.operation.name());
    let resource = if asked.resource.is_empty() { "*" } else { asked.resource };
    let (who, action, on) = told
        .as_ref()
        .map_or((asked.identity, own.as_str(), resource), |told| (told.principal, told.action, told.resource));
    if let Some(account) = account_of(who).filter(|account| *account != asked.place.account) {
        return asked.place.elsewhere(&format!("credentials of account {account} ({who})"));
    }
    let text = refused.text(Reason::KmsDenied, call);
    let message = if told.is_some() { text } else { format!("{text}; asked by {who} on {on}") };
    Failure::new(Reason::KmsDenied, message)
        .fix(format!("allow `{action}` on {on} to {who}, in its IAM policy and in the key's policy"))
        .fix("wait five minutes when its tags, aliases or policies were changed just now")
}

/// `User: P is not authorized to perform: A on resource: R because …`
struct Denial<'a> {
    principal: &'a str,
    action: &'a str,
    resource: &'a str,
}

impl<'a> Denial<'a> {
    fn read(message: &'a str) -> Option<Self> {
        let after = |mark: &str| message.split_once(mark)?.1.split_whitespace().next();
        Some(Self {
            principal: after("User: ")?,
            action: after("not authorized to perform: ")?,
            resource: after("on resource: ")?,
        })
    }
}

fn with_fix(failure: Failure, asked: &Asked<'_>) -> Failure {
    let key = asked.resource;
    match failure.reason {
        Reason::KmsDenied => failure
            .fix(format!("see whether {} is still valid, and the clock of this machine right", asked.identity))
            .fix("renew the credentials; claviger reads them anew by itself"),
        Reason::KeyDisabled => failure.fix(format!("aws kms enable-key --key-id {key}")),
        Reason::KeyPendingDeletion => failure
            .fix(format!("aws kms cancel-key-deletion --key-id {key}"))
            .fix(format!("aws kms enable-key --key-id {key}")),
        Reason::KeyUnavailable => failure.fix(format!("see what became of it: aws kms describe-key --key-id {key}")),
        Reason::KmsLimitExceeded => failure
            .fix("raise the quota in Service Quotas, or remove what is no longer needed")
            .fix("then let claviger try again: clavigerctl renew"),
        Reason::CiphertextRefused => failure
            .fix("find out in CloudTrail and in claviger's journal who wrote the record, and from where")
            .fix("restore the record from a backup of the same environment"),
        _ => failure,
    }
}

/// Two to five seconds.
fn pause(draw: u64) -> Span {
    Span(2_000 + i64::try_from(draw % 3_000).unwrap_or(0))
}

/// AWS may name a pause; a longer one than five minutes is not believed.
fn retry_after(answer: &HttpResponse) -> Option<Span> {
    let seconds: i64 = answer.headers().get("retry-after")?.parse().ok()?;
    Some(Span::seconds(seconds.clamp(1, 300)))
}

/// A code is a label of metrics.
const LONGEST_CODE: usize = 64;

/// No connection was made, so nothing was sent. What cannot be told apart counts as sent.
fn never_connected(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| {
        cause
            .downcast_ref::<hyper_util::client::legacy::Error>()
            .is_some_and(hyper_util::client::legacy::Error::is_connect)
            || cause.to_string().starts_with("HTTP connect timeout")
    })
}

/// The answer began and broke off.
fn cut_off(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| {
        cause.is::<std::io::Error>()
            || cause
                .downcast_ref::<hyper::Error>()
                .is_some_and(|cause| cause.is_incomplete_message() || cause.is_body_write_aborted())
    })
}
