//! Where customers' host names are served.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::secret::SecretReference;
use crate::{hostname::Validation, moment::Span, name::DnsName};

/// Where customers' host names are served.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Edge {
    /// Cloudflare SSL for SaaS.
    pub cloudflare: CloudflareEdge,
}

/// A Cloudflare zone with custom host names.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CloudflareEdge {
    /// The zone's id: 32 hexadecimal digits.
    #[schemars(extend("format" = "cloudflare-zone"))]
    pub zone_id: String,
    /// A token with "SSL and Certificates Write".
    pub api_token: SecretReference,
    /// What customers point at.
    pub target: DnsName,
    /// What host names get that do not say otherwise. Optional.
    #[serde(default)]
    pub defaults: HostnameDefaults,
    /// How many certificates Cloudflare issues a minute for this account. Optional: 15.
    #[serde(default = "default_issuance")]
    #[schemars(range(min = 1, max = 10_000))]
    pub issuance_per_minute: u32,
    /// Guards around deletion, which comes with a later release. Optional.
    #[serde(default)]
    pub deletion: DeletionGuards,
}

fn default_issuance() -> u32 {
    15
}

/// What host names get that do not say otherwise.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HostnameDefaults {
    /// How control is proven. Optional: `http`.
    #[serde(default)]
    pub validation: Validation,
    /// The oldest TLS version that is served. Optional: the zone's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_tls_version: Option<TlsVersion>,
}

/// TLS versions as Cloudflare writes them.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
pub enum TlsVersion {
    /// TLS 1.0.
    #[serde(rename = "1.0")]
    V1_0,
    /// TLS 1.1.
    #[serde(rename = "1.1")]
    V1_1,
    /// TLS 1.2.
    #[serde(rename = "1.2")]
    V1_2,
    /// TLS 1.3.
    #[serde(rename = "1.3")]
    V1_3,
}

impl TlsVersion {
    /// As Cloudflare writes it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::V1_0 => "1.0",
            Self::V1_1 => "1.1",
            Self::V1_2 => "1.2",
            Self::V1_3 => "1.3",
        }
    }
}

/// Guards around the deletion of host names.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeletionGuards {
    /// How long a removed name is kept. Optional: `7d`.
    #[serde(default = "default_grace")]
    pub grace: Span,
    /// At most so many a day. Optional: 20.
    #[serde(default = "default_max_per_day")]
    pub max_per_day: u32,
    /// At most this share of all names at once. Optional: `5%`.
    #[serde(default = "default_max_share")]
    #[schemars(extend("format" = "percent"))]
    pub max_share: String,
}

impl Default for DeletionGuards {
    fn default() -> Self {
        Self { grace: default_grace(), max_per_day: default_max_per_day(), max_share: default_max_share() }
    }
}

fn default_grace() -> Span {
    Span::days(7)
}

fn default_max_per_day() -> u32 {
    20
}

fn default_max_share() -> String {
    "5%".to_owned()
}
