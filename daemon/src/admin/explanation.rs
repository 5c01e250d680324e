//! One object, explained from end to end.

use std::sync::Arc;

use axum::{http::StatusCode, response::Response};
use claviger_config::{
    API_VERSION, Kind, ObjectName, Reason,
    admin::{ExplainedNext, ExplainedVerdict, Explanation},
    desired::{Surroundings, Wanted},
};
use claviger_core::{ports::Source, reconcile::pass::Explained};
use serde_json::Value;

use super::{Admin, call::Call, errors::Problem, json, resources};
use crate::drive::Forecast;

/// Explains one resource. A path that ends in `…/{namespace}/explanation` names a resource of that name.
pub(super) async fn show(admin: Arc<Admin>, call: Call) -> Result<Response, Problem> {
    let kind = call.path.read_kind()?;
    if let (true, Some(name)) = (kind != Kind::Environment, called_explanation(kind, call.path.text("name")))
        && call.path.text("namespace").is_empty()
    {
        return resources::one(&admin, &name);
    }
    let name = call.path.read_object()?;
    let explanation = admin.explain(&name).ok_or_else(|| admin.no_such_object(&name))?;
    json(StatusCode::OK, &explanation)
}

fn called_explanation(kind: Kind, namespace: &str) -> Option<ObjectName> {
    Some(ObjectName { kind, namespace: Some(namespace.parse().ok()?), name: "explanation".parse().ok()? })
}

impl Admin {
    fn explain(&self, name: &ObjectName) -> Option<Explanation> {
        let wanted = self.shared.documents.wanted(name);
        match self.shared.fleet.explained(name) {
            Some(explained) => {
                let environment = explained.shown.environment.clone();
                let at = wanted.as_ref().and_then(|wanted| wanted.environment.clone());
                let at = at.or_else(|| self.shared.documents.environment(environment.as_ref()?));
                Some(foreseen(explanation(name, explained, at.as_deref()), self.shared.driver.forecast(name)))
            }
            None => wanted.map(|wanted| unseen(&wanted)),
        }
    }
}

fn explanation(name: &ObjectName, explained: Explained, at: Option<&Surroundings>) -> Explanation {
    let said = explained.shown.said;
    let verdict = ExplainedVerdict {
        reason: said.reason,
        turn: said.reason.turn(),
        message: explained.message,
        since: Some(said.since.to_second()),
        hurts_at: explained.hurts.map(|at| at.to_second()),
        fix: explained.fix,
    };
    Explanation {
        environment: explained.shown.environment,
        verdict,
        steps: explained.steps,
        history: explained.history,
        next: explained.next,
        ..blank(name, at)
    }
}

/// Whoever stands in a budget's line is told when its turn comes, not only when the budget opens for the first in line.
fn foreseen(explanation: Explanation, forecast: Option<Forecast>) -> Explanation {
    let Some(forecast) = forecast else { return explanation };
    let next = ExplainedNext { at: forecast.at.to_second(), because: Reason::BudgetSpent.word().to_owned() };
    let verdict = ExplainedVerdict { message: forecast.to_string(), ..explanation.verdict };
    Explanation { verdict, next: Some(next), ..explanation }
}

fn unseen(wanted: &Wanted) -> Explanation {
    let at = wanted.environment.as_deref();
    Explanation { environment: at.map(|at| at.name.clone()), ..blank(&wanted.name, at) }
}

/// Owner and classification are inherited from the environment, and always shown.
fn blank(name: &ObjectName, at: Option<&Surroundings>) -> Explanation {
    let classification = at.and_then(|at| serde_json::to_value(at.spec.classification).ok());
    Explanation {
        api_version: API_VERSION.to_owned(),
        kind: "Explanation".to_owned(),
        object: name.clone(),
        environment: None,
        owner: at.map(|at| at.spec.owner.clone()),
        classification: classification.as_ref().and_then(Value::as_str).map(str::to_owned),
        verdict: ExplainedVerdict {
            reason: Reason::NotObserved,
            turn: Reason::NotObserved.turn(),
            message: String::new(),
            since: None,
            hurts_at: None,
            fix: Vec::new(),
        },
        steps: Vec::new(),
        history: Vec::new(),
        next: None,
    }
}
