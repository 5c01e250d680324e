//! What two environments may not share. One small rule each; the newcomer is rejected, the incumbent runs on.

use super::{
    environment::spec,
    versions::{Versions, claimed},
};
use crate::{
    admin::Finding,
    document::{Code, Document},
    environment::{EnvironmentSpec, Zone},
    name::{DnsName, Kind, ObjectName},
};

/// Reject environments until no two of those that stand share anything.
pub(super) fn separate(versions: &mut Versions<'_>) {
    versions.yield_until_none(losers, against);
    // What also speaks against those that are rejected already: every error at once.
    let more = against(versions, &versions.aside.iter().collect::<Vec<_>>());
    versions.findings.extend(more.into_iter().flatten());
}

/// One round, from the oldest to the newest: whoever is at odds with one that stands loses.
fn losers(versions: &Versions<'_>) -> Vec<(ObjectName, Vec<Finding>)> {
    let mut environments: Vec<Environment<'_>> = versions.of(Kind::Environment).filter_map(Environment::of).collect();
    environments.sort_by_cached_key(|environment| versions.seniority(environment.document));
    let mut standing: Vec<Environment<'_>> = Vec::new();
    let mut losers = Vec::new();
    for newcomer in environments {
        let findings = newcomer.against(&standing);
        match findings.is_empty() {
            true => standing.push(newcomer),
            false => losers.push((newcomer.document.name.clone(), findings)),
        }
    }
    losers
}

fn against(versions: &Versions<'_>, documents: &[&Document]) -> Vec<Vec<Finding>> {
    let standing: Vec<Environment<'_>> = versions.of(Kind::Environment).filter_map(Environment::of).collect();
    let one = |document: &&Document| Environment::of(document).map(|newcomer| newcomer.against(&standing));
    documents.iter().map(|document| one(document).unwrap_or_default()).collect()
}

struct Environment<'a> {
    document: &'a Document,
    spec: &'a EnvironmentSpec,
}

impl<'a> Environment<'a> {
    fn of(document: &'a Document) -> Option<Self> {
        Some(Self { document, spec: spec(document)? })
    }

    /// What this newcomer shares with others.
    fn against(&self, standing: &[Self]) -> Vec<Finding> {
        let others = standing.iter().filter(|incumbent| incumbent.document.name != self.document.name);
        others.flat_map(|incumbent| RULES.iter().flat_map(|rule| rule(self, incumbent))).collect()
    }

    /// The finding about something of this newcomer that the incumbent has.
    fn finding(&self, code: Code, path: &str, found: &str, of: (&Self, &str), blanks: &[(&str, &str)]) -> Finding {
        let (incumbent, their_path) = of;
        let (object, first) = (incumbent.document.name.to_string(), incumbent.document.at(their_path).to_string());
        let mut all = vec![("found", found), ("object", object.as_str()), ("first", first.as_str())];
        all.extend_from_slice(blanks);
        code.at(&self.document.at(path), &all).found(found)
    }
}

type Rule = fn(&Environment<'_>, &Environment<'_>) -> Vec<Finding>;

const RULES: &[Rule] = &[namespaces, alias_prefixes, roles, edge_zones, dns_zones];

fn namespaces(newcomer: &Environment<'_>, incumbent: &Environment<'_>) -> Vec<Finding> {
    let theirs = claimed(incumbent.document);
    let shared = claimed(newcomer.document).into_iter().enumerate().filter_map(|(ours, namespace)| {
        let number = theirs.iter().position(|their| *their == namespace)?;
        let path = format!("spec.namespaces.{ours}");
        let their_path = format!("spec.namespaces.{number}");
        Some(newcomer.finding(Code::NamespaceClaimed, &path, namespace.as_str(), (incumbent, &their_path), &[]))
    });
    shared.collect()
}

fn alias_prefixes(newcomer: &Environment<'_>, incumbent: &Environment<'_>) -> Vec<Finding> {
    let (ours, theirs) = (&newcomer.spec.kms, &incumbent.spec.kms);
    let same_place = ours.account_id == theirs.account_id && ours.region == theirs.region;
    if !same_place || !nested(&ours.alias_prefix, &theirs.alias_prefix) {
        return Vec::new();
    }
    let path = "spec.kms.aliasPrefix";
    let blanks = [("accepted", theirs.alias_prefix.as_str())];
    vec![newcomer.finding(Code::AliasPrefixShared, path, &ours.alias_prefix, (incumbent, path), &blanks)]
}

/// Whether two paths are equal or one lies inside the other.
pub(super) fn nested(left: &str, right: &str) -> bool {
    let inside = |inner: &str, outer: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    inside(left, right) || inside(right, left)
}

fn roles(newcomer: &Environment<'_>, incumbent: &Environment<'_>) -> Vec<Finding> {
    let path = "spec.kms.assumeRole";
    let shared =
        newcomer.spec.kms.assume_role.as_deref().filter(|role| incumbent.spec.kms.assume_role.as_deref() == Some(role));
    shared.map(|role| newcomer.finding(Code::RoleShared, path, role, (incumbent, path), &[])).into_iter().collect()
}

fn edge_zones(newcomer: &Environment<'_>, incumbent: &Environment<'_>) -> Vec<Finding> {
    let path = "spec.edge.cloudflare.zoneId";
    let zone =
        |environment: &Environment<'_>| environment.spec.edge.as_ref().map(|edge| edge.cloudflare.zone_id.clone());
    let shared = zone(newcomer).filter(|ours| zone(incumbent).as_ref() == Some(ours));
    shared.map(|id| newcomer.finding(Code::EdgeZoneShared, path, &id, (incumbent, path), &[])).into_iter().collect()
}

fn dns_zones(newcomer: &Environment<'_>, incumbent: &Environment<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, ours) in newcomer.spec.zones.iter().enumerate() {
        for (their_number, theirs) in incumbent.spec.zones.iter().enumerate() {
            let Some(overlap) = overlap(ours, theirs) else { continue };
            let path = format!("spec.zones.{number}.name");
            let their_path = format!("spec.zones.{their_number}.name");
            let (code, inner, outer) = match overlap {
                Overlap::Same => (Code::ZoneShared, ours, theirs),
                Overlap::Inside => (Code::ZonesOverlap, ours, theirs),
                Overlap::Around => (Code::ZonesOverlap, theirs, ours),
            };
            let blanks =
                [("accepted", theirs.name.as_str()), ("inner", inner.name.as_str()), ("outer", outer.name.as_str())];
            findings.push(newcomer.finding(code, &path, ours.name.as_str(), (incumbent, &their_path), &blanks));
        }
    }
    findings
}

enum Overlap {
    Around,
    Inside,
    Same,
}

/// How one zone overlaps with another: an inner zone of another environment must stand in `except` of the outer one.
fn overlap(ours: &Zone, theirs: &Zone) -> Option<Overlap> {
    let excepted = |outer: &Zone, inner: &DnsName| outer.except.iter().any(|except| inner.within(except));
    if ours.name.base() == theirs.name.base() {
        Some(Overlap::Same)
    } else if ours.name.within(&theirs.name) {
        (!excepted(theirs, &ours.name)).then_some(Overlap::Inside)
    } else if theirs.name.within(&ours.name) {
        (!excepted(ours, &theirs.name)).then_some(Overlap::Around)
    } else {
        None
    }
}
