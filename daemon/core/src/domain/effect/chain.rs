//! A certificate with its chain, and with its key.

use claviger_config::{DnsName, IssuerName, Moment};
use serde::{Deserialize, Serialize};

use super::sealed::SealedKey;

/// A verified chain.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Chain {
    /// Leaf first, PEM.
    pub pem: String,
    /// The serial number, lower hexadecimal.
    pub serial: String,
    /// SHA-256 over the SubjectPublicKeyInfo, lower hexadecimal.
    pub spki_sha256: String,
    /// SHA-256 over the leaf certificate, lower hexadecimal.
    pub fingerprint: String,
    /// The names, sorted.
    pub names: Vec<DnsName>,
    /// Valid from.
    pub not_before: Moment,
    /// Valid until.
    pub not_after: Moment,
    /// Its id for renewal information (RFC 9773 section 4.1); absent when it has no authority key identifier.
    pub renewal_id: Option<String>,
}

/// A chain and its key.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Issued {
    /// The chain.
    pub chain: Chain,
    /// The key, wrapped.
    pub key: SealedKey,
    /// Where it came from; absent when it was adopted.
    pub issuer: Option<IssuerName>,
    /// The profile that it was asked with.
    pub profile: Option<String>,
    /// When it came.
    pub at: Moment,
}
