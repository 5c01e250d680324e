//! Named ways to a certificate.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::secret::SecretReference;
use crate::name::{IssuerName, Name};

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
