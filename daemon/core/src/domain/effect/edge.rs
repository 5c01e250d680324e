//! At the edge: what is changed, and what it shows.

use claviger_config::{DnsName, Moment, environment::TlsVersion, hostname::Validation};
use serde::{Deserialize, Serialize};

/// Changes at the edge. <https://developers.cloudflare.com/api/resources/custom_hostnames/>
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum EdgeEffect {
    /// Create a custom host name.
    Create {
        /// The name.
        hostname: DnsName,
        /// What it shall be.
        settings: EdgeSettings,
    },
    /// Start a validation that has stopped again: a change that changes nothing.
    Refresh {
        /// The id at the edge.
        id: String,
        /// The name.
        hostname: DnsName,
        /// What it is.
        settings: EdgeSettings,
    },
    /// Make the owned fields equal.
    Update {
        /// The id at the edge.
        id: String,
        /// The name.
        hostname: DnsName,
        /// What it shall be.
        settings: EdgeSettings,
    },
}

/// The fields of a custom host name that claviger owns.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct EdgeSettings {
    /// How control is proven.
    pub validation: Validation,
    /// The oldest TLS version; absent: the zone's, not ours to compare.
    pub min_tls_version: Option<TlsVersion>,
}

/// A custom host name as the edge shows it. Words of the edge are kept as they are: unknown ones must not break anything.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct HostnameSeen {
    /// Its id.
    pub id: String,
    /// The name.
    pub hostname: String,
    /// `status`: who owns the name.
    pub status: String,
    /// `ssl`; absent when there is none.
    pub certificate: Option<EdgeCertificate>,
    /// TXT record that proves ownership, name and value.
    pub ownership: Option<(String, String)>,
    /// `verification_errors`.
    pub errors: Vec<String>,
}

/// The certificate of a custom host name as the edge shows it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct EdgeCertificate {
    /// `ssl.status`.
    pub status: String,
    /// `ssl.method`.
    pub method: Option<String>,
    /// `ssl.settings.min_tls_version`.
    pub min_tls_version: Option<String>,
    /// When it expires.
    pub not_after: Option<Moment>,
    /// TXT records that prove the request, name and value.
    pub txt: Vec<(String, String)>,
    /// Files that prove the request, URL and body.
    pub http: Vec<(String, String)>,
    /// `ssl.validation_errors`.
    pub errors: Vec<String>,
}
