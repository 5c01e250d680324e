//! Why the daemon did not start, and with which code it ends.

use claviger_config::admin::Finding;

/// Why it did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Documents are wrong at the very first start.
    #[error("{} error(s) in the documents; nothing is done before the first start is clean", .0.len())]
    Documents(Vec<Finding>),
    /// The folder of state cannot be used.
    #[error("the state folder cannot be used")]
    State(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An address cannot be listened at.
    #[error("{what} cannot listen at `{address}`; free the address or change the setting `{setting}`")]
    Listen {
        /// Which listener.
        what: &'static str,
        /// Where.
        address: String,
        /// Its setting.
        setting: &'static str,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// A part cannot be built.
    #[error("{what} cannot be started: {why}")]
    Part {
        /// Which.
        what: &'static str,
        /// Why.
        why: String,
    },
    /// The store does not answer.
    #[error("the store does not answer: {0}")]
    Store(String),
}

impl StartError {
    /// A part that cannot be built, and why.
    pub(crate) fn part(what: &'static str, why: &dyn std::fmt::Display) -> Self {
        Self::Part { what, why: why.to_string() }
    }

    /// 2 when the user must mend settings, documents or folders; 1 otherwise.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Documents(_) | Self::Listen { .. } | Self::State(_) => 2,
            Self::Part { .. } | Self::Store(_) => 1,
        }
    }
}
