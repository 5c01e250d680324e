//! What a keeper holds of a subject between passes, and what the store holds of it.

use std::sync::Arc;

use claviger_config::{Moment, ObjectName, Reason, Span, Turn, desired::Wanted};
use serde::{Deserialize, Serialize};

use crate::{
    domain::{
        failure::{Failure, Retry},
        noun::{Noun, Seen},
        plan::{Plan, Step},
        record::{Intent, Record, Said},
    },
    ports::Version,
};

/// A subject between two passes.
#[derive(Clone)]
pub(super) struct Kept<N: Noun> {
    pub(super) seen: Seen<N>,
    pub(super) stored: Option<Stored>,
    pub(super) plan: Plan,
    pub(super) wanted: Option<Arc<Wanted>>,
}

/// What the store holds, as far as a comparison needs it: the record itself would take its memory twice.
#[derive(Clone, Deserialize, Serialize)]
pub(super) struct Stored {
    pub(super) intent: Option<Intent>,
    /// Of its body; absent when the record has changed since.
    pub(super) digest: Option<u64>,
    /// Of what it holds beside what was said.
    pub(super) essence: u64,
    pub(super) version: Version,
    /// Digests of the claims that were let through.
    pub(super) claims: Vec<u64>,
    /// Whether it was written by this process, and so is no view of the past.
    pub(super) ours: bool,
}

impl<N: Noun> Kept<N> {
    /// The version that the store holds; absent when the record has changed since.
    pub(super) fn clean(&self) -> Option<Version> {
        self.stored.as_ref().filter(|stored| stored.digest.is_some()).map(|stored| stored.version)
    }

    /// The version that the store holds, 0 when it holds none.
    pub(super) fn revision(&self) -> u64 {
        self.stored.as_ref().map_or(0, |stored| stored.version.0)
    }

    /// Whether another process wrote this and had seen a later document. It is read again, since it may be that of an object which is gone.
    pub(super) fn speaks_of_later(&self, generation: u64) -> bool {
        self.stored.as_ref().is_some_and(|stored| !stored.ours) && self.seen.record.generation > generation
    }

    /// Whether this is the memory of an object that is gone, and another one has its name now.
    pub(super) fn is_of_another(&self, wanted: &Wanted) -> bool {
        let own = self.wanted.as_ref().and_then(|wanted| wanted.identity.as_ref());
        own.is_some() && wanted.identity.is_some() && own != wanted.identity.as_ref()
    }

    /// From now on the record is not as the store holds it, whatever it looks like.
    pub(super) fn soil(&mut self) {
        self.stored.iter_mut().for_each(|stored| stored.digest = None);
    }
}

/// Whether a rest is over before anybody could have read of it: a CA that is asked every few seconds.
pub(super) fn is_brief(plan: &Plan, said: &Said, now: Moment) -> bool {
    let soon = plan.step == Step::Rest && plan.next.is_some_and(|next| next <= now + BRIEF);
    soon && now.since(said.since) < BRIEF && plan.reason.turn() != Turn::Nobody
}

/// A digest of what must outlive a crash: all but what was said.
pub(super) fn essence<M: Serialize>(record: &Record<M>) -> u64 {
    let Record { environment, generation, intent, trouble, ask, released, memory, .. } = record;
    let essence = (environment, generation, intent, trouble, ask, released, memory);
    serde_json::to_string(&essence).map_or(0, |body| digest(&body))
}

/// A rest so short that it is not worth a write.
const BRIEF: Span = Span::minutes(1);

/// FNV-1a: the same in every build, good enough to see a change.
pub(super) fn digest(body: &str) -> u64 {
    body.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// Another process has seen a later document than this one has: nothing is decided by the earlier one.
pub(super) fn of_the_past(name: &ObjectName, now: Moment) -> Failure {
    let text = format!("the document of {name} is older than what its record speaks of: the next one is waited for");
    Failure::new(Reason::StoreFailed, text).retry(Retry::At(now + Span::seconds(1)))
}

/// A record that cannot be read is left where it is: nothing is made anew over it.
pub(super) fn read<M: serde::de::DeserializeOwned>(name: &ObjectName, body: &str) -> Result<Record<M>, Failure> {
    serde_json::from_str(body).map_err(|error| {
        Failure::new(Reason::StoreFailed, format!("the record of {name} cannot be read: {error}"))
            .retry(Retry::Never)
            .fix("restore the state folder from a backup, or start this release's predecessor again")
    })
}
