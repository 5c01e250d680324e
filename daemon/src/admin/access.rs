//! Who speaks, and what they may do.

use std::net::IpAddr;

use axum::http::{header, request::Parts};
use claviger_config::{EnvironmentName, ObjectName};
use claviger_core::ports::Actor;

use super::errors::{self, Problem};
use crate::serve::Peer;

/// Who may use the socket: root and the user that the daemon runs as. Who may forward a port to the pod was decided by the API
/// server.
pub(super) struct Access {
    owner: u32,
}

impl Access {
    /// Access for the user of this process.
    pub(super) fn of_this_process() -> Self {
        Self { owner: rustix::process::geteuid().as_raw() }
    }

    /// The one decision: may this actor do this, there, to that? Whoever may not is told the same whether the object exists or
    /// not.
    pub(super) fn authorize(
        &self,
        actor: &Actor,
        verb: &str,
        environment: Option<&EnvironmentName>,
        object: Option<&ObjectName>,
    ) -> Result<(), Problem> {
        if actor.via == FORWARDED || self.users().any(|user| actor.kind == PERSON && actor.id == user) {
            return Ok(());
        }
        let environment = environment.map(EnvironmentName::as_str);
        tracing::warn!(actor = %actor.id, verb, environment, object = object.map(tracing::field::display), "denied");
        Err(errors::denied(&actor.id, verb, self.owner))
    }

    fn users(&self) -> impl Iterator<Item = String> {
        [0, self.owner].into_iter().map(|user| format!("uid:{user}"))
    }
}

const PERSON: &str = "person";
/// The way of whoever may port-forward to the pod.
const FORWARDED: &str = "port-forward";

/// The actor of a request, by the kernel's word. Of one that was forwarded only the way is known, and no more is said.
pub(super) fn actor(parts: &Parts) -> Result<Actor, Problem> {
    let actor = |id: String, via: &str| Actor { kind: PERSON.to_owned(), id, via: via.to_owned() };
    match parts.extensions.get::<Peer>() {
        Some(Peer::User(Some(user))) => Ok(actor(format!("uid:{user}"), "unix")),
        Some(Peer::Forwarded) => no_browser(parts).map(|()| actor("unknown".to_owned(), FORWARDED)),
        Some(Peer::User(None)) | None => Err(errors::nobody()),
    }
}

/// Somebody who forwards a port to the pod has it open on their own machine, where a web page could reach it: one from elsewhere
/// (cross-site requests carry `Origin`) or one whose name now leads to this address (`Host` is then its name).
fn no_browser(parts: &Parts) -> Result<(), Problem> {
    let text = |name: header::HeaderName| parts.headers.get(name).map(|value| value.to_str().unwrap_or("unreadable"));
    if let Some(origin) = text(header::ORIGIN) {
        return Err(errors::browser("origin", origin));
    }
    let host = text(header::HOST).unwrap_or_default();
    let name = host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(host, |(name, _)| name);
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    if name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback()) {
        return Ok(());
    }
    Err(errors::browser("host", host))
}
