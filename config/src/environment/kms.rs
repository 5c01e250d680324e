//! Where the keys of an environment live.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name::Name;

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
