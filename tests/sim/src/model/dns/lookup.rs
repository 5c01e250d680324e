//! Answering a question.

use super::{Dns, Kind, Server, Trouble, Versions, canonical, key};

/// How a question ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There is at least one record of the type that was asked for.
    Found,
    /// The name exists, but nothing of that type stands there.
    NoData,
    /// The name does not exist.
    NxDomain,
    /// The server fails; also the end of a CNAME loop.
    ServFail,
    /// The server refuses.
    Refused,
    /// No answer comes.
    Silent,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it stands.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// In the form of [`Kind`].
    pub value: String,
}

/// An answer: the chain of CNAMEs first, then what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// How it ended.
    pub outcome: Outcome,
    /// All records on the way.
    pub records: Vec<Record>,
    /// The zone of the last name.
    pub zone: String,
}

impl Reply {
    /// The values of the type that was asked for.
    pub fn values(&self, kind: Kind) -> impl Iterator<Item = &str> {
        self.records.iter().filter(move |record| record.kind == kind).map(|record| record.value.as_str())
    }
}

impl Dns {
    /// What the first name server says, which is what the CA and Cloudflare see.
    pub fn lookup(&self, now: i64, name: &str, kind: Kind) -> Reply {
        self.lookup_at(0, now, name, kind)
    }

    /// What one of the name servers says.
    pub fn lookup_at(&self, server: usize, now: i64, name: &str, kind: Kind) -> Reply {
        let server = self.servers.get(server).cloned().unwrap_or_default();
        let at = seen_at(&server, now);
        let mut reply = Reply { outcome: Outcome::NoData, records: Vec::new(), zone: String::new() };
        let mut name = canonical(name);
        for _ in 0..LONGEST_CHAIN {
            reply.zone = self.zone_of(&name);
            if let Some(trouble) = server.trouble.or_else(|| self.troubles.get(&name).copied()) {
                reply.outcome = trouble.into();
                return reply;
            }
            let step = self.step(at, &name, kind);
            reply.records.extend(step.values.into_iter().map(|value| Record {
                name: name.clone(),
                kind: step.kind,
                value,
            }));
            match step.next {
                Next::Ends(outcome) => {
                    reply.outcome = outcome;
                    return reply;
                }
                Next::Follow(target) => name = target,
            }
        }
        reply.outcome = Outcome::ServFail;
        reply
    }

    /// The longest zone that holds a name; without one, the name's last two labels.
    pub fn zone_of(&self, name: &str) -> String {
        let name = canonical(name);
        let known = ancestors(&name).find(|candidate| self.zones.contains_key(*candidate));
        let labels: Vec<&str> = name.split('.').collect();
        known.map_or_else(|| labels[labels.len().saturating_sub(2)..].join("."), str::to_owned)
    }

    fn step(&self, at: i64, name: &str, kind: Kind) -> Step {
        let zone = self.zone_of(name);
        if let Some(values) = self.made_up(name, &zone, kind) {
            return Step { kind, values, next: Next::Ends(Outcome::Found) };
        }
        let Some(owner) = self.owner(at, name) else {
            let outcome = if name == zone { Outcome::NoData } else { Outcome::NxDomain };
            return Step { kind, values: Vec::new(), next: Next::Ends(outcome) };
        };
        let values = self.values_at(at, &owner, kind);
        if !values.is_empty() {
            return Step { kind, values, next: Next::Ends(Outcome::Found) };
        }
        let alias = self.values_at(at, &owner, Kind::Cname);
        match alias.first().map(|target| canonical(target)) {
            Some(target) => Step { kind: Kind::Cname, values: alias, next: Next::Follow(target) },
            None => Step { kind, values, next: Next::Ends(Outcome::NoData) },
        }
    }

    /// What every zone has without anybody writing it: a beginning, name servers, and their addresses.
    fn made_up(&self, name: &str, zone: &str, kind: Kind) -> Option<Vec<String>> {
        let count = self.servers.len();
        match kind {
            Kind::Soa if name == zone => Some(vec![format!("ns1.{zone} hostmaster.{zone}")]),
            Kind::Ns if name == zone && self.values(name, Kind::Ns).is_empty() => {
                Some((1..=count).map(|number| format!("ns{number}.{zone}")).collect())
            }
            Kind::A => {
                let number = name.strip_suffix(zone)?.strip_suffix('.')?.strip_prefix("ns")?.parse::<usize>().ok()?;
                (1..=count).contains(&number).then(|| vec![format!("127.0.0.{number}")])
            }
            _ => None,
        }
    }

    /// The name whose records answer for `name`: itself, or a wildcard (RFC 4592); None when it does not exist.
    fn owner(&self, at: i64, name: &str) -> Option<String> {
        if self.exists(at, name) {
            return Some(name.to_owned());
        }
        let closest = ancestors(name).skip(1).find(|parent| self.exists(at, parent))?;
        Some(format!("*.{closest}")).filter(|wildcard| self.stands(at, wildcard))
    }

    fn exists(&self, at: i64, name: &str) -> bool {
        // '/' is the next character after '.'.
        let below = self.sets.range(format!("{}.", key(name))..format!("{}/", key(name)));
        self.stands(at, name)
            || below.into_iter().any(|(_, sets)| sets.values().any(|one| !values_at(one, at).is_empty()))
    }

    fn stands(&self, at: i64, name: &str) -> bool {
        self.sets.get(&key(name)).is_some_and(|sets| sets.values().any(|one| !values_at(one, at).is_empty()))
    }

    fn values_at(&self, at: i64, name: &str, kind: Kind) -> Vec<String> {
        let versions = self.sets.get(&key(name)).and_then(|sets| sets.get(&kind));
        versions.map(|versions| values_at(versions, at).to_vec()).unwrap_or_default()
    }
}

fn values_at(versions: &Versions, at: i64) -> &[String] {
    versions.iter().rev().find(|(since, _)| *since <= at).map_or(&[], |(_, values)| values)
}

struct Step {
    kind: Kind,
    values: Vec<String>,
    next: Next,
}

enum Next {
    Ends(Outcome),
    Follow(String),
}

impl From<Trouble> for Outcome {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Refused => Self::Refused,
            Trouble::ServFail => Self::ServFail,
            Trouble::Silent => Self::Silent,
        }
    }
}

/// A name and everything above it, the longest first.
pub(super) fn ancestors(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |name| name.split_once('.').map(|(_, parent)| parent))
}

fn seen_at(server: &Server, now: i64) -> i64 {
    server.frozen_at.unwrap_or(i64::MAX).min(now - server.lag_millis)
}

const LONGEST_CHAIN: usize = 12;
