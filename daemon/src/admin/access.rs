//! Who speaks, and what they may do.

use axum::http::request::Parts;
use claviger_config::{EnvironmentName, ObjectName};
use claviger_core::ports::Actor;

use super::errors::{self, Problem};
use crate::serve::Peer;

/// Who may use the socket: root and the user that the daemon runs as.
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
        if self.users().any(|user| actor.kind == PERSON && actor.id == user) {
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

/// The actor of a request, by the kernel's word.
pub(super) fn actor(parts: &Parts) -> Result<Actor, Problem> {
    let user = parts.extensions.get::<Peer>().and_then(|peer| peer.uid).ok_or_else(errors::nobody)?;
    Ok(Actor { kind: PERSON.to_owned(), id: format!("uid:{user}"), via: "unix".to_owned() })
}
