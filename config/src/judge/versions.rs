//! Which version of each document is in force: the newest, or the last accepted one.

use std::collections::{BTreeMap, BTreeSet};

use super::Incumbents;
use crate::{
    admin::Finding,
    desired::{Place, Spec},
    document::{Code, Document, Rejected},
    name::{Kind, Name, Namespace, ObjectName},
};

/// All documents of the source, read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gathered {
    /// Documents without an error in themselves.
    pub documents: Vec<Document>,
    /// Documents with errors.
    pub rejected: Vec<Rejected>,
    /// The errors.
    pub findings: Vec<Finding>,
    /// Whether an object may be hidden behind an error: then none counts as removed.
    pub frozen: bool,
    /// Files whose objects do not count as removed.
    pub emptied: BTreeSet<String>,
}

/// Why the last accepted version of an object stays in force.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Kept {
    /// Its document has errors.
    Rejected(Vec<Finding>),
    /// Its document may be hidden: a file cannot be read, or there is nothing in the source.
    Unreadable,
}

/// The documents while they are judged.
pub(super) struct Versions<'a> {
    /// All that was accepted before.
    pub(super) before: &'a Incumbents,
    /// Errors so far.
    pub(super) findings: Vec<Finding>,
    /// The version of each object that stands so far.
    pub(super) standing: BTreeMap<ObjectName, Document>,
    /// Objects whose last accepted version stands.
    pub(super) kept: BTreeMap<ObjectName, Kept>,
    /// Objects that are shown although no version of them may stand, and what speaks against each.
    pub(super) beaten: BTreeMap<ObjectName, (Document, Finding)>,
    /// Environments without an accepted version, by the namespaces that they would claim.
    pub(super) shadows: BTreeMap<Namespace, Name>,
    /// Documents that were rejected for what they say alone: what else speaks against them is told too.
    pub(super) aside: Vec<Document>,
    /// Objects that have a document with errors.
    pub(super) rejected: BTreeSet<ObjectName>,
}

impl<'a> Versions<'a> {
    pub(super) fn new(gathered: Gathered, before: &'a Incumbents) -> Self {
        let Gathered { documents, rejected, findings, frozen, emptied } = gathered;
        let mut versions = Self {
            before,
            findings,
            standing: BTreeMap::new(),
            kept: BTreeMap::new(),
            beaten: BTreeMap::new(),
            shadows: BTreeMap::new(),
            aside: Vec::new(),
            rejected: rejected.iter().map(|rejected| rejected.name.clone()).collect(),
        };
        versions.take(documents, &rejected);
        for document in rejected {
            versions.fall_back(&document.name, &document.namespaces, Kept::Rejected(document.findings));
        }
        let hidden = |place: &Option<Place>| place.as_ref().is_some_and(|place| emptied.contains(&place.file));
        for incumbent in before.objects.values() {
            if !versions.standing.contains_key(&incumbent.name) && (frozen || hidden(&incumbent.place)) {
                versions.fall_back(&incumbent.name, &[], Kept::Unreadable);
            }
        }
        versions
    }

    /// Documents that are not only kept from earlier.
    pub(super) fn newest(&self) -> impl Iterator<Item = &Document> {
        self.standing.values().filter(|document| !self.kept.contains_key(&document.name))
    }

    /// Everything that stands, of that kind.
    pub(super) fn of(&self, kind: Kind) -> impl Iterator<Item = &Document> {
        self.standing.values().filter(move |document| document.name.kind == kind)
    }

    /// How long something has stood: 0 as it was accepted, 1 accepted and changed, 2 new. Then the place decides.
    pub(super) fn seniority<'d>(&self, document: &'d Document) -> (u8, &'d str, u32, u32) {
        let rank = match self.before.objects.get(&document.name) {
            Some(incumbent) if incumbent.document == document.spec => 0,
            Some(_) => 1,
            None => 2,
        };
        (rank, &document.place.file, document.place.line, document.place.column)
    }

    /// Reject the newest version of an object, when anything speaks against it.
    pub(super) fn reject(&mut self, name: &ObjectName, findings: Vec<Finding>) {
        if findings.is_empty() {
            return;
        }
        self.rejected.insert(name.clone());
        let Some(document) = self.standing.remove(name) else { return };
        if !findings.iter().any(takes_from_another) {
            self.aside.push(document.clone());
        }
        let incumbent = self.before.objects.get(name);
        let fresh = incumbent.is_some_and(|incumbent| incumbent.document != document.spec);
        if fresh {
            self.fall_back(name, &[], Kept::Rejected(findings.clone()));
        } else if incumbent.is_some() && !findings.iter().any(takes_from_another) {
            self.standing.insert(name.clone(), document);
            self.kept.insert(name.clone(), Kept::Rejected(findings.clone()));
        } else {
            self.kept.remove(name);
            self.shadow(name, &claimed(&document));
            self.beat(name, document, &findings);
        }
        self.findings.extend(findings);
    }

    /// Show an object that may not stand: a newcomer among the environments, or one that stood and may not any longer.
    fn beat(&mut self, name: &ObjectName, document: Document, findings: &[Finding]) {
        let stood = self.before.objects.contains_key(name);
        let shown = |finding: &&Finding| stood || name.kind == Kind::Environment && takes_from_another(finding);
        if let Some(against) = findings.iter().find(shown) {
            self.beaten.insert(name.clone(), (document, against.clone()));
        }
    }

    fn take(&mut self, mut documents: Vec<Document>, rejected: &[Rejected]) {
        let at_home = |document: &Document| {
            let incumbent = self.before.objects.get(&document.name).and_then(|incumbent| incumbent.place.as_ref());
            incumbent.is_some_and(|place| place.file == document.place.file)
        };
        documents.sort_by_cached_key(|document| (!at_home(document), document.place.clone()));
        for document in documents {
            let first = self.standing.get(&document.name).map(|first| first.place.clone());
            let broken = rejected.iter().find(|broken| broken.name == document.name).map(|broken| broken.place.clone());
            match first.or(broken) {
                Some(first) => {
                    let blanks = [("object", document.name.to_string()), ("first", first.to_string())];
                    let blanks = blanks.each_ref().map(|(name, value)| (*name, value.as_str()));
                    self.findings.push(Code::DuplicateObject.at(&document.place, &blanks));
                }
                None => drop(self.standing.insert(document.name.clone(), document)),
            }
        }
    }

    fn fall_back(&mut self, name: &ObjectName, namespaces: &[Namespace], why: Kept) {
        match self.before.objects.get(name) {
            Some(incumbent) => {
                let document = Document::accepted(name.clone(), incumbent.document.clone(), incumbent.place.clone());
                self.standing.insert(name.clone(), document);
                self.kept.insert(name.clone(), why);
            }
            None => self.shadow(name, namespaces),
        }
    }

    fn shadow(&mut self, name: &ObjectName, namespaces: &[Namespace]) {
        if name.kind == Kind::Environment {
            self.shadows.extend(namespaces.iter().map(|namespace| (namespace.clone(), name.name.clone())));
        }
    }
}

/// Whether a finding says that two objects want the same thing.
fn takes_from_another(finding: &Finding) -> bool {
    TAKEN.iter().any(|code| code.word() == finding.code)
}

const TAKEN: [Code; 8] = [
    Code::AliasPrefixShared,
    Code::AliasShared,
    Code::DirectoryShared,
    Code::EdgeZoneShared,
    Code::NamespaceClaimed,
    Code::RoleShared,
    Code::ZoneShared,
    Code::ZonesOverlap,
];

/// The namespaces that an environment claims: without a list, its own name.
pub(super) fn claimed(document: &Document) -> Vec<Namespace> {
    match &document.spec {
        Spec::Environment(spec) if spec.namespaces.is_empty() => {
            document.name.name.as_str().parse().into_iter().collect()
        }
        Spec::Environment(spec) => spec.namespaces.clone(),
        _ => Vec::new(),
    }
}
