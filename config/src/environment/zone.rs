//! DNS names that an environment may use, and how control of them is proven.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::secret::SecretReference;
use crate::name::DnsName;

/// DNS names that an environment may use.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Zone {
    /// The zone: this name and all below it.
    pub name: DnsName,
    /// Inner zones that belong to other environments. Optional: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 500))]
    pub except: Vec<DnsName>,
    /// How control is proven, in order of preference. Optional: `http-01`.
    #[serde(default = "default_challenges")]
    #[schemars(length(min = 1))]
    pub challenges: Vec<ChallengeType>,
    /// Where DNS records are written. Optional: nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<DnsProvider>,
}

fn default_challenges() -> Vec<ChallengeType> {
    vec![ChallengeType::Http01]
}

/// RFC 8555 section 8.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
pub enum ChallengeType {
    /// A TXT record; comes with a later release.
    #[serde(rename = "dns-01")]
    Dns01,
    /// A file below `/.well-known/acme-challenge/`, answered by claviger's own listener.
    #[serde(rename = "http-01")]
    Http01,
}

/// Exactly one way to write DNS records; all of them come with a later release.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-exactly-one" = ["rfc2136", "cloudflare", "route53", "provider"]))]
pub struct DnsProvider {
    /// Dynamic update (RFC 2136) with TSIG.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rfc2136: Option<Rfc2136>,
    /// Cloudflare's DNS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloudflare: Option<CloudflareDns>,
    /// Amazon Route 53, with the credentials of the environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route53: Option<Route53>,
    /// A provider of the `dns-update` crate, by its name there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub provider: Option<String>,
    /// What that provider needs, by its names there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, SecretReference>,
}

/// Dynamic update of one server.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rfc2136 {
    /// Address and port of the primary server.
    #[schemars(extend("format" = "socket-address"))]
    pub server: String,
    /// The TSIG key.
    pub key: TsigKey,
}

/// A TSIG key (RFC 8945).
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TsigKey {
    /// The name of the key.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// `hmac-sha256`, `hmac-sha384` or `hmac-sha512`.
    pub algorithm: TsigAlgorithm,
    /// The key, base64, in a file or Secret.
    pub secret: SecretReference,
}

/// RFC 8945 section 6.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TsigAlgorithm {
    /// HMAC with SHA-256.
    HmacSha256,
    /// HMAC with SHA-384.
    HmacSha384,
    /// HMAC with SHA-512.
    HmacSha512,
}

/// DNS at Cloudflare.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CloudflareDns {
    /// A token that may edit the zone's records.
    pub api_token: SecretReference,
}

/// DNS at Amazon; nothing to set.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Route53 {}
