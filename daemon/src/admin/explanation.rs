//! One object, explained from end to end.

use std::sync::Arc;

use axum::{http::StatusCode, response::Response};
use claviger_config::{
    Kind, ObjectName, Reason,
    admin::{ExplainedNext, ExplainedVerdict, Explanation, Remembered},
    desired::{Surroundings, Wanted},
};
use claviger_core::{ports::Source, reconcile::pass::Explained};

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
    let Explained { shown, history, thought } = explained;
    let remembered = Remembered { reason: shown.said.reason, since: shown.said.since, history, thought };
    inside(Explanation::of(name, remembered, shown.environment), at)
}

/// Owner and classification are inherited from the environment, and always shown.
fn inside(explanation: Explanation, at: Option<&Surroundings>) -> Explanation {
    match at {
        Some(at) => explanation.inside(&at.spec),
        None => explanation,
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
    let environment = at.map(|at| at.name.clone());
    inside(Explanation { environment, ..Explanation::unseen(&wanted.name) }, at)
}
