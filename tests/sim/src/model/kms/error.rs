//! How AWS refuses: a code, a status and a sentence.

use serde_json::{Value, json};

/// A refusal as KMS and STS word it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsError {
    /// The error code, for example `NotFoundException`.
    pub code: &'static str,
    /// The HTTP status that goes with it.
    pub status: u16,
    /// AWS's sentence; some refusals have none.
    pub message: Option<String>,
}

impl AwsError {
    /// A refusal with status 400, which is what KMS uses for nearly everything.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, status: 400, message: Some(message.into()) }
    }

    /// A refusal of which AWS tells nothing but the code.
    pub fn bare(code: &'static str) -> Self {
        Self { code, status: 400, message: None }
    }

    /// The same refusal under another HTTP status.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// The body of AWS JSON 1.1.
    pub fn body(&self) -> Value {
        match &self.message {
            Some(message) => json!({ "__type": self.code, "message": message }),
            None => json!({ "__type": self.code }),
        }
    }
}

pub(crate) fn validation(message: impl Into<String>) -> AwsError {
    AwsError::new("ValidationException", message)
}

pub(super) fn not_found(message: impl Into<String>) -> AwsError {
    AwsError::new("NotFoundException", message)
}

pub(super) fn invalid_state(arn: &str, state: &str) -> AwsError {
    AwsError::new("KMSInvalidStateException", format!("{arn} is {state}."))
}

pub(super) fn disabled(arn: &str) -> AwsError {
    AwsError::new("DisabledException", format!("{arn} is disabled."))
}

pub(super) fn unsupported(message: impl Into<String>) -> AwsError {
    AwsError::new("UnsupportedOperationException", message)
}

pub(super) fn wrong_usage(arn: &str, usage: &str, operation: &str) -> AwsError {
    AwsError::new("InvalidKeyUsageException", format!("{arn} key usage is {usage} which is not valid for {operation}."))
}

pub(super) fn access_denied(principal: &str, operation: &str, resource: &str) -> AwsError {
    AwsError::new(
        "AccessDeniedException",
        format!(
            "User: {principal} is not authorized to perform: kms:{operation} on resource: {resource} because no \
             identity-based policy allows the kms:{operation} action"
        ),
    )
}
