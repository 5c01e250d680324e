//! Cloudflare custom hostnames (SSL for SaaS): several zones, API tokens, and two state machines for each hostname.
//!
//! What it promises: ownership and certificate move apart from each other, each on Cloudflare's own back-off, judged by
//! what [`Dns`](crate::model::dns::Dns) says at that moment; validation records that appear late, change when a CA
//! refuses and vanish when they are used; renewals that need fresh tokens; moved and deleted hostnames; PATCH as the
//! verb that revives; Cloudflare's codes, its string `messages`, its bare answer to DELETE; the request limit that
//! blocks everything for five minutes, the issuance limit, quotas and entitlements. While `unkind` it gives at most 50
//! rows a page, newest first so that rows shift, shows a fresh hostname late in lists, shuffles what has no order and
//! sometimes drops deleted hostnames altogether.
//!
//! What it does not do: certificates that can be used (there are serial numbers and dates, no bytes), uploaded
//! certificates, e-mail validation, HTTP ownership proofs, webhooks, apex proxying, the edge itself. A wildcard needs
//! its TXT values or delegation, as it should; an exact name that points at the zone passes over HTTP without anybody
//! fetching anything. `.example` names are let through while [`Steering::allow_example`] is on; the real service
//! refuses them.

mod advance;
mod certificate;
mod create;
mod edit;
mod error;
mod hostname;
mod limits;
mod list;
mod proof;
mod show;
mod steering;
mod zone;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use self::certificate::{Leaf, Ssl, Token};
pub use self::error::CloudflareError;
pub use self::hostname::Hostname;
pub use self::limits::Window;
pub use self::list::{Filter, Page};
pub use self::steering::{Steering, Times};
pub use self::zone::{Access, FallbackOrigin, Zone};

use crate::dice::Dice;

/// All zones of the world.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cloudflare {
    /// What may be turned.
    pub steering: Steering,
    dice: Dice,
    zones: BTreeMap<String, Zone>,
    tokens: BTreeMap<String, Access>,
    hostnames: BTreeMap<String, Hostname>,
    /// Ids by name, over all zones.
    by_name: BTreeMap<String, BTreeSet<String>>,
    /// Hostnames of each zone.
    used: BTreeMap<String, u64>,
    /// When which hostname wants to be looked at again.
    agenda: BTreeSet<(i64, String)>,
    windows: BTreeMap<String, Window>,
    counts: Counts,
}

/// What was done since the world began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Hostnames made.
    pub created: u64,
    /// Hostnames changed by PATCH.
    pub edited: u64,
    /// Hostnames deleted by DELETE.
    pub deleted: u64,
    /// Certificate packs issued, renewals too.
    pub issued: u64,
}

impl Cloudflare {
    /// A world without zones.
    pub fn new(seed: u64, unkind: bool) -> Self {
        Self {
            steering: Steering::new(unkind),
            dice: Dice::new(seed, "cloudflare"),
            zones: BTreeMap::new(),
            tokens: BTreeMap::new(),
            hostnames: BTreeMap::new(),
            by_name: BTreeMap::new(),
            used: BTreeMap::new(),
            agenda: BTreeSet::new(),
            windows: BTreeMap::new(),
            counts: Counts::default(),
        }
    }

    /// What was done so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Every hostname of every zone.
    pub fn hostnames(&self) -> impl Iterator<Item = &Hostname> {
        self.hostnames.values()
    }

    /// A hostname by its name.
    pub fn named(&self, zone: &str, hostname: &str) -> Option<&Hostname> {
        self.all_named(hostname).find(|one| one.zone == zone)
    }

    /// The hostnames of all zones that have this name.
    fn all_named(&self, hostname: &str) -> impl Iterator<Item = &Hostname> {
        let ids = self.by_name.get(hostname).into_iter().flatten();
        ids.filter_map(|id| self.hostnames.get(id))
    }

    fn insert(&mut self, one: Hostname) {
        let id = one.id.clone();
        self.by_name.entry(one.hostname.clone()).or_default().insert(id.clone());
        *self.used.entry(one.zone.clone()).or_insert(0) += 1;
        self.hostnames.insert(id.clone(), one);
        self.schedule(&id);
    }

    fn forget(&mut self, one: &Hostname) {
        self.agenda.remove(&(one.wake, one.id.clone()));
        if let Some(ids) = self.by_name.get_mut(&one.hostname) {
            ids.remove(&one.id);
        }
        if let Some(used) = self.used.get_mut(&one.zone) {
            *used -= 1;
        }
    }

    fn schedule(&mut self, id: &str) {
        let Some(one) = self.hostnames.get_mut(id) else { return };
        let wake = one.next_wake();
        if wake != one.wake {
            self.agenda.remove(&(one.wake, id.to_owned()));
            one.wake = wake;
        }
        if wake < i64::MAX {
            self.agenda.insert((wake, id.to_owned()));
        }
    }
}

type Outcome<T> = Result<T, CloudflareError>;

#[cfg(test)]
mod tests;
