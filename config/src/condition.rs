//! What a resource says of itself, in the shapes of Kubernetes' API conventions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    moment::Moment,
    reason::{Reason, Turn},
};

/// `True`, `False` or `Unknown`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
pub enum ConditionStatus {
    /// It does not hold.
    False,
    /// It holds.
    True,
    /// It could not be asked.
    Unknown,
}

/// One observation about a resource.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// `Ready`: what is delivered satisfies the current document, now. `OnSchedule`: nothing planned is late.
    pub r#type: String,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Why.
    pub reason: Reason,
    /// The same in words; absent when the reason says it all.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The generation of the document that this speaks of.
    pub observed_generation: u64,
    /// When `status` last changed.
    pub last_transition_time: Moment,
}

/// What someone must know; exists only while it does.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attention {
    /// Why.
    pub reason: Reason,
    /// Whose turn it is.
    pub turn: Turn,
    /// Since when.
    pub since: Moment,
    /// When claviger tries again; absent when it waits for somebody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try: Option<Moment>,
    /// When waiting begins to cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hurts_at: Option<Moment>,
    /// What is the matter, in words.
    pub message: String,
    /// What to do, step by step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fix: Vec<String>,
}

/// An effect under way.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pending {
    /// Its id, also in the audit journal; absent while nothing that may not be repeated is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<String>,
    /// The word of the effect.
    pub effect: String,
    /// The issuer that it goes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The order at the CA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_url: Option<String>,
    /// Failures in a row.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failures: u32,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// What every resource's status begins with.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CommonStatus {
    /// The generation of the document that this speaks of.
    pub observed_generation: u64,
    /// The environment that the namespace belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// `Ready` and `OnSchedule`, from first sight.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// An effect under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Pending>,
    /// What someone must know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attention: Option<Attention>,
}

impl CommonStatus {
    /// The condition of that type.
    pub fn condition(&self, r#type: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.r#type == r#type)
    }
}
