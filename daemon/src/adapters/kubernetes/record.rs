//! The opaque field `record` of a status: claviger's memory of the object, its version, and what it claims.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What stands in it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Kept {
    /// Of what it is made; a version that makes it of something else counts on.
    #[serde(default)]
    pub(super) schema: u32,
    /// Grows with each write.
    pub(super) version: u64,
    /// The record of the reconciler, JSON.
    pub(super) body: String,
    /// What belongs to the object's environment alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) claims: Vec<(String, String)>,
    /// The environment that claims it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) environment: Option<String>,
    /// The document that was last accepted, JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) accepted: Option<String>,
    /// What was thought of it: with this a reader of the object alone can explain it.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub(super) thought: Value,
    /// The object that it was written for: a restore gives its record to another one, whose generations begin anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) uid: Option<String>,
}

/// What this version writes and reads.
pub(super) const SCHEMA: u32 = 1;

#[derive(Deserialize)]
struct Newer {
    #[serde(default)]
    schema: u32,
}

impl Kept {
    /// The schema of a record that a newer version wrote: whoever writes over it loses what only that one knows.
    pub(super) fn newer(text: &str) -> Option<u32> {
        let found: Newer = serde_json::from_slice(&STANDARD.decode(text).ok()?).ok()?;
        Some(found.schema).filter(|schema| *schema > SCHEMA)
    }

    /// The record of the reconciler, for the object of that id: what speaks of another one's generations speaks of none.
    pub(super) fn body_for(self, uid: &str) -> String {
        if self.uid.as_deref().is_none_or(|own| own == uid) {
            return self.body;
        }
        let Ok(mut record) = serde_json::from_str::<Value>(&self.body) else { return self.body };
        record["generation"] = 0.into();
        record.to_string()
    }

    /// As text of one line.
    pub(super) fn encode(&self) -> String {
        STANDARD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    /// Absent when somebody wrote something else there: as good as lost.
    pub(super) fn decode(text: &str) -> Option<Self> {
        serde_json::from_slice(&STANDARD.decode(text).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_read_again_and_anything_else_is_nothing() {
        let kept = Kept {
            schema: SCHEMA,
            version: 7,
            body: r#"{"seed":1}"#.to_owned(),
            claims: vec![("key".to_owned(), "arn".to_owned())],
            environment: Some("staging".to_owned()),
            accepted: None,
            thought: serde_json::json!({ "steps": [] }),
            uid: None,
        };
        assert_eq!(Kept::decode(&kept.encode()), Some(kept.clone()));
        let restored = Kept { uid: Some("a".to_owned()), body: r#"{"generation":7,"seed":1}"#.to_owned(), ..kept };
        assert_eq!(restored.clone().body_for("a"), restored.body);
        assert_eq!(restored.body_for("b"), r#"{"generation":0,"seed":1}"#);
        for spoilt in ["", "AAAA", "not base64 at all", "e30"] {
            assert_eq!((Kept::decode(spoilt), Kept::newer(spoilt)), (None, None), "{spoilt}");
        }
    }

    #[test]
    fn a_record_of_a_newer_version_is_known_whatever_else_it_holds() {
        let text = |json: &str| STANDARD.encode(json);
        assert_eq!(Kept::newer(&text(r#"{"schema":2,"other":true}"#)), Some(2));
        assert_eq!(Kept::newer(&text(r#"{"schema":1,"version":3,"body":"{}"}"#)), None);
        assert_eq!(Kept::newer(&text(r#"{"version":3,"body":"{}"}"#)), None, "of before there was a number");
    }
}
