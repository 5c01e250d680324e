//! What is wrong with a document, and where.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One error in settings or a document.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The file.
    pub file: String,
    /// The line, from 1; 0 when the file as a whole is meant.
    pub line: u32,
    /// The column, from 1; 0 when the file as a whole is meant.
    pub column: u32,
    /// `CLV-` and four digits; stable.
    pub code: String,
    /// What was found; never a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// What would be accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted: Vec<String>,
    /// What is wrong.
    pub message: String,
    /// The next step.
    pub fix: String,
}
