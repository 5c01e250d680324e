//! What the API server's refusals mean.

use claviger_config::{Moment, Reason, Span};
use claviger_core::domain::failure::{Failure, Retry};
use kube::{Error, runtime::watcher};

/// A call that failed: what was tried, on what, and what a person can do.
pub(super) fn failure(reason: Reason, what: &str, error: &Error, now: Moment) -> Failure {
    let failure = Failure::new(reason, format!("cannot {what}: {}", words(error)));
    match error {
        Error::Api(status) if status.code == 403 => failure
            .retry(Retry::At(now + Span::minutes(1)))
            .fix("give clavigerd's ServiceAccount that verb on that resource; the chart's Roles have it"),
        Error::Api(status) if status.code == 404 => failure
            .retry(Retry::At(now + Span::seconds(30)))
            .fix("create the namespace, or apply the custom resource definitions: `clavigerd crds | kubectl apply --server-side -f -`"),
        Error::Api(status) if status.code == 413 || status.code == 422 => failure
            .retry(Retry::Never)
            .fix("mend what the API server names; an object holds at most 1.5 MiB and a Secret keeps its type for life"),
        // Whatever else it says, it is away for us, and what was heard elsewhere meanwhile is kept until it is back.
        Error::Api(status) => {
            let asked = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
            failure.retry(Retry::At(now + Span::seconds(asked.max(10).into())))
        }
        _ => failure.retry(Retry::At(now + Span::seconds(10))).maybe_done(),
    }
}

/// Why a watch does not tell what happens.
pub(super) fn reason(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => words(error),
        watcher::Error::WatchError(status) => format!("the API server says {}: {}", status.code, status.message),
        watcher::Error::NoResourceVersion => "the list has no resource version".to_owned(),
    }
}

/// In the API server's words, else in those of the connection; never more than a line of them.
pub(super) fn words(error: &Error) -> String {
    match error {
        Error::Api(status) => {
            let text: String = status.message.chars().take(MOST).collect();
            format!("the API server says {}: {text}", status.code)
        }
        other => {
            let mut text = other.to_string();
            let mut cause = std::error::Error::source(other);
            while let Some(deeper) = cause {
                let said = deeper.to_string();
                if !text.contains(&said) {
                    text = format!("{text}: {said}");
                }
                cause = deeper.source();
            }
            format!("the API server did not answer: {}", text.chars().take(MOST).collect::<String>())
        }
    }
}

/// Whether it is not known what became of it.
pub(super) const fn is_lost(error: &Error) -> bool {
    !matches!(error, Error::Api(_))
}

/// Whether the object is not there.
pub(super) fn is_missing(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 404)
}

/// Whether the API server refuses until somebody gives a right, or the definition of the kind.
pub(super) fn is_refused(error: &Error) -> bool {
    matches!(error, Error::Api(status) if matches!(status.code, 403 | 404))
}

/// Whether somebody else was faster, or the object is another one of the same name.
pub(super) fn is_conflict(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 409)
}

const MOST: usize = 400;
