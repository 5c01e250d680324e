//! The whole fleet at a glance.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::finding::Finding;
use crate::{
    moment::Moment,
    name::{EnvironmentName, Kind, ObjectName},
    reason::{Reason, Turn},
};

/// Is anything wrong, since when, whose turn is it, how long until it hurts.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FleetStatus {
    /// `claviger.dev/v1alpha1`.
    pub api_version: String,
    /// `FleetStatus`.
    pub kind: String,
    /// The instant that it speaks of.
    pub as_of: Moment,
    /// Whether everything has been looked at since the start.
    pub complete: bool,
    /// Where the knowledge comes from, and how old it is.
    pub sources: Vec<SourceView>,
    /// What is in force.
    pub documents: DocumentsView,
    /// Counts by environment and kind.
    pub totals: Vec<Total>,
    /// What someone must know, worst first.
    pub attention: Vec<AttentionView>,
}

impl FleetStatus {
    /// The word in `kind`.
    pub const KIND: &'static str = "FleetStatus";
}

/// One source of knowledge.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceView {
    /// For example `cloudflare/production`.
    pub name: String,
    /// When it last answered; absent when it never did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_at: Option<Moment>,
    /// Whether that is too long ago.
    pub stale: bool,
    /// What it said instead of answering.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// Documents in force and documents refused.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DocumentsView {
    /// `sha256:` and the hash over what is in force; absent where that is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub accepted: String,
    /// Errors of documents whose last accepted version stays in force.
    pub rejected: Vec<Finding>,
    /// Allowed, and worth knowing: exceptions from a policy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

/// Counts of one kind in one environment.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Total {
    /// The environment; absent for objects that none claims.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentName>,
    /// The kind.
    pub kind: Kind,
    /// `Ready=True`.
    pub ready: u64,
    /// `Ready=False`.
    pub not_ready: u64,
    /// `Ready=Unknown`.
    pub unknown: u64,
    /// `OnSchedule=False`.
    pub late: u64,
}

/// An object that someone must know of.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AttentionView {
    /// Its environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentName>,
    /// Which.
    pub object: ObjectName,
    /// Why.
    pub reason: Reason,
    /// Whose turn it is.
    pub turn: Turn,
    /// Since when.
    pub since: Moment,
    /// When claviger tries again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try: Option<Moment>,
    /// When waiting begins to cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hurts_at: Option<Moment>,
    /// What is the matter.
    pub message: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fix: Vec<String>,
}
