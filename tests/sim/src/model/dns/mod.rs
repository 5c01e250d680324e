//! DNS as the world sees it: one truth, several name servers that may lag behind it.
//!
//! What it promises: A, AAAA, CAA, CNAME, NS, SOA and TXT for any name; NXDOMAIN told apart from "no such data", also
//! for names that exist only because others stand below them; wildcards; CNAME chains and loops; SERVFAIL, REFUSED and
//! silence for a name; name servers that see changes late or not at all. The CA and Cloudflare look through the same
//! eyes, see [`Dns::lookup`] and [`Dns::caa`]. Zones are changed by tests, or by DNS UPDATE signed with TSIG.
//!
//! What it does not do: DNSSEC, delegation (every server knows every name; each name belongs to the longest zone that
//! was added, else to its last two labels), zone transfer, other record types, negative caching.

pub(crate) mod caa;
mod lookup;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::bytes;

pub use self::caa::Verdict;
pub use self::lookup::{Outcome, Record, Reply};

/// A record type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// An IPv4 address.
    A,
    /// An IPv6 address.
    Aaaa,
    /// For example `0 issue "letsencrypt.org"`.
    Caa,
    /// A name, without the dot at the end.
    Cname,
    /// A name server's name.
    Ns,
    /// The beginning of a zone; made up, never stored.
    Soa,
    /// One text.
    Txt,
}

/// What goes wrong with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trouble {
    /// The server refuses to speak about it.
    Refused,
    /// The server fails.
    ServFail,
    /// No answer at all.
    Silent,
}

/// A name server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// So many milliseconds behind the truth.
    pub lag_millis: i64,
    /// Sees no change after that moment.
    pub frozen_at: Option<i64>,
    /// What is wrong with all its answers.
    pub trouble: Option<Trouble>,
}

/// All names of the world.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Dns {
    /// Seconds that an answer may be kept.
    pub ttl: u32,
    /// The name servers: the first on 127.0.0.1, the second on 127.0.0.2, and so on.
    pub servers: Vec<Server>,
    /// By [`key`], so that everything below a name stands together.
    sets: BTreeMap<String, BTreeMap<Kind, Versions>>,
    zones: BTreeMap<String, i64>,
    troubles: BTreeMap<String, Trouble>,
    /// Refuse updates whose time is too far from the world's. Switch it off where the callers' clock is another one.
    pub check_update_time: bool,
    update_keys: BTreeMap<String, UpdateKey>,
}

/// A key that may sign changes (RFC 8945).
#[derive(Clone, Serialize, Deserialize)]
pub struct UpdateKey {
    #[serde(with = "bytes")]
    secret: Vec<u8>,
    zones: Vec<String>,
}

impl fmt::Debug for UpdateKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "UpdateKey(for {:?})", self.zones)
    }
}

impl UpdateKey {
    pub(crate) fn secret(&self) -> &[u8] {
        &self.secret
    }

    pub(crate) fn may_change(&self, zone: &str) -> bool {
        self.zones.iter().any(|known| known == zone)
    }
}

/// The values of one name and type, each list with the moment since when it holds.
type Versions = Vec<(i64, Vec<String>)>;

impl Dns {
    /// An empty world with two name servers.
    pub fn new(unkind: bool) -> Self {
        let second = Server { lag_millis: if unkind { 700 } else { 0 }, ..Server::default() };
        Self {
            ttl: 1,
            servers: vec![Server::default(), second],
            sets: BTreeMap::new(),
            zones: BTreeMap::new(),
            troubles: BTreeMap::new(),
            check_update_time: true,
            update_keys: BTreeMap::new(),
        }
    }

    /// Makes `name` the beginning of a zone.
    pub fn add_zone(&mut self, now: i64, name: &str) {
        self.zones.entry(canonical(name)).or_insert(now);
    }

    /// Makes a key that may change these zones by DNS UPDATE, or changes what it may do.
    pub fn add_update_key(&mut self, name: &str, secret: &[u8], zones: &[&str]) {
        let zones = zones.iter().map(|zone| canonical(zone)).collect();
        self.update_keys.insert(canonical(name), UpdateKey { secret: secret.to_vec(), zones });
    }

    pub(crate) fn update_key(&self, name: &str) -> Option<&UpdateKey> {
        self.update_keys.get(name)
    }

    /// Is this the beginning of a zone?
    pub fn is_zone(&self, name: &str) -> bool {
        self.zone_of(name) == canonical(name)
    }

    /// Adds one value beside those that are there.
    pub fn add(&mut self, now: i64, name: &str, kind: Kind, value: &str) {
        let mut values = self.values(name, kind);
        if !values.iter().any(|known| known == value) {
            values.push(value.to_owned());
            self.set(now, name, kind, values);
        }
    }

    /// Takes one value away; true when it was there.
    pub fn remove(&mut self, now: i64, name: &str, kind: Kind, value: &str) -> bool {
        let mut values = self.values(name, kind);
        let before = values.len();
        values.retain(|known| known != value);
        let found = values.len() < before;
        if found {
            self.set(now, name, kind, values);
        }
        found
    }

    /// Puts these values in the place of all others.
    pub fn set(&mut self, now: i64, name: &str, kind: Kind, values: Vec<String>) {
        let versions = self.sets.entry(key(name)).or_default().entry(kind).or_default();
        // What every server has long forgotten need not be remembered.
        let old = versions.iter().rposition(|(since, _)| *since < now - LONGEST_MEMORY).unwrap_or(0);
        versions.drain(..old);
        versions.push((now, values));
    }

    /// Removes everything that stands at a name.
    pub fn clear(&mut self, now: i64, name: &str) {
        let kinds: Vec<Kind> = self.sets.get(&key(name)).map(|sets| sets.keys().copied().collect()).unwrap_or_default();
        for kind in kinds {
            self.set(now, name, kind, Vec::new());
        }
    }

    /// The newest values.
    pub fn values(&self, name: &str, kind: Kind) -> Vec<String> {
        let versions = self.sets.get(&key(name)).and_then(|sets| sets.get(&kind));
        versions.and_then(|versions| versions.last()).map(|(_, values)| values.clone()).unwrap_or_default()
    }

    /// All names at which something stands now, with their newest values.
    pub fn records(&self) -> impl Iterator<Item = (String, Kind, &[String])> {
        let all =
            self.sets.iter().flat_map(|(name, sets)| sets.iter().map(move |(kind, versions)| (name, kind, versions)));
        all.filter_map(|(name, kind, versions)| {
            let (_, values) = versions.last().filter(|(_, values)| !values.is_empty())?;
            Some((key(name), *kind, values.as_slice()))
        })
    }

    /// Makes trouble for every question about a name, or ends it.
    pub fn trouble(&mut self, name: &str, trouble: Option<Trouble>) {
        match trouble {
            Some(trouble) => self.troubles.insert(canonical(name), trouble),
            None => self.troubles.remove(&canonical(name)),
        };
    }
}

/// Lower case, without the dot at the end.
pub(crate) fn canonical(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// The labels from the right to the left; done twice it is the name again.
fn key(name: &str) -> String {
    canonical(name).rsplit('.').collect::<Vec<_>>().join(".")
}

const LONGEST_MEMORY: i64 = 86_400_000;

#[cfg(test)]
mod tests;
