//! What is asked of the outside.

use claviger_config::{DnsName, IssuerName};
use serde::{Deserialize, Serialize};

use super::{dns::DnsQuestion, outlet::OutletTarget};
use crate::domain::budget::Class;

/// One question to the outside. Costs budget like an effect, changes nothing.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Query {
    /// Download and verify what was issued.
    Certificate {
        /// The issuer.
        issuer: IssuerName,
        /// The order's URL.
        order: String,
        /// The names that it must have.
        names: Vec<DnsName>,
        /// The key that it must have.
        spki_sha256: String,
    },
    /// The wrapped account key that was kept.
    AccountKey {
        /// The issuer.
        issuer: IssuerName,
    },
    /// A custom host name, by exact name.
    Hostname {
        /// The name.
        hostname: DnsName,
        /// Its id, when known.
        id: Option<String>,
    },
    /// The key behind an ARN.
    Key {
        /// The key.
        arn: String,
        /// The alias whose target is told beside.
        alias: String,
    },
    /// The key that carries this object's alias or tags, when the record knows none.
    LostKey {
        /// `alias/…`.
        alias: String,
    },
    /// How far an order is.
    Order {
        /// The issuer.
        issuer: IssuerName,
        /// The order's URL.
        order: String,
    },
    /// What an outlet holds.
    Outlet {
        /// The outlet.
        outlet: OutletTarget,
    },
    /// What DNS shows of a customer's records.
    Records {
        /// The questions.
        questions: Vec<DnsQuestion>,
    },
    /// When the CA suggests to renew (RFC 9773).
    Window {
        /// The issuer.
        issuer: IssuerName,
        /// The certificate's id there.
        certificate: String,
    },
}

impl Query {
    /// Its word in logs and metrics.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::AccountKey { .. } => "find_account_key",
            Self::Certificate { .. } => "download_certificate",
            Self::Hostname { .. } => "read_hostname",
            Self::Key { .. } => "read_key",
            Self::LostKey { .. } => "find_key",
            Self::Order { .. } => "read_order",
            Self::Outlet { .. } => "read_outlet",
            Self::Records { .. } => "read_records",
            Self::Window { .. } => "read_renewal_window",
        }
    }

    /// What it pays.
    pub const fn pays(&self) -> &'static [Class] {
        match self {
            Self::Certificate { .. } | Self::Order { .. } | Self::Window { .. } => &[Class::AcmeRequests],
            Self::Hostname { .. } => &[Class::EdgeCalls],
            Self::Key { .. } | Self::LostKey { .. } => &[Class::KmsReads],
            Self::AccountKey { .. } | Self::Outlet { .. } | Self::Records { .. } => &[],
        }
    }
}
