//! Is anything wrong, since when, whose turn is it, how long until it hurts.

use std::{collections::BTreeMap, sync::Arc};

use axum::{http::StatusCode, response::Response};
use claviger_config::{
    API_VERSION, EnvironmentName, Kind, Moment, ObjectName, Turn,
    admin::{AttentionView, FleetStatus, Total},
    condition::ConditionStatus,
};

use super::{
    Admin, aside,
    call::Call,
    errors::Problem,
    json,
    sources::Sources,
    subject::{Subject, holds},
};

/// Tells how the fleet is.
pub(super) async fn show(admin: Arc<Admin>, _: Call) -> Result<Response, Problem> {
    let status = aside(move || fleet(&admin)).await?;
    json(StatusCode::OK, &status)
}

fn fleet(admin: &Admin) -> FleetStatus {
    let now = admin.now();
    let mut found = Found { sources: Sources::of(&admin.shared.documents), ..Found::default() };
    for kind in Kind::ALL {
        for name in admin.names(kind, |_| true) {
            // One at a time: a fleet is large, and passes wait for whoever looks at a subject.
            if let Some(subject) = admin.subject(&name).filter(|subject| subject.wanted.is_some()) {
                found.take(name, &subject);
            }
        }
    }
    found.attention.sort_by_key(urgency);
    FleetStatus {
        api_version: API_VERSION.to_owned(),
        kind: FleetStatus::KIND.to_owned(),
        as_of: now.to_second(),
        complete: admin.shared.driver.complete(),
        sources: found.sources.views(&admin.shared.metrics, now),
        documents: admin.shared.documents.view(),
        totals: found.totals.into_values().collect(),
        attention: found.attention,
    }
}

/// What was found so far.
#[derive(Default)]
struct Found {
    attention: Vec<AttentionView>,
    sources: Sources,
    totals: BTreeMap<(Option<EnvironmentName>, Kind), Total>,
}

impl Found {
    fn take(&mut self, name: ObjectName, subject: &Subject) {
        self.sources.take(&name, subject);
        self.count(name.kind, subject);
        self.attention.extend(noticed(name, subject));
    }

    fn count(&mut self, kind: Kind, subject: &Subject) {
        let environment = subject.environment.clone();
        let key = (environment.clone(), kind);
        let blank = Total { environment, kind, ready: 0, not_ready: 0, unknown: 0, late: 0 };
        let total = self.totals.entry(key).or_insert(blank);
        match holds(&subject.common, "Ready") {
            ConditionStatus::False => total.not_ready += 1,
            ConditionStatus::True => total.ready += 1,
            ConditionStatus::Unknown => total.unknown += 1,
        }
        total.late += u64::from(holds(&subject.common, "OnSchedule") == ConditionStatus::False);
    }
}

fn noticed(name: ObjectName, subject: &Subject) -> Option<AttentionView> {
    let attention = subject.common.attention.clone()?;
    Some(AttentionView {
        environment: subject.environment.clone(),
        object: name,
        reason: attention.reason,
        turn: attention.turn,
        since: attention.since,
        next_try: attention.next_try,
        hurts_at: attention.hurts_at,
        message: attention.message,
        fix: attention.fix,
    })
}

/// What hurts soonest comes first, then what only a person can end, then what lasts longest.
fn urgency(view: &AttentionView) -> (Moment, bool, Moment, ObjectName) {
    (view.hurts_at.unwrap_or(Moment::MAX), view.turn != Turn::Operator, view.since, view.object.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use claviger_config::Reason;

    fn view(name: &str, turn: Turn, since: i64, hurts: Option<i64>) -> AttentionView {
        AttentionView {
            environment: None,
            object: ObjectName { kind: Kind::KmsKey, namespace: None, name: name.parse().unwrap() },
            reason: Reason::KmsDenied,
            turn,
            since: Moment(since),
            next_try: None,
            hurts_at: hurts.map(Moment),
            message: String::new(),
            fix: Vec::new(),
        }
    }

    #[test]
    fn what_hurts_soonest_comes_first_then_a_persons_turn_then_the_oldest() {
        let mut views = [
            view("patient", Turn::Customer, 1, None),
            view("young", Turn::Operator, 9, None),
            view("old", Turn::Operator, 2, None),
            view("later", Turn::Operator, 1, Some(200)),
            view("soon", Turn::Aws, 8, Some(100)),
        ];
        views.sort_by_key(urgency);
        assert_eq!(views.map(|view| view.object.name.to_string()), ["soon", "later", "old", "young", "patient"]);
    }
}
