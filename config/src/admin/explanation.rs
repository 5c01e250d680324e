//! One object, explained. An explanation is a pure function of stored objects.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    API_VERSION,
    environment::EnvironmentSpec,
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
    /// What comes next; absent when claviger waits for somebody, or when nothing is planned.
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

/// What claviger thought of an object when it last wrote its record, beside what the record itself remembers.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Thought {
    /// Why, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fix: Vec<String>,
    /// When waiting begins to cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hurts: Option<Moment>,
    /// The way, step by step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<ExplainedStep>,
    /// What comes next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<ExplainedNext>,
}

/// All that an explanation is made of, but the names of its object and of its environment.
#[derive(Clone, Debug, PartialEq)]
pub struct Remembered {
    /// Why.
    pub reason: Reason,
    /// Since when.
    pub since: Moment,
    /// What happened, oldest first.
    pub history: Vec<HistoryEntry>,
    /// What was thought of it.
    pub thought: Thought,
}

impl Remembered {
    /// Reads it out of what a status holds as `record`, once that is no longer in base64; absent when it holds something else.
    pub fn of(record: &[u8]) -> Option<Self> {
        let kept: Kept = serde_json::from_slice(record).ok()?;
        let body: Body = serde_json::from_str(&kept.body).ok()?;
        let Body { said, history } = body;
        Some(Self { reason: said.reason, since: said.since, history, thought: kept.thought? })
    }
}

#[derive(Deserialize)]
struct Kept {
    body: String,
    thought: Option<Thought>,
}

#[derive(Deserialize)]
struct Body {
    said: Said,
    history: Vec<HistoryEntry>,
}

#[derive(Deserialize)]
struct Said {
    reason: Reason,
    since: Moment,
}

impl Explanation {
    /// The word in `kind`.
    pub const KIND: &'static str = "Explanation";

    /// Explains an object from what is remembered of it, the same wherever that was read.
    pub fn of(object: &ObjectName, remembered: Remembered, environment: Option<EnvironmentName>) -> Self {
        let Remembered { reason, since, history, thought } = remembered;
        let Thought { message, fix, hurts, steps, next } = thought;
        let (since, hurts_at) = (Some(since.to_second()), hurts.map(Moment::to_second));
        let verdict = ExplainedVerdict { reason, turn: reason.turn(), message, since, hurts_at, fix };
        let history = history.into_iter().rev().map(|entry| HistoryEntry { at: entry.at.to_second(), ..entry });
        Self { environment, verdict, steps, history: history.collect(), next, ..Self::unseen(object) }
    }

    /// What can be said of an object that nobody has looked at yet.
    pub fn unseen(object: &ObjectName) -> Self {
        let reason = Reason::NotObserved;
        let verdict = ExplainedVerdict {
            reason,
            turn: reason.turn(),
            message: String::new(),
            since: None,
            hurts_at: None,
            fix: Vec::new(),
        };
        Self {
            api_version: API_VERSION.to_owned(),
            kind: Self::KIND.to_owned(),
            object: object.clone(),
            environment: None,
            owner: None,
            classification: None,
            verdict,
            steps: Vec::new(),
            history: Vec::new(),
            next: None,
        }
    }

    /// The same, with what is inherited from its environment: who answers for it and how sensitive it is.
    pub fn inside(self, environment: &EnvironmentSpec) -> Self {
        let classification = serde_json::to_value(environment.classification).ok();
        let classification = classification.as_ref().and_then(serde_json::Value::as_str).map(str::to_owned);
        Self { owner: Some(environment.owner.clone()), classification, ..self }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_record_explains_nothing() {
        let whole = br#"{"version":1,"body":"{\"said\":{\"reason\":\"Issued\",\"since\":\"2026-11-24T10:00:00Z\"},\"history\":[]}","thought":{}}"#;
        assert_eq!(Remembered::of(whole).map(|found| found.reason), Some(Reason::Issued));
        for other in [&b""[..], b"{}", b"[]", br#"{"body":"{}","thought":{}}"#, br#"{"body":"","thought":{}}"#] {
            assert_eq!(Remembered::of(other), None);
        }
    }
}
