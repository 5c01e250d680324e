//! Where a secret stands; never the secret itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name::Name;

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
