//! What it means that there are no credentials.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::error::ErrorMetadata;
use claviger_config::Reason;
use claviger_core::domain::failure::Failure;

use super::{
    asked::Asked,
    credentials::CredentialFault,
    words::{causes, shortened, told},
};

/// Why there are no credentials to sign with.
#[derive(Debug)]
pub(super) enum SignIn {
    /// There are some, of another account.
    OtherAccount(String),
    /// AWS STS said no.
    Refused { code: String, message: String },
    /// The settings do not say where.
    SettingMissing(String),
    /// AWS STS, or what else gives them, did not answer.
    Unreachable(String),
    /// There are none, or they cannot be read.
    Unusable(String),
}

impl SignIn {
    /// Finds the loss of credentials among the causes of an error.
    pub(super) fn within(error: &(dyn Error + 'static)) -> Option<Self> {
        match causes(error).find_map(|cause| cause.downcast_ref::<CredentialsError>()) {
            Some(credentials) => Some(Self::of(credentials)),
            None => causes(error).any(took_too_long).then(|| Self::Unreachable(told(error))),
        }
    }

    fn of(error: &CredentialsError) -> Self {
        if let Some(fault) = causes(error).find_map(|cause| cause.downcast_ref::<CredentialFault>()) {
            return match fault {
                CredentialFault::OtherAccount { found } => Self::OtherAccount(found.clone()),
                CredentialFault::NoFolder { .. } => Self::SettingMissing(fault.to_string()),
                _ => Self::Unusable(told(fault)),
            };
        }
        let said = causes(error).find_map(|cause| cause.downcast_ref::<ErrorMetadata>());
        let unreachable = matches!(error, CredentialsError::ProviderTimedOut(_))
            || causes(error).any(|cause| cause.is::<ConnectorError>() || cause.to_string() == "request has timed out");
        match said.and_then(|said| Some((said.code()?, said.message().unwrap_or_default()))) {
            Some((code, message)) => Self::Refused { code: code.to_owned(), message: shortened(message) },
            None if unreachable || said.is_some() => Self::Unreachable(told(error)),
            None => Self::Unusable(told(error)),
        }
    }

    pub(super) fn failure(self, asked: &Asked<'_>, call: &str) -> Failure {
        let identity = asked.identity;
        match self {
            Self::OtherAccount(found) => asked.place.elsewhere(&format!("{identity} of account {found}")),
            Self::Refused { code, message } => {
                Failure::new(reason(&code), format!("{call}: no credentials by {identity}: STS says {code}: {message}"))
                    .fix(format!("see that the role's trust policy names the caller, and that {identity} is right"))
            }
            Self::SettingMissing(text) => Failure::new(Reason::SettingMissing, text)
                .fix("set `files.read` to the folder that holds the credentials file"),
            Self::Unreachable(text) => {
                Failure::new(Reason::KmsUnreachable, format!("{call}: no credentials by {identity}: {text}"))
                    .fix("see whether this machine reaches AWS STS, and whether `endpoints.sts` is right")
            }
            Self::Unusable(text) => {
                Failure::new(Reason::KmsDenied, format!("{call}: no credentials by {identity}: {text}")).fix(
                    "see `kms.credentials` and `kms.assumeRole` of the environment; no other credentials are tried",
                )
            }
        }
    }
}

/// The SDK's own end to the search for credentials; its type has no name outside.
fn took_too_long(cause: &(dyn Error + 'static)) -> bool {
    cause.to_string().starts_with("identity resolver timed out")
}

fn reason(code: &str) -> Reason {
    match code {
        "Throttling" | "ThrottlingException" | "RequestLimitExceeded" => Reason::KmsThrottled,
        "InternalFailure" | "ServiceUnavailable" => Reason::KmsUnreachable,
        _ => Reason::KmsDenied,
    }
}
