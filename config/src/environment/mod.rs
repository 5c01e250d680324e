//! `kind: Environment`: the unit of separation.

mod edge;
mod issuer;
mod kms;
mod policy;
mod secret;
mod zone;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{
    edge::{CloudflareEdge, DeletionGuards, Edge, HostnameDefaults, TlsVersion},
    issuer::{AcmeIssuer, AuthorityReference, Issuer, IssuerStatus, Trust},
    kms::{CredentialsFile, KmsNamespace},
    policy::{Class, Policy, Rule},
    secret::{SecretKey, SecretReference},
    zone::{ChallengeType, CloudflareDns, DnsProvider, Rfc2136, Route53, TsigAlgorithm, TsigKey, Zone},
};
use crate::{certificate::IssuerChoice, condition::CommonStatus, moment::Moment, name::Namespace};

/// How sensitive what lies inside is.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Classification {
    /// For anybody.
    Public,
    /// For the company.
    #[default]
    Internal,
    /// For those who need it.
    Confidential,
    /// For few, by name.
    Restricted,
}

/// One environment.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvironmentSpec {
    /// Production or not. Immutable.
    pub class: Class,
    /// The namespaces whose resources belong to it. Optional: its own name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 500))]
    pub namespaces: Vec<Namespace>,
    /// Who answers for it; inherited by everything inside.
    #[schemars(length(min = 1, max = 253))]
    pub owner: String,
    /// How sensitive it is; inherited by everything inside. Optional: `internal`.
    #[serde(default)]
    pub classification: Classification,
    /// Where its keys live.
    pub kms: KmsNamespace,
    /// The DNS names that it may use. Optional: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 500))]
    pub zones: Vec<Zone>,
    /// Ways to a certificate. Optional: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub issuers: Vec<Issuer>,
    /// The issuers, in order, of certificates that name none. Optional: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub default_issuers: Vec<IssuerChoice>,
    /// What it may do. Optional: the defaults of its class.
    #[serde(default, skip_serializing_if = "Policy::is_default")]
    pub policy: Policy,
    /// Where customers' host names are served. Optional: nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edge: Option<Edge>,
}

/// Something that belongs to this environment only.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct Claim {
    /// What kind of thing: `namespace`, `key`, `account` …
    pub what: String,
    /// Which.
    pub value: String,
}

/// Status of an `Environment`.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentStatus {
    /// What every status begins with.
    #[serde(flatten)]
    pub common: CommonStatus,
    /// What belongs to it alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<Claim>,
    /// Its accounts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub issuers: Vec<IssuerStatus>,
    /// When it was last looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_at: Option<Moment>,
}
