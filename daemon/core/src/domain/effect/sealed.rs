//! Private keys as they are kept: wrapped.

use claviger_config::{IssuerName, KeyAlgorithm};
use serde::{Deserialize, Serialize};

/// A private key as ciphertext: an AWS Encryption SDK message, base64.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Sealed(pub String);

/// A wrapped private key and what may be known of it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SealedKey {
    /// The key, wrapped.
    pub key: Sealed,
    /// SHA-256 over its SubjectPublicKeyInfo, lower hexadecimal.
    pub spki_sha256: String,
    /// Its algorithm.
    pub algorithm: KeyAlgorithm,
}

/// What a wrapped private key is for; part of the encryption context.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum KeyUse {
    /// The account at an issuer.
    Account(IssuerName),
    /// The certificate.
    Certificate,
}

impl KeyUse {
    /// The word in the encryption context.
    pub fn word(&self) -> String {
        match self {
            Self::Account(issuer) => format!("account/{issuer}"),
            Self::Certificate => "certificate".to_owned(),
        }
    }
}
