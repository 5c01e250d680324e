//! `kind: Environment`: the unit of separation.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    certificate::IssuerChoice,
    condition::CommonStatus,
    hostname::Validation,
    moment::{Moment, Span},
    name::{DnsName, IssuerName, Name, Namespace},
};

/// What an environment is for. Immutable.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Staging, test and the like.
    NonProduction,
    /// What customers rely on.
    Production,
}

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

/// The KMS namespace: account, Region, role and alias prefix.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KmsNamespace {
    /// The AWS account, twelve digits.
    #[schemars(extend("format" = "aws-account"))]
    pub account_id: String,
    /// The AWS Region.
    #[schemars(extend("format" = "aws-region"))]
    pub region: String,
    /// The role to assume. Optional: the credentials as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "role-arn"))]
    pub assume_role: Option<String>,
    /// Where the credentials come from. Optional: the AWS chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<CredentialsFile>,
    /// Aliases are `alias/<prefix>/<KmsKey name>`.
    #[schemars(extend("format" = "alias-prefix"))]
    pub alias_prefix: String,
    /// The `KmsKey`, in the first namespace, that wraps private keys and account keys.
    pub wrapping_key: Name,
}

/// A profile in an AWS credentials file below `files.read`.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CredentialsFile {
    /// The file, relative to `files.read`.
    #[schemars(extend("format" = "relative-path"))]
    pub file: String,
    /// The profile in it. Optional: `default`.
    #[serde(default = "default_profile")]
    #[schemars(length(min = 1, max = 253))]
    pub profile: String,
}

fn default_profile() -> String {
    "default".to_owned()
}

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

/// Where a secret stands; never the secret itself.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-exactly-one" = ["file", "secret"], "x-secret-reference" = true))]
pub struct SecretReference {
    /// A file below `files.read`; one trailing line end is ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "relative-path"))]
    pub file: Option<String>,
    /// A Kubernetes Secret in clavigerd's own namespace; comes with the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretKey>,
}

/// One key of a Kubernetes Secret.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretKey {
    /// The Secret.
    pub name: Name,
    /// The key in it.
    #[schemars(extend("format" = "secret-key"))]
    pub key: String,
}

/// Who trusts what an issuer signs.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// Those who were given the internal CA.
    Private,
    /// Every browser.
    Public,
    /// Tests only.
    Test,
}

/// A named way to a certificate.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-exactly-one" = ["acme", "authority"]))]
pub struct Issuer {
    /// How certificates name it.
    pub name: IssuerName,
    /// Who trusts it.
    pub trust: Trust,
    /// An ACME CA (RFC 8555).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acme: Option<AcmeIssuer>,
    /// An internal CA; comes with a later release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<AuthorityReference>,
}

/// An ACME CA.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AcmeIssuer {
    /// The directory's URL: https, or http on loopback.
    #[schemars(extend("format" = "directory-url"))]
    pub directory: String,
    /// `mailto:` addresses for the CA. Optional: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-items-format" = "mailto"))]
    pub contacts: Vec<String>,
    /// Roots, PEM, that the directory's server certificate and the issued chain must end at. Optional: the system's for the
    /// server, whatever the CA answers for the chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trusted_roots: Option<SecretReference>,
}

/// An internal CA of the same environment.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuthorityReference {
    /// The `Authority`.
    pub name: Name,
}

/// Whether something is allowed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Rule {
    /// Yes.
    Allow,
    /// No.
    Refuse,
}

/// What an environment may do; each absent field takes the default of the class.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    /// Certificates that every browser trusts, by ACME. Default: `Allow` in non-production, `Refuse` in production.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_acme: Option<Rule>,
    /// Customers' host names. Default: `Refuse` in non-production, `Allow` in production.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_hostnames: Option<Rule>,
}

impl Policy {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether public certificates by ACME are allowed in an environment of this class.
    pub fn allows_public_acme(&self, class: Class) -> bool {
        self.public_acme.map_or(class == Class::NonProduction, |rule| rule == Rule::Allow)
    }

    /// Whether customers' host names are allowed in an environment of this class.
    pub fn allows_custom_hostnames(&self, class: Class) -> bool {
        self.custom_hostnames.map_or(class == Class::Production, |rule| rule == Rule::Allow)
    }
}

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

/// An account at an ACME CA.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IssuerStatus {
    /// The issuer.
    pub name: IssuerName,
    /// The account's URL at the CA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_url: Option<String>,
    /// The thumbprint of the account's key (RFC 7638).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thumbprint: Option<String>,
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
