//! The opaque field `record` of a status: claviger's memory of the object, its version, and what it claims.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

/// What stands in it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Kept {
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
    /// The object that it was written for: a restore gives its record to another one, whose generations begin anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) uid: Option<String>,
}

impl Kept {
    /// The record of the reconciler, for the object of that id: what speaks of another one's generations speaks of none.
    pub(super) fn body_for(self, uid: &str) -> String {
        if self.uid.as_deref().is_none_or(|own| own == uid) {
            return self.body;
        }
        let Ok(mut record) = serde_json::from_str::<serde_json::Value>(&self.body) else { return self.body };
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
            version: 7,
            body: r#"{"seed":1}"#.to_owned(),
            claims: vec![("key".to_owned(), "arn".to_owned())],
            environment: Some("staging".to_owned()),
            accepted: None,
            uid: None,
        };
        assert_eq!(Kept::decode(&kept.encode()), Some(kept.clone()));
        let restored = Kept { uid: Some("a".to_owned()), body: r#"{"generation":7,"seed":1}"#.to_owned(), ..kept };
        assert_eq!(restored.clone().body_for("a"), restored.body);
        assert_eq!(restored.body_for("b"), r#"{"generation":0,"seed":1}"#);
        for spoilt in ["", "AAAA", "not base64 at all", "e30"] {
            assert_eq!(Kept::decode(spoilt), None, "{spoilt}");
        }
    }
}
