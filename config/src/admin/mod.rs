//! What the admin API answers.

mod explanation;
mod finding;
mod fleet;
mod hostname;
mod inventory;
mod plan;
mod resource;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{
    explanation::{
        Check, ExplainedNext, ExplainedStep, ExplainedVerdict, Explanation, HistoryEntry, Remembered, StepState,
        Thought,
    },
    finding::Finding,
    fleet::{AttentionView, DocumentsView, FleetStatus, SourceView, Total},
    hostname::{HostnameChange, HostnameRequest, HostnameView},
    inventory::{DiscoveredCertificate, DiscoveredFinding, DiscoveredProblem, DiscoveredState, DiscoveredView},
    plan::{ExecuteRequest, PlanCost, PlanRequest, PlanView, Verb},
    resource::{List, Metadata, Resource},
};
use crate::API_VERSION;

/// A refusal.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorView {
    /// `Error`.
    pub kind: String,
    /// `CLV-` and four digits; stable.
    pub code: String,
    /// What is wrong: what was found and what is accepted.
    pub message: String,
    /// Where: a field, a path, an object.
    pub at: String,
    /// The next step.
    pub fix: String,
}

impl ErrorView {
    /// A refusal with everything that it needs.
    pub fn new(code: &str, message: impl Into<String>, at: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            kind: "Error".to_owned(),
            code: code.to_owned(),
            message: message.into(),
            at: at.into(),
            fix: fix.into(),
        }
    }
}

/// Which build answers.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VersionView {
    /// `Version`.
    pub kind: String,
    /// The release.
    pub version: String,
    /// The API version.
    pub api_version: String,
}

impl VersionView {
    /// The version of this build.
    pub fn of(version: &str) -> Self {
        Self { kind: "Version".to_owned(), version: version.to_owned(), api_version: API_VERSION.to_owned() }
    }
}
