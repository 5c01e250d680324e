//! The CA over plain HTTP: directory, nonces, signed requests, and the fetching of http-01.

mod fetch;
mod jws;
mod route;
mod show;

use std::sync::Arc;

use serde_json::json;

use super::server::http_date;
use super::world::Shared;
use super::{Ask, Front};
use crate::answer::Answer;
use crate::fault::Service;
use crate::lock;
use crate::model::acme::{Acme, Problem, malformed};

pub(super) use self::fetch::validate;

pub(super) const FRONT: Front = Front { service: Service::Acme, operation, answer, throttled };

fn operation(ask: &Ask) -> String {
    route::Route::of(&ask.path).map_or("unknown", |route| route.name()).to_owned()
}

fn answer(shared: &Arc<Shared>, ask: &Ask) -> Answer {
    let now = shared.now();
    let mut acme = lock(&shared.acme);
    acme.advance(now);
    let base = format!("http://{}", ask.here);
    let answer = match route::run(&mut acme, now, &base, ask) {
        Ok(answer) => answer,
        Err(problem) => refused(&acme, now, &problem),
    };
    // Every answer to a POST carries the next nonce, also a refusal (RFC 8555 section 6.5).
    let answer = if ask.method == http::Method::POST { answer.with("replay-nonce", acme.nonce()) } else { answer };
    answer.with("link", format!("<{base}/dir>;rel=\"index\"")).with("cache-control", "public, max-age=0, no-cache")
}

fn refused(acme: &Acme, now: i64, problem: &Problem) -> Answer {
    let mut document = problem.document();
    if problem.kind == "badSignatureAlgorithm" {
        document["algorithms"] = json!(["ES256", "ES384", "RS256"]);
    }
    let answer = Answer::json(problem.status, "application/problem+json", &document);
    match problem.retry_after {
        Some(wait) if acme.steering.retry_after_as_date => answer.with("retry-after", http_date(now + wait)),
        Some(wait) => answer.with("retry-after", (wait.max(0) as u64).div_ceil(1000).to_string()),
        None => answer,
    }
}

fn throttled() -> Answer {
    let problem = Problem::new("rateLimited", "Service busy; retry later.");
    Answer::json(429, "application/problem+json", &problem.document())
}

fn no_method(ask: &Ask) -> Problem {
    malformed(format!("Method not allowed: {}", ask.method)).status(405)
}

#[cfg(test)]
mod tests;
