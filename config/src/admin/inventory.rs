//! Certificates that claviger did not issue, as they were discovered.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    moment::Moment,
    name::{EnvironmentName, Name, Namespace},
};

/// A Secret of type kubernetes.io/tls that claviger did not make, in a namespace that an environment claims.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DiscoveredView {
    /// The environment that claims the namespace.
    pub environment: EnvironmentName,
    /// The namespace.
    pub namespace: Namespace,
    /// The Secret.
    pub name: Name,
    /// Who looks after it: its own label or annotation `claviger.dev/owner`, else the environment's owner.
    pub owner: String,
    /// What keeps it, as it says itself: a controller, cert-manager's certificate, `app.kubernetes.io/managed-by`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed_by: Option<String>,
    /// How its certificate stands.
    pub state: DiscoveredState,
    /// The certificate, as it was read last; absent while it was not, or when it cannot be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<DiscoveredCertificate>,
    /// What somebody should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<DiscoveredFinding>,
}

/// How a discovered certificate stands.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
pub enum DiscoveredState {
    /// It is over.
    Expired,
    /// The last fifth of its life has begun: whoever renews it is late.
    Expiring,
    /// Its time has not come.
    NotYetValid,
    /// It was not read yet, or the API server does not let us.
    Unread,
    /// `tls.crt` holds no certificate.
    Unreadable,
    /// It holds.
    Valid,
}

impl DiscoveredState {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Expired, Self::Expiring, Self::NotYetValid, Self::Unread, Self::Unreadable, Self::Valid];

    /// The word in answers and metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Expired => "Expired",
            Self::Expiring => "Expiring",
            Self::NotYetValid => "NotYetValid",
            Self::Unread => "Unread",
            Self::Unreadable => "Unreadable",
            Self::Valid => "Valid",
        }
    }
}

/// What a discovered certificate says of itself.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DiscoveredCertificate {
    /// The names in it; what is no DNS name has its kind in front.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Who issued it.
    pub issuer: String,
    /// The serial number, hexadecimal.
    pub serial: String,
    /// SHA-256 over the SubjectPublicKeyInfo, hexadecimal.
    pub spki_sha256: String,
    /// Valid from.
    pub not_before: Moment,
    /// Valid until.
    pub not_after: Moment,
}

/// What somebody should know of a discovered certificate.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DiscoveredFinding {
    /// In a word.
    pub name: DiscoveredProblem,
    /// What is the matter.
    pub message: String,
    /// What to do.
    pub fix: String,
}

/// What may be the matter with a discovered certificate.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
pub enum DiscoveredProblem {
    /// Another environment uses the same private key.
    KeyShared,
    /// Nobody is named who looks after it, and nothing keeps it.
    Unowned,
    /// It was not read.
    Unread,
    /// `tls.crt` holds no certificate.
    Unreadable,
}
