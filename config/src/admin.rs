//! What the admin API answers. An explanation is a pure function of stored objects.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    API_VERSION,
    hostname::{CustomerRecord, EdgeView, Origin, Validation},
    moment::Moment,
    name::{DnsName, EnvironmentName, Kind, Name, Namespace, ObjectName},
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
    /// `sha256:` and the hash over what is in force.
    pub accepted: String,
    /// Errors of documents whose last accepted version stays in force.
    pub rejected: Vec<Finding>,
    /// Allowed, and worth knowing: exceptions from a policy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

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

/// One resource, as `kubectl get -o json` would print it.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    /// `claviger.dev/v1alpha1`.
    pub api_version: String,
    /// What it is.
    pub kind: Kind,
    /// Its names.
    pub metadata: Metadata,
    /// What shall be; absent when the document is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<serde_json::Value>,
    /// What is.
    pub status: serde_json::Value,
}

/// Names of a resource.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// Its name.
    pub name: Name,
    /// Its namespace; absent for an `Environment`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Namespace>,
    /// Grows with each change of the document.
    pub generation: u64,
}

/// A list of anything.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct List<T> {
    /// `List`.
    pub kind: String,
    /// Its items.
    pub items: Vec<T>,
    /// Where the next page begins; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl<T> List<T> {
    /// A list without a next page.
    pub fn whole(items: Vec<T>) -> Self {
        Self { kind: "List".to_owned(), items, next: None }
    }
}

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

/// What the product's backend says of a host name.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HostnameRequest {
    /// Whose it is.
    #[schemars(length(min = 1, max = 253))]
    pub tenant: String,
    /// How control is proven. Optional: the edge's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<Validation>,
    /// The product's own reference, given back unchanged. Optional.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub reference: Option<String>,
}

/// A row of the ledger of host names.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HostnameView {
    /// `CustomHostname`.
    pub kind: Kind,
    /// The environment.
    pub environment: EnvironmentName,
    /// The name.
    pub hostname: DnsName,
    /// Stands for it in metrics, where a customer's name must not stand.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The object that it is shown as.
    pub object: ObjectName,
    /// Where the row came from.
    pub origin: Origin,
    /// Whose it is.
    pub tenant: String,
    /// The product's own reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Whether it serves.
    pub ready: bool,
    /// Why.
    pub reason: Reason,
    /// Whose turn it is.
    pub turn: Turn,
    /// In words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fix: Vec<String>,
    /// The edge's view.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edge: Option<EdgeView>,
    /// What the customer must have in DNS.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<CustomerRecord>,
    /// When it is looked at next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_check: Option<Moment>,
}

/// One change of a host name.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HostnameChange {
    /// Its place in the order of changes.
    pub cursor: u64,
    /// When.
    pub at: Moment,
    /// The name.
    pub hostname: DnsName,
    /// The reason since then.
    pub reason: Reason,
    /// Whether it serves since then.
    pub ready: bool,
}

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
