//! The fleet at a glance, as far as stored objects tell: where their knowledge comes from only the daemon knows.

use std::collections::BTreeMap;

use claviger_config::{
    API_VERSION, EnvironmentName, Kind, Namespace,
    admin::{AttentionView, DocumentsView, FleetStatus, SourceView, Total},
    condition::{CommonStatus, ConditionStatus},
    crd,
};
use serde_json::Value;

use super::{
    Cluster,
    objects::{self, Stored},
    present,
};
use crate::failure::Failure;

impl Cluster {
    pub(super) async fn status(&self) -> Result<Value, Failure> {
        let (mut all, mut sources) = (Vec::new(), Vec::new());
        for kind in crd::KINDS {
            match self.list(kind, self.namespace.as_ref()).await {
                Ok(stored) => all.extend(stored),
                // Whoever has rights in a namespace has none on what lies in no namespace.
                Err(failure @ Failure::Forbidden { .. }) if kind == Kind::Environment && self.namespace.is_some() => {
                    let trouble = Some(failure.to_string());
                    sources.push(SourceView { name: ENVIRONMENTS.to_owned(), observed_at: None, stale: true, trouble });
                }
                Err(failure) => return Err(failure),
            }
        }
        let environments: Vec<Stored> =
            all.iter().filter(|stored| stored.name.kind == Kind::Environment).cloned().collect();
        objects::value("status", &told(&all, &objects::claims(&environments), sources))
    }
}

fn told(all: &[Stored], claims: &BTreeMap<Namespace, EnvironmentName>, sources: Vec<SourceView>) -> FleetStatus {
    let mut totals: BTreeMap<(Option<EnvironmentName>, Kind), Total> = BTreeMap::new();
    let mut attention = Vec::new();
    for stored in all {
        let (environment, common) = (stored.environment_name(claims), stored.common(claims));
        let (kind, at) = (stored.name.kind, environment.clone());
        let blank = Total { environment: at.clone(), kind, ready: 0, not_ready: 0, unknown: 0, late: 0 };
        count(totals.entry((at, kind)).or_insert(blank), &common);
        attention.extend(common.attention.map(|attention| AttentionView {
            environment,
            object: stored.name.clone(),
            reason: attention.reason,
            turn: attention.turn,
            since: attention.since,
            next_try: attention.next_try,
            hurts_at: attention.hurts_at,
            message: attention.message,
            fix: attention.fix,
        }));
    }
    FleetStatus {
        api_version: API_VERSION.to_owned(),
        kind: FleetStatus::KIND.to_owned(),
        as_of: present().to_second(),
        complete: false,
        sources,
        documents: DocumentsView::default(),
        totals: totals.into_values().collect(),
        attention,
    }
}

fn count(total: &mut Total, common: &CommonStatus) {
    let holds = |kind: &str| common.condition(kind).map_or(ConditionStatus::Unknown, |condition| condition.status);
    match holds("Ready") {
        ConditionStatus::False => total.not_ready += 1,
        ConditionStatus::True => total.ready += 1,
        ConditionStatus::Unknown => total.unknown += 1,
    }
    total.late += u64::from(holds("OnSchedule") == ConditionStatus::False);
}

const ENVIRONMENTS: &str = "kubernetes/environments";
