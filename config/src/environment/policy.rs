//! What an environment is for, and what it may do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What an environment is for. Immutable.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Staging, test and the like.
    NonProduction,
    /// What customers rely on.
    Production,
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
    pub(super) fn is_default(&self) -> bool {
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
