//! How an ACME server refuses (RFC 8555 section 6.7).

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A problem document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The last part of the type, for example `rateLimited`.
    pub kind: String,
    /// The sentence for people.
    pub detail: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong with single names.
    pub subproblems: Vec<(String, Self)>,
    /// Milliseconds to wait.
    pub retry_after: Option<i64>,
}

impl Problem {
    /// A problem with the status that Let's Encrypt gives to this kind.
    pub fn new(kind: &str, detail: impl Into<String>) -> Self {
        let status = match kind {
            "unauthorized" | "orderNotReady" | "userActionRequired" | "caa" => 403,
            "rateLimited" => 429,
            "serverInternal" => 500,
            "alreadyReplaced" => 409,
            _ => 400,
        };
        Self { kind: kind.into(), detail: detail.into(), status, subproblems: Vec::new(), retry_after: None }
    }

    /// The same under another HTTP status.
    #[must_use]
    pub fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// The same with what is wrong with one name.
    #[must_use]
    pub fn about(mut self, name: &str, problem: Self) -> Self {
        self.subproblems.push((name.into(), problem));
        self
    }

    pub(super) fn later(self, millis: i64) -> Self {
        Self { retry_after: Some(millis), ..self }
    }

    /// The document of RFC 7807.
    pub fn document(&self) -> Value {
        let mut document = json!({
            "type": format!("urn:ietf:params:acme:error:{}", self.kind),
            "detail": self.detail,
            "status": self.status,
        });
        if !self.subproblems.is_empty() {
            let one = |(name, problem): &(String, Self)| {
                let mut document = problem.document();
                document["identifier"] = json!({ "type": "dns", "value": name });
                document
            };
            document["subproblems"] = self.subproblems.iter().map(one).collect();
        }
        document
    }
}

pub(crate) fn malformed(detail: impl Into<String>) -> Problem {
    Problem::new("malformed", detail)
}

pub(super) fn unauthorized(detail: impl Into<String>) -> Problem {
    Problem::new("unauthorized", detail)
}

pub(super) fn nowhere(what: &str) -> Problem {
    malformed(format!("No {what} found")).status(404)
}
