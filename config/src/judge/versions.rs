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
    pub(super) beaten: BTreeMap<ObjectName, (Document, Vec<Finding>)>,
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

    /// Reject the newest version of an object for what it says, when anything speaks against it.
    pub(super) fn reject(&mut self, name: &ObjectName, findings: Vec<Finding>) {
        if findings.is_empty() {
            return;
        }
        self.aside.extend(self.standing.get(name).cloned());
        self.step_back(name, Cause::Wrong);
        self.blame(name, findings);
    }

    /// Reject whoever loses, until nobody does. Then each is told what it has in common with those that stand.
    pub(super) fn yield_until_none(&mut self, losers: Losers, against: Against) {
        let mut gone: Vec<(Document, Vec<Finding>)> = Vec::new();
        loop {
            let losers = losers(self);
            if losers.is_empty() {
                break;
            }
            for (name, findings) in losers {
                gone.extend(self.step_back(&name, Cause::Taken).map(|document| (document, findings)));
            }
        }
        let documents: Vec<&Document> = gone.iter().map(|(document, _)| document).collect();
        let told = against(self, &documents);
        for ((document, first), told) in gone.into_iter().zip(told) {
            // What it lost against may itself have lost later.
            self.blame(&document.name, if told.is_empty() { first } else { told });
        }
    }

    /// Take the standing version of an object away; its last accepted one stands in its place, if that may.
    fn step_back(&mut self, name: &ObjectName, cause: Cause) -> Option<Document> {
        let document = self.standing.remove(name)?;
        self.rejected.insert(name.clone());
        match self.before.objects.get(name) {
            Some(incumbent) if incumbent.document != document.spec => {
                self.fall_back(name, &[], Kept::Rejected(Vec::new()));
            }
            Some(_) if cause == Cause::Wrong => {
                self.standing.insert(name.clone(), document.clone());
                self.kept.insert(name.clone(), Kept::Rejected(Vec::new()));
            }
            incumbent => {
                // Shown with what speaks against it: an environment that wants too much, or an object that stood.
                if incumbent.is_some() || name.kind == Kind::Environment && cause == Cause::Taken {
                    self.beaten.insert(name.clone(), (document.clone(), Vec::new()));
                }
                self.kept.remove(name);
                self.shadow(name, &claimed(&document));
            }
        }
        Some(document)
    }

    fn blame(&mut self, name: &ObjectName, mut findings: Vec<Finding>) {
        findings.sort();
        if let Some(Kept::Rejected(known)) = self.kept.get_mut(name) {
            known.extend_from_slice(&findings);
        }
        if let Some((_, known)) = self.beaten.get_mut(name) {
            known.extend_from_slice(&findings);
        }
        self.findings.extend(findings);
    }

    fn take(&mut self, mut documents: Vec<Document>, rejected: &[Rejected]) {
        let at_home = |document: &Document| {
            let incumbent = self.before.objects.get(&document.name).and_then(|incumbent| incumbent.place.as_ref());
            incumbent.is_some_and(|place| place.file == document.place.file)
        };
        let broken: BTreeMap<ObjectName, Place> =
            rejected.iter().map(|broken| (broken.name.clone(), broken.place.clone())).collect();
        documents.sort_by_cached_key(|document| (!at_home(document), document.place.clone()));
        for document in documents {
            let first = self.standing.get(&document.name).map(|first| first.place.clone());
            match first.or_else(|| broken.get(&document.name).cloned()) {
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

/// Who loses in this round, and against what.
pub(super) type Losers = fn(&Versions<'_>) -> Vec<(ObjectName, Vec<Finding>)>;

/// What each of these documents has in common with those that stand.
pub(super) type Against = fn(&Versions<'_>, &[&Document]) -> Vec<Vec<Finding>>;

/// Why a version may not stand.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Cause {
    /// It wants what another one has.
    Taken,
    /// It says something that cannot be.
    Wrong,
}

/// The namespaces that an environment claims: without a list, its own name.
pub(super) fn claimed(document: &Document) -> Vec<Namespace> {
    match &*document.spec {
        Spec::Environment(spec) if spec.namespaces.is_empty() => {
            document.name.name.as_str().parse().into_iter().collect()
        }
        Spec::Environment(spec) => spec.namespaces.clone(),
        _ => Vec::new(),
    }
}
