//! Changes by people: planned, shown, and then executed as they stand or not at all.

mod canonical;
mod desk;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{http::StatusCode, response::Response};
use claviger_config::{
    Kind, Moment, ObjectName, Reason, Span,
    admin::{ExecuteRequest, PlanCost, PlanRequest, PlanView, Verb},
};
use claviger_core::{
    domain::{
        effect::{Effect, Terms},
        record::Ask,
    },
    ports::{Actor, Asked, Entry, Source},
    reconcile::pass::Rehearsed,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json as value};

pub(super) use self::desk::Desk;
use self::desk::Held;
use super::{
    Admin,
    call::Call,
    errors::{self, Code, Problem},
    json,
};
use crate::adapters::craft::keys::sha256;

/// How long a plan can be executed.
const LASTS: Span = Span::minutes(10);
/// How often a subject that is out on a pass is waited for, and how long each time.
const PATIENCE: (u32, Duration) = (100, Duration::from_millis(50));

/// A plan that was executed: the ask is written down, and claviger is at it.
#[derive(Debug, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Executed {
    /// `Executed`.
    kind: &'static str,
    /// To which object.
    object: ObjectName,
    /// The plan.
    hash: String,
}

/// Plans a change. Nothing is done.
pub(super) async fn make(admin: Arc<Admin>, call: Call) -> Result<Response, Problem> {
    let asked: PlanRequest = call.read()?;
    admin.authorize_object(&call, "plan.make", &asked.object)?;
    suits(asked.verb, &asked.object)?;
    let now = admin.now();
    let ask = ask(&call.actor, String::new(), None, now);
    let rehearsed = admin.rehearse(&asked.object, ask).await?;
    let hash = hash(asked.verb, &asked.object, &rehearsed)?;
    let expires = now + LASTS;
    admin.plans.keep(hash.clone(), Held { verb: asked.verb, object: asked.object, expires }, now);
    let way: Vec<Terms> = rehearsed.effects.iter().map(Effect::terms).chain(rehearsed.then.iter().copied()).collect();
    let effects = way.iter().map(|terms| terms.word.to_owned()).collect();
    let plan = PlanView { hash, effects, cost: cost(&way), expires: expires.to_second() };
    json(StatusCode::OK, &plan)
}

/// Executes a plan as it stands, once, or not at all.
pub(super) async fn execute(admin: Arc<Admin>, call: Call) -> Result<Response, Problem> {
    let asked: ExecuteRequest = call.read()?;
    words("reason", &asked.reason, 1, 1_000)?;
    words("ticket", asked.ticket.as_deref().unwrap_or("-"), 1, 253)?;
    let (hash, now) = (call.path.text("hash").to_owned(), admin.now());
    // Taken, not looked up: of two who execute it at the same time one finds nothing.
    let held = admin.plans.take(&hash, now).ok_or_else(|| plan_unknown(&hash))?;
    let object = held.object.clone();
    admin.authorize_object(&call, "plan.execute", &object)?;
    let done = admin.carry_out(&call.actor, &hash, &held, asked).await;
    if done.as_ref().is_err_and(Problem::may_pass) {
        admin.plans.keep(hash.clone(), held, now);
    }
    done?;
    json(StatusCode::OK, &Executed { kind: "Executed", object, hash })
}

impl Admin {
    fn authorize_object(&self, call: &Call, verb: &str, object: &ObjectName) -> Result<(), Problem> {
        let wanted = self.shared.documents.wanted(object);
        let environment = wanted.as_ref().and_then(|wanted| wanted.environment.as_ref()).map(|at| &at.name);
        self.access.authorize(&call.actor, verb, environment, Some(object))
    }

    async fn carry_out(&self, actor: &Actor, hash: &str, held: &Held, asked: ExecuteRequest) -> Result<(), Problem> {
        let (now, object) = (self.now(), &held.object);
        let ask = ask(actor, asked.reason, asked.ticket, now);
        let rehearsed = self.rehearse(object, ask.clone()).await?;
        if self::hash(held.verb, object, &rehearsed)? != hash {
            return Err(outdated(object));
        }
        if let Some((reason, message)) = &rehearsed.rests {
            return Err(empty(object, *reason, message));
        }
        let asked =
            Asked { justification: ask.reason.clone(), ticket: ask.ticket.clone(), plan_sha256: Some(hash.to_owned()) };
        let line = Entry {
            actor: actor.clone(),
            verb: "plan.execute".to_owned(),
            environment: self.subject(object).and_then(|subject| subject.environment),
            object: object.clone(),
            reason: Reason::Requested,
            intent: hash.to_owned(),
            asked: Some(asked),
            outcome: None,
        };
        self.journalled(line, self.ask(object, ask)).await?;
        self.shared.driver.put(object.clone());
        Ok(())
    }

    /// What an ask would lead to. A subject that is out on a pass is waited for.
    async fn rehearse(&self, object: &ObjectName, ask: Ask) -> Result<Rehearsed, Problem> {
        for _ in 0..PATIENCE.0 {
            if let Some(rehearsed) = self.shared.fleet.rehearse(object, ask.clone()) {
                return Ok(rehearsed);
            }
            if self.shared.documents.wanted(object).is_none() {
                return Err(self.no_such_object(object));
            }
            tokio::time::sleep(PATIENCE.1).await;
        }
        Err(busy(object))
    }

    /// Writes an ask into a record.
    pub(super) async fn ask(&self, object: &ObjectName, ask: Ask) -> Result<(), Problem> {
        Ok(self.shared.fleet.ask(object, ask).await?)
    }
}

fn ask(actor: &Actor, reason: String, ticket: Option<String>, at: Moment) -> Ask {
    Ask { actor: actor.clone(), reason, ticket, at, fresh: true }
}

fn suits(verb: Verb, object: &ObjectName) -> Result<(), Problem> {
    match (verb, object.kind) {
        (Verb::Renew, Kind::KmsKey | Kind::TlsCertificate) => Ok(()),
        (Verb::Renew, Kind::Authority | Kind::CustomHostname | Kind::Environment) => Err(Problem::new(
            Code::VerbWrong,
            format!("`renew` is not for `{object}`; accepted: a KmsKey or a TlsCertificate"),
            object.to_string(),
            "name a key or a certificate; `clavigerctl hostname check` has a host name looked at",
        )),
    }
}

/// The name of a plan: what would be done, to what, seen how. Names and ciphertext only: no effect holds a secret.
fn hash(verb: Verb, object: &ObjectName, rehearsed: &Rehearsed) -> Result<String, Problem> {
    let effects = rehearsed.effects.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>();
    let mut effects = effects.map_err(|error| errors::bug("a plan cannot be written as JSON", &error))?;
    effects.extend(rehearsed.then.iter().map(|terms| Value::from(terms.word)));
    let (generation, revision) = (rehearsed.generation, rehearsed.revision);
    let plan = value!({
        "verb": verb, "object": object, "generation": generation, "revision": revision, "effects": effects,
    });
    Ok(sha256(canonical::text(&plan).as_bytes()))
}

fn cost(way: &[Terms]) -> Vec<PlanCost> {
    let mut calls: BTreeMap<&str, u32> = BTreeMap::new();
    for class in way.iter().flat_map(|terms| terms.pays) {
        *calls.entry(class.word()).or_default() += 1;
    }
    calls.into_iter().map(|(budget, calls)| PlanCost { budget: budget.to_owned(), calls }).collect()
}

fn words(field: &str, found: &str, shortest: usize, longest: usize) -> Result<(), Problem> {
    let length = found.trim().chars().count();
    if (shortest..=longest).contains(&length) {
        return Ok(());
    }
    let message = format!("found {length} characters; accepted: {shortest} to {longest}");
    Err(errors::field_wrong(field, message, "say in a sentence why this is done; it goes into the audit journal"))
}

fn plan_unknown(hash: &str) -> Problem {
    let message = format!("there is no plan `{}`: it never was, has expired, or was executed", errors::short(hash));
    Problem::new(Code::PlanUnknown, message, errors::short(hash), "plan again")
}

fn outdated(object: &ObjectName) -> Problem {
    let message = format!("the world has changed since the plan was made: `{object}` is no longer as it was seen");
    Problem::new(Code::PlanOutdated, message, object.to_string(), "plan again, and look at what it would do now")
}

fn empty(object: &ObjectName, reason: Reason, message: &str) -> Problem {
    let words = if message.is_empty() { reason.hint() } else { message };
    let text = format!("nothing would follow for `{object}`: {reason}: {words}");
    Problem::new(Code::PlanEmpty, text, object.to_string(), "mend that first, then plan again")
}

fn busy(object: &ObjectName) -> Problem {
    let message = format!("`{object}` is being worked on right now");
    Problem::new(Code::Busy, message, object.to_string(), "try again in a moment").retry_after(Span::seconds(1))
}
