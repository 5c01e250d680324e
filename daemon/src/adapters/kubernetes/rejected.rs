//! What the status of an object says of a version that is rejected.

use claviger_config::{
    Moment, Reason,
    admin::Finding,
    condition::{Attention, CommonStatus, Condition, ConditionStatus},
};
use serde_json::{Value, json};

/// The condition's name: whether the newest version of the document is the one in force. It stands there only while it is not.
const ACCEPTED: &str = "Accepted";

pub(super) fn unaccepted(found: &[Finding], generation: u64, now: Moment) -> Condition {
    Condition {
        r#type: ACCEPTED.to_owned(),
        status: ConditionStatus::False,
        reason: Reason::DocumentRejected,
        message: format!("the version before stays in force: {}", words(found)),
        observed_generation: generation,
        last_transition_time: now.to_second(),
    }
}

/// But for the time.
pub(super) fn is_same(one: &Condition, other: &Condition) -> bool {
    *one == Condition { last_transition_time: one.last_transition_time, ..other.clone() }
}

pub(super) fn accepted(status: &Value) -> Option<Condition> {
    let conditions = status.get("conditions")?.as_array()?;
    let found = conditions.iter().find(|condition| condition["type"] == ACCEPTED)?;
    serde_json::from_value(found.clone()).ok()
}

/// Puts a condition among the others, in the place of its like.
pub(super) fn with_condition(status: &mut Value, condition: &Condition) {
    let Some(fields) = status.as_object_mut() else { return };
    let conditions = fields.entry("conditions").or_insert_with(|| json!([]));
    if let Some(conditions) = conditions.as_array_mut() {
        conditions.retain(|other| other["type"] != condition.r#type.as_str());
        conditions.push(json!(condition));
    }
}

fn words(found: &[Finding]) -> String {
    let message = found.iter().map(|finding| format!("{}: {}", finding.code, finding.message));
    message.collect::<Vec<_>>().join("; ")
}

/// Every error of a document, as its object's status.
pub(super) fn rejected(found: &[Finding], generation: u64, now: Moment) -> CommonStatus {
    let message = words(found);
    let condition = |r#type: &str| Condition {
        r#type: r#type.to_owned(),
        status: ConditionStatus::False,
        reason: Reason::DocumentRejected,
        message: message.clone(),
        observed_generation: generation,
        last_transition_time: now.to_second(),
    };
    let attention = Attention {
        reason: Reason::DocumentRejected,
        turn: Reason::DocumentRejected.turn(),
        since: now.to_second(),
        next_try: None,
        hurts_at: None,
        message: message.clone(),
        fix: found.iter().map(|finding| finding.fix.clone()).collect(),
    };
    CommonStatus {
        observed_generation: generation,
        conditions: vec![condition("Ready"), condition("OnSchedule"), condition(ACCEPTED)],
        attention: Some(attention),
        ..CommonStatus::default()
    }
}
