//! Judges the certificate chain that a certificate authority (or an adopted file) presents, before anything is
//! delivered.
//!
//! [`Chain::read`] takes hostile bytes; [`Chain::verify`] compares what was read with what was asked for and says
//! *everything* that differs. Both are pure: the moment of judging is an argument.
//!
//! Where we are stricter than RFC 5280: the names must be exactly those asked for, SHA-1 signatures are refused, and
//! each certificate must certify the one before it in the order sent (RFC 8555 section 9.1). Where we are laxer:
//! revocation, policies and name constraints are left to the verifying client, and issuer names are compared byte by
//! byte instead of by the rules of RFC 5280 section 7.1.

mod fault;
mod path;
mod reading;

pub use fault::{ChainFault, ChainFaults, Position};

use crate::adapters::craft::{keys, pem};
use std::collections::BTreeSet;
use x509_parser::certificate::X509Certificate;

/// A chain of well-formed certificates, leaf first. Nothing is verified yet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Chain {
    certificates: Vec<Vec<u8>>,
    leaf: Leaf,
}

/// What the leaf certificate says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Leaf {
    /// The serial number in lower hex, without a sign byte.
    pub serial: String,
    /// SHA-256 over the whole certificate, lower hex.
    pub fingerprint: String,
    /// The fingerprint of its public key, as in [`keys::PrivateKey::spki_sha256`].
    pub spki_sha256: String,
    /// From when it holds, in milliseconds since 1970.
    pub not_before_ms: i64,
    /// Until when it holds, in milliseconds since 1970.
    pub not_after_ms: i64,
    /// The subject alternative names in lower case, sorted. What is not a DNS name has its kind in front
    /// (`ip:192.0.2.1`).
    pub names: Vec<String>,
    /// The distinguished name of its issuer, for people.
    pub issuer: String,
    /// The identifier for renewal information (RFC 9773 section 4.1); absent when there is no authority key identifier.
    pub ari_id: Option<String>,
}

/// What was asked for, and when the answer is judged.
#[derive(Clone, Debug)]
pub struct Expected<'a> {
    /// The DNS names, in any order and case.
    pub names: &'a [String],
    /// The fingerprint of the key for which the certificate was asked.
    pub spki_sha256: &'a str,
    /// Now, in milliseconds since 1970.
    pub now_ms: i64,
    /// How far notBefore may lie ahead: the difference that clocks are granted.
    pub skew_ms: i64,
    /// The longest lifetime that is believed.
    pub longest_lifetime_ms: i64,
    /// PEM texts of the roots at one of which the chain must end. Without them the end of the chain is not judged.
    pub trusted_roots: Option<&'a [String]>,
}

/// How long a chain may be.
pub const MAX_CERTIFICATES: usize = 10;
/// How long one certificate may be as PEM text. A leaf with 100 names stays below.
pub const MAX_CERTIFICATE_LENGTH: usize = 36_500;
/// How long a chain may be as PEM text.
pub const MAX_CHAIN_LENGTH: usize = MAX_CERTIFICATES * MAX_CERTIFICATE_LENGTH;

/// Reads `chain_pem` and holds it against `expected`.
pub fn verify(chain_pem: &[u8], expected: &Expected<'_>) -> Result<Leaf, ChainFaults> {
    Chain::read(chain_pem)?.verify(expected)
}

impl<'a> Expected<'a> {
    /// What every certificate must satisfy: five minutes of skew, a lifetime of at most ten years (test authorities go
    /// to five), any end.
    pub fn new(names: &'a [String], spki_sha256: &'a str, now_ms: i64) -> Self {
        let (skew_ms, longest_lifetime_ms) = (5 * 60 * 1000, 10 * 366 * 24 * 3600 * 1000);
        Self { names, spki_sha256, now_ms, skew_ms, longest_lifetime_ms, trusted_roots: None }
    }
}

impl Chain {
    /// Reads a PEM text of certificates, leaf first.
    pub fn read(text: &[u8]) -> Result<Self, ChainFaults> {
        let certificates = reading::blocks(text)?;
        let leaf = Leaf::of(&reading::parse_all(&certificates)?)?;
        Ok(Self { certificates, leaf })
    }

    /// What the leaf says, believed or not.
    pub fn leaf(&self) -> &Leaf {
        &self.leaf
    }

    /// The whole chain as PEM, without anything that stood around the certificates.
    pub fn pem(&self) -> String {
        to_pem(&self.certificates)
    }

    /// The leaf as PEM.
    pub fn leaf_pem(&self) -> String {
        to_pem(self.certificates.iter().take(1))
    }

    /// The certificates above the leaf as PEM; empty when there are none.
    pub fn issuers_pem(&self) -> String {
        to_pem(self.certificates.iter().skip(1))
    }

    /// The leaf as DER.
    pub fn leaf_der(&self) -> &[u8] {
        self.certificates.first().map_or(&[], Vec::as_slice)
    }

    /// Holds the chain against `expected`; every difference is named, not only the first.
    pub fn verify(&self, expected: &Expected<'_>) -> Result<Leaf, ChainFaults> {
        let certificates = reading::parse_all(&self.certificates)?;
        let mut faults = self.leaf.differences(expected);
        faults.extend(
            certificates.first().into_iter().flat_map(|leaf| [not_a_server(leaf), self_signed(leaf)]).flatten(),
        );
        faults.extend(path::faults(&certificates, expected));
        ChainFaults::none_or(faults)?;
        Ok(self.leaf.clone())
    }
}

impl Leaf {
    /// For how long the certificate was made: what tells one profile of a certificate authority from another.
    pub fn lifetime_ms(&self) -> i64 {
        self.not_after_ms - self.not_before_ms
    }

    fn of(certificates: &[X509Certificate<'_>]) -> Result<Self, ChainFaults> {
        let leaf = certificates.first().ok_or(ChainFault::Empty)?;
        let unreadable = |_| ChainFault::Unreadable { position: Position(1) };
        Ok(Self {
            serial: reading::serial(leaf),
            fingerprint: keys::sha256(leaf.as_raw()),
            spki_sha256: keys::sha256(leaf.public_key().raw),
            not_before_ms: leaf.validity().not_before.timestamp() * 1000,
            not_after_ms: leaf.validity().not_after.timestamp() * 1000,
            names: reading::names(leaf).map_err(unreadable)?,
            issuer: reading::name(leaf.issuer()),
            ari_id: reading::ari_id(leaf).map_err(unreadable)?,
        })
    }

    fn differences(&self, expected: &Expected<'_>) -> Vec<ChainFault> {
        let differences = [self.other_key(expected), self.other_names(expected), self.odd_lifetime(expected)];
        differences.into_iter().flatten().collect()
    }

    fn other_key(&self, expected: &Expected<'_>) -> Option<ChainFault> {
        let (found, expected) = (self.spki_sha256.clone(), expected.spki_sha256.to_owned());
        (found != expected).then_some(ChainFault::KeyDiffers { found, expected })
    }

    fn other_names(&self, expected: &Expected<'_>) -> Option<ChainFault> {
        let asked: BTreeSet<String> = expected.names.iter().map(|name| name.to_ascii_lowercase()).collect();
        let found: BTreeSet<String> = self.names.iter().cloned().collect();
        (found != asked).then(|| ChainFault::NamesDiffer {
            found: found.into_iter().collect(),
            expected: asked.into_iter().collect(),
        })
    }

    fn odd_lifetime(&self, expected: &Expected<'_>) -> Option<ChainFault> {
        let accepted = 1..=expected.longest_lifetime_ms;
        (!accepted.contains(&self.lifetime_ms())).then_some(ChainFault::Lifetime {
            not_before_ms: self.not_before_ms,
            not_after_ms: self.not_after_ms,
            longest_ms: expected.longest_lifetime_ms,
        })
    }
}

/// A leaf must not be able to sign certificates, and a server must be able to use it.
fn not_a_server(leaf: &X509Certificate<'_>) -> Option<ChainFault> {
    if leaf.is_ca() {
        return Some(ChainFault::LeafIsAuthority { subject: reading::name(leaf.subject()) });
    }
    let usage = leaf.extended_key_usage().ok().flatten()?.value;
    (!usage.server_auth && !usage.any).then_some(ChainFault::NotForServers)
}

fn self_signed(leaf: &X509Certificate<'_>) -> Option<ChainFault> {
    let by_itself = leaf.issuer().as_raw() == leaf.subject().as_raw() && leaf.verify_signature(None).is_ok();
    by_itself.then(|| ChainFault::LeafSelfSigned { subject: reading::name(leaf.subject()) })
}

fn to_pem<'a>(certificates: impl IntoIterator<Item = &'a Vec<u8>>) -> String {
    certificates.into_iter().map(|der| pem::write("CERTIFICATE", der).to_string()).collect()
}

#[cfg(test)]
mod tests;
