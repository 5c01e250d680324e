//! A subject as the API tells it: as the last pass left it, or as its document wants it while no pass has looked at it.

use std::{collections::BTreeSet, sync::Arc};

use claviger_config::{
    EnvironmentName, Kind, Moment, ObjectName, Reason,
    condition::{CommonStatus, Condition, ConditionStatus},
    desired::Wanted,
};
use claviger_core::{ports::Source, reconcile::pass::Shown};
use serde_json::Value;

use super::{
    Admin,
    errors::{self, Problem},
};

/// A subject as it is told.
pub(super) struct Subject {
    /// What shall be; absent when its document is gone.
    pub(super) wanted: Option<Arc<Wanted>>,
    /// Its environment.
    pub(super) environment: Option<EnvironmentName>,
    /// The generation of its document.
    pub(super) generation: u64,
    /// What every status begins with.
    pub(super) common: CommonStatus,
    /// Its status, whole.
    pub(super) status: Value,
}

impl Subject {
    /// The document is newer than what a pass has seen of it: what shall be comes from there.
    fn seen(shown: Shown, wanted: Option<Arc<Wanted>>) -> Self {
        let wanted = wanted.or(shown.wanted);
        let named = wanted.as_ref().and_then(|wanted| wanted.environment.as_ref()).map(|at| at.name.clone());
        let generation = wanted.as_ref().map_or(shown.generation, |wanted| wanted.generation);
        let mut status = shown.status;
        if let Some(fields) = status.as_object_mut() {
            fields.shift_remove("record"); // claviger's own memory
        }
        Self { environment: shown.environment.or(named), wanted, generation, common: shown.common, status }
    }

    fn unseen(wanted: Arc<Wanted>, since: Moment) -> Self {
        let environment = wanted.environment.as_ref().map(|at| at.name.clone());
        let common = CommonStatus {
            observed_generation: 0,
            environment: environment.as_ref().map(ToString::to_string),
            conditions: ["Ready", "OnSchedule"].map(|r#type| not_observed(r#type, since)).into(),
            pending: None,
            attention: None,
        };
        let status = serde_json::to_value(&common).unwrap_or_default();
        Self { environment, generation: wanted.generation, wanted: Some(wanted), common, status }
    }
}

/// Whether a condition holds.
pub(super) fn holds(common: &CommonStatus, r#type: &str) -> ConditionStatus {
    common.condition(r#type).map_or(ConditionStatus::Unknown, |condition| condition.status)
}

fn not_observed(r#type: &str, since: Moment) -> Condition {
    Condition {
        r#type: r#type.to_owned(),
        status: ConditionStatus::Unknown,
        reason: Reason::NotObserved,
        message: String::new(),
        observed_generation: 0,
        last_transition_time: since.to_second(),
    }
}

impl Admin {
    /// One subject.
    pub(super) fn subject(&self, name: &ObjectName) -> Option<Subject> {
        let wanted = self.shared.documents.wanted(name);
        match self.shared.fleet.shown(name) {
            Some(shown) => Some(Subject::seen(shown, wanted)),
            None => wanted.map(|wanted| Subject::unseen(wanted, self.since)),
        }
    }

    /// The names of every subject of a kind that are liked, in order.
    pub(super) fn names(&self, kind: Kind, like: impl Fn(&ObjectName) -> bool) -> BTreeSet<ObjectName> {
        let mut names = BTreeSet::new();
        let mut take = |name: &ObjectName| {
            if name.kind == kind && like(name) {
                names.insert(name.clone());
            }
        };
        self.shared.fleet.names_of(kind, &mut take);
        self.shared.documents.each(|name, _| take(name));
        names
    }

    /// The refusal for an object that is not there, with what was most likely meant.
    pub(super) fn no_such_object(&self, name: &ObjectName) -> Problem {
        let others = self.names(name.kind, |_| true);
        errors::object_unknown(name, others)
    }
}
