//! How Cloudflare refuses: a status, a code and a sentence inside its envelope.

use serde_json::{Value, json};

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudflareError {
    /// The HTTP status.
    pub status: u16,
    /// Cloudflare's code; not all of them keep to its own schema's minimum of 1000.
    pub code: u64,
    /// Its sentence.
    pub message: String,
    /// Milliseconds to wait.
    pub retry_after: Option<i64>,
}

impl CloudflareError {
    /// A refusal.
    pub fn new(status: u16, code: u64, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after: None }
    }

    pub(super) fn later(self, millis: i64) -> Self {
        Self { retry_after: Some(millis), ..self }
    }

    /// The envelope.
    pub fn body(&self) -> Value {
        json!({
            "success": false,
            "errors": [{ "code": self.code, "message": self.message }],
            "messages": [],
            "result": null,
        })
    }
}

pub(super) fn invalid(code: u64, message: impl Into<String>) -> CloudflareError {
    CloudflareError::new(400, code, message)
}

pub(super) fn throttled(wait: i64) -> CloudflareError {
    CloudflareError::new(429, 971, "Please wait and consider throttling your request speed").later(wait)
}
