//! Who acts.

use serde::{Deserialize, Serialize};

/// Who acts: a person, a workload, or claviger itself.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Actor {
    /// `person`, `workload` or `system`.
    pub kind: String,
    /// For example `uid:1000` or `claviger`.
    pub id: String,
    /// The way it came: `unix`, `schedule` …
    pub via: String,
}

impl Actor {
    /// claviger itself, by its own timer.
    pub fn system() -> Self {
        Self { kind: "system".to_owned(), id: "claviger".to_owned(), via: "schedule".to_owned() }
    }
}
