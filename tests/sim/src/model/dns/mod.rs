//! DNS as the world sees it: one truth, several name servers that may lag behind it.
//!
//! What it promises: A, AAAA, CAA, CNAME, NS, SOA and TXT for any name; NXDOMAIN told apart from "no such data", also
//! for names that exist only because others stand below them; wildcards; CNAME chains and loops; SERVFAIL, REFUSED and
//! silence for a name; name servers that see changes late or not at all. The CA and Cloudflare look through the same
//! eyes, see [`Dns::lookup`] and [`Dns::caa`].
//!
//! What it does not do: DNSSEC, delegation (every server knows every name; each name belongs to the longest zone that
//! was added, else to its last two labels), zone transfer, other record types, negative caching.

pub(crate) mod caa;
mod lookup;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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
    sets: BTreeMap<String, BTreeMap<Kind, Versions>>,
    zones: BTreeMap<String, i64>,
    troubles: BTreeMap<String, Trouble>,
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
        }
    }

    /// Makes `name` the beginning of a zone.
    pub fn add_zone(&mut self, now: i64, name: &str) {
        self.zones.entry(canonical(name)).or_insert(now);
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
        let versions = self.sets.entry(canonical(name)).or_default().entry(kind).or_default();
        // What every server has long forgotten need not be remembered.
        let old = versions.iter().rposition(|(since, _)| *since < now - LONGEST_MEMORY).unwrap_or(0);
        versions.drain(..old);
        versions.push((now, values));
    }

    /// Removes everything that stands at a name.
    pub fn clear(&mut self, now: i64, name: &str) {
        let kinds: Vec<Kind> =
            self.sets.get(&canonical(name)).map(|sets| sets.keys().copied().collect()).unwrap_or_default();
        for kind in kinds {
            self.set(now, name, kind, Vec::new());
        }
    }

    /// The newest values.
    pub fn values(&self, name: &str, kind: Kind) -> Vec<String> {
        let versions = self.sets.get(&canonical(name)).and_then(|sets| sets.get(&kind));
        versions.and_then(|versions| versions.last()).map(|(_, values)| values.clone()).unwrap_or_default()
    }

    /// All names at which something stands now, with their newest values.
    pub fn records(&self) -> impl Iterator<Item = (&str, Kind, &[String])> {
        let all =
            self.sets.iter().flat_map(|(name, sets)| sets.iter().map(move |(kind, versions)| (name, kind, versions)));
        all.filter_map(|(name, kind, versions)| {
            let (_, values) = versions.last().filter(|(_, values)| !values.is_empty())?;
            Some((name.as_str(), *kind, values.as_slice()))
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

const LONGEST_MEMORY: i64 = 86_400_000;

#[cfg(test)]
mod tests;
