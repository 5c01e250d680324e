//! What a person asks for, planned first and executed as planned.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{moment::Moment, name::ObjectName};

/// What a person asks for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// Renew a certificate now, or put a key's rotation back as the document says.
    Renew,
}

/// Ask for a plan.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlanRequest {
    /// What shall be done.
    pub verb: Verb,
    /// To which object.
    pub object: ObjectName,
}

/// A plan of a change, to be executed as it stands or not at all.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanView {
    /// SHA-256 over canonical JSON (RFC 8785) of verb, object, generation, revision seen and effects.
    pub hash: String,
    /// What would be done, in words of the table of effects.
    pub effects: Vec<String>,
    /// What it costs, by budget.
    pub cost: Vec<PlanCost>,
    /// Until when it can be executed.
    pub expires: Moment,
}

/// What a plan takes from a budget.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanCost {
    /// The budget.
    pub budget: String,
    /// How many calls.
    pub calls: u32,
}

/// Why a person executes a plan.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExecuteRequest {
    /// Why, in a person's words.
    #[schemars(length(min = 1, max = 1000))]
    pub reason: String,
    /// A ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub ticket: Option<String>,
}
