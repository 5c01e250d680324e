//! What comes of a request: an answer, or none.

use bytes::Bytes;
use claviger_config::Moment;

/// A whole answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Reply {
    /// The status.
    pub(super) status: u16,
    /// When the CA wants to be asked again.
    pub(super) retry_after: Option<Moment>,
    /// When the CA says it answered.
    pub(super) date: Option<Moment>,
    /// Where the thing is that was made.
    pub(super) location: Option<String>,
    /// Relations and targets.
    pub(super) links: Vec<(String, String)>,
    /// The body.
    pub(super) body: Bytes,
}

impl Reply {
    /// Whether the status is 2xx.
    pub(super) const fn is_success(&self) -> bool {
        matches!(self.status, 200..=299)
    }
}

/// How a request broke.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Break {
    /// No connection.
    Connect,
    /// No connection in time.
    ConnectTimeout,
    /// The connection ended before the answer did.
    Cut,
    /// The name has no address.
    Dns,
    /// Plain http to something else than loopback, or no http at all.
    Forbidden,
    /// No answer in time.
    Timeout,
    /// No TLS that we trust.
    Tls,
    /// An answer above the ceiling.
    TooLarge,
}

impl Break {
    /// Its word in metrics.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::ConnectTimeout => "connect-timeout",
            Self::Cut => "cut",
            Self::Dns => "dns",
            Self::Forbidden => "forbidden",
            Self::Timeout => "timeout",
            Self::Tls => "tls",
            Self::TooLarge => "too-large",
        }
    }

    /// Whether the request may have reached the CA.
    pub(super) const fn sent(self) -> bool {
        matches!(self, Self::Cut | Self::Timeout | Self::TooLarge)
    }
}

/// A request without an answer.
#[derive(Clone, Debug, thiserror::Error)]
#[error("no answer from `{url}`: {words}")]
pub(super) struct Broken {
    pub(super) how: Break,
    pub(super) url: String,
    pub(super) words: String,
}
