//! One object, explained. An explanation is a pure function of stored objects.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    moment::Moment,
    name::{EnvironmentName, ObjectName},
    reason::{Reason, Turn},
};

/// One object, explained from end to end.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// `claviger.dev/v1alpha1`.
    pub api_version: String,
    /// `Explanation`.
    pub kind: String,
    /// Which.
    pub object: ObjectName,
    /// Its environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentName>,
    /// Who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// How sensitive it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classification: Option<String>,
    /// Why, and whose turn it is.
    pub verdict: ExplainedVerdict,
    /// The way, step by step.
    pub steps: Vec<ExplainedStep>,
    /// What happened, newest first.
    pub history: Vec<HistoryEntry>,
    /// What comes next; absent when claviger waits for somebody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<ExplainedNext>,
}

/// Why, and whose turn it is.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedVerdict {
    /// Why.
    pub reason: Reason,
    /// Whose turn it is.
    pub turn: Turn,
    /// In words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Moment>,
    /// When waiting begins to cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hurts_at: Option<Moment>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fix: Vec<String>,
}

/// How far a step is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
pub enum StepState {
    /// Under way.
    Current,
    /// Done.
    Done,
    /// Could not be done.
    Failed,
    /// Not needed.
    Skipped,
    /// Still to come.
    Waiting,
}

/// One step of the way.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedStep {
    /// Its name.
    pub step: String,
    /// How far it is.
    pub state: StepState,
    /// When it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Moment>,
    /// Where to look it up: an ARN, a URL, an id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#ref: Option<String>,
    /// What was asked and what was seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
}

/// One question and its answer.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// Who or what was asked.
    pub server: String,
    /// What was seen.
    pub saw: Vec<String>,
    /// What should be seen.
    pub want: String,
}

/// One line of history.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// When.
    pub at: Moment,
    /// Why.
    pub reason: Reason,
    /// In words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The intent that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<String>,
}

/// What comes next.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedNext {
    /// When.
    pub at: Moment,
    /// Because of what: `BackOff`, `Schedule` or a reason.
    pub because: String,
}
