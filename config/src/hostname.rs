//! `kind: CustomHostname`: a customer's host name at the edge.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{condition::CommonStatus, moment::Moment, name::DnsName};

/// How control over the name is proven to the CA.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Validation {
    /// The customer delegates `_acme-challenge` once; comes with a later release.
    Delegated,
    /// Over HTTP, once the name points at us.
    #[default]
    Http,
    /// By a TXT record; comes with a later release.
    Txt,
}

impl Validation {
    /// The word in documents.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Delegated => "delegated",
            Self::Http => "http",
            Self::Txt => "txt",
        }
    }
}

/// One customer's host name.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CustomHostnameSpec {
    /// The name. Immutable; no wildcard.
    pub hostname: DnsName,
    /// Whose it is; one tenant for life.
    #[schemars(length(min = 1, max = 253))]
    pub tenant: String,
    /// How control is proven. Optional: the edge's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<Validation>,
    /// The product's own reference, given back unchanged. Optional.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub reference: Option<String>,
}

/// Where a host name came from.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Origin {
    /// The admin API.
    Api,
    /// A document.
    Document,
    /// An import of what was at the edge.
    Import,
}

/// How a host name came to the edge.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
pub enum EdgeOrigin {
    /// It was there and was taken over.
    Adopted,
    /// claviger created it.
    Created,
}

/// A host name as the edge shows it.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EdgeView {
    /// Its id at Cloudflare.
    pub id: String,
    /// How it came there.
    pub origin: EdgeOrigin,
    /// Cloudflare's `status`: who owns the name.
    pub hostname: String,
    /// Cloudflare's `ssl.status`: the certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// When the certificate expires; absent when Cloudflare does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Moment>,
    /// When it was last looked at.
    pub observed_at: Moment,
}

/// What a record is for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
pub enum RecordPurpose {
    /// Proves the certificate request.
    Certificate,
    /// Proves the ownership before traffic moves.
    Ownership,
    /// Moves the traffic to us.
    Traffic,
}

/// Whether a record is as it must be.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Verdict {
    /// It is missing: add it.
    Add,
    /// Something else is there.
    Conflict,
    /// It is as it must be.
    Ok,
    /// DNS could not be asked.
    Unknown,
}

/// A record that the customer must have.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CustomerRecord {
    /// What it is for.
    pub purpose: RecordPurpose,
    /// `CNAME`, `TXT` or `HTTP` (a file to serve).
    pub r#type: String,
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Whether it is needed: an alternative proof is optional once another one holds.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// Whether it is as it must be.
    pub verdict: Verdict,
    /// What DNS answered instead.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<String>,
    /// When DNS was last asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked_at: Option<Moment>,
}

/// Status of a `CustomHostname`.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CustomHostnameStatus {
    /// What every status begins with.
    #[serde(flatten)]
    pub common: CommonStatus,
    /// Where the row came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// The edge's view.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edge: Option<EdgeView>,
    /// What the customer must have in DNS.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<CustomerRecord>,
}
