//! `kind: TlsCertificate`: names that must have a certificate.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    condition::CommonStatus,
    moment::Moment,
    name::{DnsName, IssuerName, Name},
};

/// One certificate.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TlsCertificateSpec {
    /// The names in it, 1 to 100; the first is the common name when it fits.
    #[schemars(length(min = 1, max = 100))]
    pub dns_names: Vec<DnsName>,
    /// The issuers, in order. Optional: the environment's `defaultIssuers`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub issuers: Vec<IssuerChoice>,
    /// The private key. Optional: `ecdsa-p256`.
    #[serde(default)]
    pub key: CertificateKey,
    /// Where it goes, 1 to 16.
    #[schemars(length(min = 1, max = 16))]
    pub outlets: Vec<Outlet>,
}

/// An issuer of the environment and what to ask of it.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IssuerChoice {
    /// Its name in the environment.
    pub name: IssuerName,
    /// A profile that the CA offers. Optional: the CA's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub profile: Option<String>,
}

/// The private key of a certificate.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CertificateKey {
    /// Its algorithm. Optional: `ecdsa-p256`.
    #[serde(default)]
    pub algorithm: KeyAlgorithm,
}

/// Algorithms of certificate keys.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
pub enum KeyAlgorithm {
    /// ECDSA on P-256.
    #[default]
    #[serde(rename = "ecdsa-p256")]
    EcdsaP256,
    /// ECDSA on P-384.
    #[serde(rename = "ecdsa-p384")]
    EcdsaP384,
    /// RSA with 2048 bits.
    #[serde(rename = "rsa-2048")]
    Rsa2048,
    /// RSA with 3072 bits.
    #[serde(rename = "rsa-3072")]
    Rsa3072,
    /// RSA with 4096 bits.
    #[serde(rename = "rsa-4096")]
    Rsa4096,
}

impl KeyAlgorithm {
    /// All of them, in the order of the list.
    pub const ALL: [Self; 5] = [Self::EcdsaP256, Self::EcdsaP384, Self::Rsa2048, Self::Rsa3072, Self::Rsa4096];

    /// The word in documents.
    pub const fn word(self) -> &'static str {
        match self {
            Self::EcdsaP256 => "ecdsa-p256",
            Self::EcdsaP384 => "ecdsa-p384",
            Self::Rsa2048 => "rsa-2048",
            Self::Rsa3072 => "rsa-3072",
            Self::Rsa4096 => "rsa-4096",
        }
    }
}

/// Where a certificate goes.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-exactly-one" = ["files", "secret"]))]
pub struct Outlet {
    /// How status names it.
    pub name: Name,
    /// Files below `files.write`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<FilesOutlet>,
    /// A Kubernetes Secret, where the documents are custom resources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretOutlet>,
}

/// `tls.key`, `tls.crt` and `ca.crt` in one folder, swapped together.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FilesOutlet {
    /// The folder, relative to `files.write`.
    #[schemars(extend("format" = "relative-path"))]
    pub directory: String,
    /// The mode of the files, octal; never readable by everybody. Optional: `0600`.
    #[serde(default = "default_mode")]
    #[schemars(extend("format" = "file-mode"))]
    pub mode: String,
    /// A hook of the settings that is run after each delivery. Optional: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload: Option<Name>,
}

fn default_mode() -> String {
    "0600".to_owned()
}

/// A Kubernetes Secret of type kubernetes.io/tls.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretOutlet {
    /// Its name, in the certificate's namespace.
    pub name: Name,
    /// Labels that it has beside claviger's own. Optional: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-keys-format" = "metadata-key", "x-values-format" = "label-value"))]
    pub labels: BTreeMap<String, String>,
    /// Annotations that it has beside claviger's own. Optional: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-keys-format" = "metadata-key", "x-values-format" = "free-text"))]
    pub annotations: BTreeMap<String, String>,
    /// Keystores in it, beside `tls.key`, `tls.crt` and `ca.crt`. Optional: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub keystores: Vec<Keystore>,
}

/// A field of the Secret that holds the same as one file with a password, for programs that read no PEM.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Keystore {
    /// The field, for example `keystore.p12`, `truststore.jks`.
    #[schemars(extend("format" = "keystore-name"))]
    pub name: Name,
    /// Its format.
    pub format: KeystoreFormat,
    /// What is in it. Optional: `identity`.
    #[serde(default)]
    pub holds: KeystoreContent,
    /// The entry's name in it. Optional: `certificate`, and `ca` for what is trusted; the second of those is `ca-2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<Name>,
    /// Where its password stands: in a Secret of the certificate's own namespace.
    pub password: KeystorePassword,
}

impl Keystore {
    /// The name of its first entry.
    pub fn alias(&self) -> &str {
        let usual = match self.holds {
            KeystoreContent::Identity => "certificate",
            KeystoreContent::Trust => "ca",
        };
        self.alias.as_ref().map_or(usual, Name::as_str)
    }
}

/// Formats of keystores.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
pub enum KeystoreFormat {
    /// Sun's own format, protected by SHA-1 alone: for what reads nothing else. Java 8u301 and later reads `pkcs12`.
    #[serde(rename = "jks")]
    Jks,
    /// PKCS#12 (RFC 7292): AES-256-CBC by PBES2, HMAC-SHA-256.
    #[serde(rename = "pkcs12")]
    Pkcs12,
    /// PKCS#12 with three-key triple DES and HMAC-SHA-1: for what reads nothing newer.
    #[serde(rename = "pkcs12-legacy")]
    Pkcs12Legacy,
}

/// What a keystore holds.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
pub enum KeystoreContent {
    /// The private key and its chain: a key store.
    #[default]
    #[serde(rename = "identity")]
    Identity,
    /// The certificates of `ca.crt` as trusted ones: a trust store.
    #[serde(rename = "trust")]
    Trust,
}

/// Where the password of a keystore stands; never the password itself.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-secret-reference" = true))]
pub struct KeystorePassword {
    /// A Secret in the certificate's own namespace.
    pub name: Name,
    /// The key in it. What stands there is the password as it is, also a line end.
    #[schemars(extend("format" = "secret-key"))]
    pub key: String,
}

/// What was issued.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IssuedView {
    /// The issuer; absent when the certificate was adopted and its issuer is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<IssuerName>,
    /// The serial number, hexadecimal.
    pub serial: String,
    /// SHA-256 over the SubjectPublicKeyInfo, hexadecimal.
    pub spki_sha256: String,
    /// Valid from.
    pub not_before: Moment,
    /// Valid until.
    pub not_after: Moment,
    /// The names in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns_names: Vec<DnsName>,
}

/// Where the instant of a renewal comes from.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
pub enum RenewalSource {
    /// The CA's renewal information (RFC 9773).
    Ari,
    /// Two thirds of the lifetime, half when it is below ten days.
    Lifetime,
}

/// When it will be renewed.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RenewalView {
    /// The instant.
    pub at: Moment,
    /// Where it comes from.
    pub source: RenewalSource,
    /// When the CA was last asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_at: Option<Moment>,
    /// Why the CA moved it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation_url: Option<String>,
}

/// How a reload ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Reload {
    /// The command failed or ran into its time-out.
    Failed,
    /// No reload is asked for.
    None,
    /// The command ended with 0.
    Succeeded,
}

/// One outlet.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OutletView {
    /// Its name.
    pub name: Name,
    /// SHA-256 over the SubjectPublicKeyInfo of what was delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spki_sha256: Option<String>,
    /// When it was delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered_at: Option<Moment>,
    /// How the reload ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload: Option<Reload>,
}

/// Status of a `TlsCertificate`.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TlsCertificateStatus {
    /// What every status begins with.
    #[serde(flatten)]
    pub common: CommonStatus,
    /// What was issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<IssuedView>,
    /// When it will be renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal: Option<RenewalView>,
    /// Where it went.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outlets: Vec<OutletView>,
}
