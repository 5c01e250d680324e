//! Names, parsed once at the edge and trusted afterwards.

use std::{fmt, str::FromStr, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A name that its rules refuse.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{what}: found `{found}`, accepted: {accepted}")]
pub struct BadName {
    /// Which word it was meant to be.
    pub what: &'static str,
    /// What was found.
    pub found: String,
    /// What would have been accepted.
    pub accepted: &'static str,
}

macro_rules! names { ($($(#[$doc:meta])* $name:ident, $format:literal, $accepted:expr, $holds:expr;)+) => {$(
    $(#[$doc])*
    #[derive(Clone, Debug, Deserialize, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
    #[serde(try_from = "String", into = "String")]
    #[schemars(with = "String", extend("format" = $format))]
    pub struct $name(Arc<str>);

    impl $name {
        /// What its rules accept, as messages say it.
        pub const ACCEPTED: &'static str = $accepted;

        /// The name as text.
        pub fn as_str(&self) -> &str {
            &self.0
        }
    }

    impl FromStr for $name {
        type Err = BadName;
        fn from_str(found: &str) -> Result<Self, BadName> {
            let holds: fn(&str) -> bool = $holds;
            if holds(found) {
                Ok(Self(found.into()))
            } else {
                Err(BadName { what: stringify!($name), found: found.to_owned(), accepted: Self::ACCEPTED })
            }
        }
    }

    impl TryFrom<String> for $name {
        type Error = BadName;
        fn try_from(found: String) -> Result<Self, BadName> {
            found.parse()
        }
    }

    impl From<$name> for String {
        fn from(name: $name) -> Self {
            (*name.0).to_owned()
        }
    }

    impl fmt::Display for $name {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(&self.0)
        }
    }
)+}}

const LABEL: &str = "1 to 63 of `a-z`, `0-9` and inner `-`";
const SUBDOMAIN: &str = "at most 253 bytes: labels of `a-z`, `0-9` and inner `-`, joined by `.`";

names! {
    /// The name of an [`Environment`](crate::environment::EnvironmentSpec): the unit of separation.
    EnvironmentName, "environment-name", LABEL, is_label;
    /// The name of an issuer inside an environment.
    IssuerName, "issuer-name", LABEL, is_label;
    /// `metadata.name` of a resource: a DNS subdomain, as in Kubernetes.
    Name, "name", SUBDOMAIN, is_subdomain;
    /// A Kubernetes namespace; stand-alone, a folder of names of the same kind.
    Namespace, "namespace", LABEL, is_label;
}

impl From<EnvironmentName> for Name {
    /// The name of an environment is also the name of its resource: every label is a subdomain.
    fn from(environment: EnvironmentName) -> Self {
        Self(environment.0)
    }
}

fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

/// A host name in its one canonical form: lower case, ASCII (punycode), no trailing dot; a leading `*.` makes it a wildcard.
///
/// RFC 1123 section 2.1 gives the labels, RFC 8555 section 7.1.3 the wildcard. At least two labels; never an IP address.
#[derive(Clone, Debug, Deserialize, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("format" = "dns-name"))]
pub struct DnsName(Arc<str>);

impl DnsName {
    /// What its rules accept, as messages say it.
    pub const ACCEPTED: &'static str =
        "a host name in ASCII (punycode) of at least two labels and at most 253 bytes, optionally with a leading `*.`";

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the first label is `*`.
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with("*.")
    }

    /// The name without its leading `*.`.
    pub fn base(&self) -> &str {
        self.0.strip_prefix("*.").unwrap_or(&self.0)
    }

    /// Whether this name is `zone` itself or lies below it.
    pub fn within(&self, zone: &Self) -> bool {
        self.base() == zone.base() || self.base().strip_suffix(zone.base()).is_some_and(|head| head.ends_with('.'))
    }
}

impl FromStr for DnsName {
    type Err = BadName;
    fn from_str(found: &str) -> Result<Self, BadName> {
        let lower = found.to_ascii_lowercase();
        let base = lower.strip_prefix("*.").unwrap_or(&lower);
        let numeric_end = base.rsplit('.').next().is_none_or(|label| label.bytes().all(|byte| byte.is_ascii_digit()));
        if is_subdomain(base) && lower.len() <= 253 && base.contains('.') && !numeric_end && is_canonical(base) {
            Ok(Self(lower.into()))
        } else {
            Err(BadName { what: "DnsName", found: found.to_owned(), accepted: Self::ACCEPTED })
        }
    }
}

/// Whether every label in punycode stands for a name and is its only spelling (RFC 5891 section 5.4).
fn is_canonical(base: &str) -> bool {
    let encoded = base.split('.').any(|label| label.starts_with("xn--"));
    !encoded || matches!(url::Host::parse(base), Ok(url::Host::Domain(domain)) if domain == base)
}

impl TryFrom<String> for DnsName {
    type Error = BadName;
    fn try_from(found: String) -> Result<Self, BadName> {
        found.parse()
    }
}

impl From<DnsName> for String {
    fn from(name: DnsName) -> Self {
        (*name.0).to_owned()
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The kinds of resource.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Kind {
    /// An internal certificate authority (its documents are read in a later release).
    Authority,
    /// A customer's host name at the edge.
    CustomHostname,
    /// The unit of separation.
    Environment,
    /// A key that must exist in an environment's KMS namespace.
    KmsKey,
    /// Names that must have a certificate.
    TlsCertificate,
}

impl Kind {
    /// Every kind, in alphabetical order.
    pub const ALL: [Self; 5] =
        [Self::Authority, Self::CustomHostname, Self::Environment, Self::KmsKey, Self::TlsCertificate];

    /// The word in documents and answers.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Authority => "Authority",
            Self::CustomHostname => "CustomHostname",
            Self::Environment => "Environment",
            Self::KmsKey => "KmsKey",
            Self::TlsCertificate => "TlsCertificate",
        }
    }

    /// The words that a person may type for it beside its own: plural and short names.
    pub const fn aliases(self) -> &'static [&'static str] {
        match self {
            Self::Authority => &["authorities", "clvca"],
            Self::CustomHostname => &["customhostnames", "hostname", "hostnames", "clvhost"],
            Self::Environment => &["environments", "env", "envs", "clvenv"],
            Self::KmsKey => &["kmskeys", "key", "keys", "clvkey"],
            Self::TlsCertificate => &["tlscertificates", "certificate", "certificates", "cert", "certs", "clvcert"],
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Kind {
    type Err = BadName;
    /// Singular, plural and short names, in any case.
    fn from_str(found: &str) -> Result<Self, BadName> {
        let lower = found.to_ascii_lowercase();
        Self::ALL
            .into_iter()
            .find(|kind| kind.word().to_ascii_lowercase() == lower || kind.aliases().contains(&lower.as_str()))
            .ok_or_else(|| BadName {
                what: "Kind",
                found: found.to_owned(),
                accepted: "Authority, CustomHostname, Environment, KmsKey or TlsCertificate (plural and short names too)",
            })
    }
}

/// Identity of one resource. Without the environment: that follows from the namespace and cannot be chosen.
///
/// An `Environment` is cluster-scoped: its namespace is absent.
#[derive(Clone, Debug, Deserialize, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
pub struct ObjectName {
    /// What it is.
    pub kind: Kind,
    /// Where it lives; absent for an `Environment`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Namespace>,
    /// `metadata.name`.
    pub name: Name,
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{}/{namespace}/{}", self.kind, self.name),
            None => write!(f, "{}/{}", self.kind, self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_has_one_canonical_form() {
        assert_eq!("WWW.Example.COM".parse::<DnsName>().unwrap().as_str(), "www.example.com");
        assert_eq!("XN--Mnchen-3YA.example".parse::<DnsName>().unwrap().as_str(), "xn--mnchen-3ya.example");
        assert!("*.example.com".parse::<DnsName>().unwrap().is_wildcard());
    }

    #[test]
    fn odd_host_names_are_refused() {
        for odd in [
            "",
            "localhost",
            "10.0.0.1",
            "a..b",
            "-a.example",
            "a.*.example",
            "**.example",
            "ex ample.com",
            "münchen.example",
            "a.example.",
            "xn--a.example",
            "a\u{202e}.example",
            "1.2.3",
            "2001:db8::1",
        ] {
            assert!(odd.parse::<DnsName>().is_err(), "{odd} should be refused");
        }
        assert!(format!("{}.example", "a".repeat(250)).parse::<DnsName>().is_err());
    }

    #[test]
    fn a_name_lies_within_its_zone_by_whole_labels() {
        let zone: DnsName = "example.com".parse().unwrap();
        assert!("example.com".parse::<DnsName>().unwrap().within(&zone));
        assert!("a.example.com".parse::<DnsName>().unwrap().within(&zone));
        assert!(!"badexample.com".parse::<DnsName>().unwrap().within(&zone));
    }

    #[test]
    fn a_kind_is_taken_in_singular_plural_any_case_and_as_short_name() {
        for word in ["TlsCertificate", "tlscertificates", "CLVCERT", "certificates"] {
            assert_eq!(word.parse::<Kind>().unwrap(), Kind::TlsCertificate);
        }
        assert!("pods".parse::<Kind>().is_err());
    }
}
