//! At an ACME CA (RFC 8555): what is changed, and what it shows.

use claviger_config::{DnsName, IssuerName, Moment};
use serde::{Deserialize, Serialize};

use super::sealed::Sealed;
use crate::domain::failure::Failure;

/// Changes at an ACME CA (RFC 8555).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum AcmeEffect {
    /// Tell the CA that every proof of the order is in place (section 7.5.1).
    Answer {
        /// The issuer.
        issuer: IssuerName,
        /// The order's URL.
        order: String,
    },
    /// Hand in the request for a key that was made and stored before (section 7.4).
    Finalize {
        /// The issuer.
        issuer: IssuerName,
        /// The order's URL.
        order: String,
        /// The names, in the document's order.
        names: Vec<DnsName>,
        /// The key, wrapped.
        key: Sealed,
    },
    /// Open an order (section 7.4). RFC 8555 knows no question for it: a lost answer costs at most one stray order.
    OpenOrder {
        /// The issuer.
        issuer: IssuerName,
        /// The names, in the document's order.
        names: Vec<DnsName>,
        /// The profile.
        profile: Option<String>,
        /// The certificate that it replaces (RFC 9773 section 5).
        replaces: Option<String>,
    },
    /// Register the account whose key was made and stored before (section 7.3). The same key gives the same account.
    Register {
        /// The issuer.
        issuer: IssuerName,
        /// The account's key, wrapped.
        key: Sealed,
    },
}

/// An account at an ACME CA.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Account {
    /// The issuer.
    pub issuer: IssuerName,
    /// The directory that it was registered at.
    pub directory: String,
    /// Its URL.
    pub url: String,
    /// Its key, wrapped.
    pub key: Sealed,
    /// The thumbprint of its key (RFC 7638), base64url.
    pub thumbprint: String,
}

/// An order that was opened, and for what.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Opened {
    /// The issuer.
    pub issuer: IssuerName,
    /// The names.
    pub names: Vec<DnsName>,
    /// The profile.
    pub profile: Option<String>,
    /// The order.
    pub order: OrderSeen,
}

/// An order as the CA shows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OrderSeen {
    /// Its URL.
    pub url: String,
    /// How far it is.
    pub stage: Stage,
    /// When the CA wants to be asked again.
    pub ask_again: Option<Moment>,
    /// Whether the CA took it as a replacement (RFC 9773 section 5).
    pub replaces: bool,
}

/// How far an order is (RFC 8555 section 7.1.6).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Stage {
    /// The CA does not know it, or it has expired.
    Gone,
    /// It failed; the CA's words.
    Invalid(Box<Failure>),
    /// Proofs are missing; so many challenges wait for our answer.
    Pending {
        /// Challenges that nobody has answered yet.
        unanswered: u32,
    },
    /// The CA is issuing.
    Processing,
    /// It may be finalized.
    Ready,
    /// The certificate can be had.
    Valid,
}

/// When a CA suggests to renew (RFC 9773).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Window {
    /// From.
    pub start: Moment,
    /// To.
    pub end: Moment,
    /// When to ask again.
    pub ask_again: Moment,
    /// Why it was moved.
    pub explanation_url: Option<String>,
}
