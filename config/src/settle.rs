//! Documents, read and judged: from the files of the source to the whole of what shall be.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    admin::Finding,
    desired::{Desired, Place},
    document::{self, Code, Reading},
    judge::{self, Gathered, Incumbents, Judgement, Kept, SettingsFacts},
    name::ObjectName,
};

/// One file of the source.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FileRead {
    /// Its name, relative to the folder.
    pub name: String,
    /// What it holds, or why it cannot be read.
    pub content: Result<Arc<[u8]>, String>,
}

/// What was read of each file: one that is as it was is not read again.
#[derive(Debug, Default)]
pub struct Readings(BTreeMap<String, (Arc<[u8]>, Reading)>);

impl Readings {
    fn of(&mut self, file: &str, bytes: &Arc<[u8]>) -> Reading {
        match self.0.get(file) {
            Some((before, reading)) if before == bytes => reading.clone(),
            _ => {
                let reading = document::read(file, Arc::clone(bytes));
                self.0.insert(file.to_owned(), (Arc::clone(bytes), reading.clone()));
                reading
            }
        }
    }

    fn keep(&mut self, files: &[FileRead]) {
        let there: BTreeSet<&str> = files.iter().map(|file| file.name.as_str()).collect();
        self.0.retain(|name, _| there.contains(name.as_str()));
    }
}

/// What came of reading and judging everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settled {
    /// What shall be.
    pub desired: Desired,
    /// Errors: the last accepted version of these documents stays in force.
    pub findings: Vec<Finding>,
    /// Allowed, and worth knowing.
    pub notices: Vec<Finding>,
    /// Objects that are accepted and not worked on, each with its reason.
    pub refused: Vec<Finding>,
    /// Objects whose last accepted version stays in force, and why.
    pub kept: BTreeMap<ObjectName, Kept>,
    /// One canonical text of everything accepted; its hash is the name of this state.
    pub accepted_hash_input: String,
    /// What to remember: `before` of the next time.
    pub accepted: Incumbents,
}

impl Settled {
    /// Says of each object which one of its name it is (`metadata.uid`), and gives it, where its newest version is in force, the
    /// number that its source counts with: `metadata.generation`.
    pub fn number(&mut self, numbered: impl Fn(&ObjectName) -> Option<(u64, Arc<str>)>) {
        for (name, wanted) in &mut self.desired.objects {
            let Some((number, identity)) = numbered(name) else { continue };
            if wanted.identity.as_ref() != Some(&identity) {
                Arc::make_mut(wanted).identity = Some(identity);
            }
            if self.kept.contains_key(name) {
                continue;
            }
            if wanted.generation != number {
                Arc::make_mut(wanted).generation = number;
            }
            if let Some(incumbent) = self.accepted.objects.get_mut(name) {
                incumbent.generation = number;
            }
        }
    }
}

/// Read and judge all files. Nothing counts as removed while a file cannot be read or there is no document at all.
pub fn settle(files: &[FileRead], before: &Incumbents, settings: &SettingsFacts) -> Settled {
    settle_again(&mut Readings::default(), files, before, settings)
}

/// The same, by somebody who has read most of it before.
pub fn settle_again(
    readings: &mut Readings,
    files: &[FileRead],
    before: &Incumbents,
    settings: &SettingsFacts,
) -> Settled {
    let gathered = gather(readings, files, before);
    readings.keep(files);
    let frozen = gathered.frozen;
    let Judgement { objects, findings, notices, refused, kept, accepted } = judge::judge(gathered, before, settings);
    Settled {
        desired: Desired { objects, frozen },
        findings,
        notices,
        refused,
        kept,
        accepted_hash_input: hash_input(&accepted),
        accepted,
    }
}

/// Names and specifications, one a line, sorted: neither generations nor places.
fn hash_input(accepted: &Incumbents) -> String {
    let line = |(name, incumbent): (&ObjectName, &judge::Incumbent)| {
        format!("{name} {}\n", document::canonical(&incumbent.document))
    };
    accepted.objects.iter().map(line).collect()
}

fn gather(readings: &mut Readings, files: &[FileRead], before: &Incumbents) -> Gathered {
    let mut gathered = Gathered::default();
    let known: BTreeSet<&str> =
        before.objects.values().filter_map(|incumbent| Some(incumbent.place.as_ref()?.file.as_str())).collect();
    let mut sorted: Vec<&FileRead> = files.iter().collect();
    sorted.sort_by(|left, right| left.name.cmp(&right.name));
    for FileRead { name, content } in sorted {
        match content {
            Err(trouble) => {
                gathered.frozen = true;
                gathered.findings.push(Code::FileUnreadable.at(&whole(name), &[("found", &document::shown(trouble))]));
            }
            // An editor that saves in place empties the file first.
            Ok(bytes) if bytes.is_empty() && known.contains(name.as_str()) => {
                gathered.emptied.insert(name.clone());
                gathered.findings.push(Code::FileEmpty.plain(&whole(name)));
            }
            Ok(bytes) => add(&mut gathered, readings.of(name, bytes)),
        }
    }
    nothing_at_all(&mut gathered, before);
    gathered
}

fn add(gathered: &mut Gathered, reading: Reading) {
    let Reading { documents, rejected, whole, findings } = reading;
    gathered.documents.extend(documents);
    gathered.rejected.extend(rejected);
    gathered.findings.extend(findings);
    gathered.frozen |= !whole;
}

/// A folder without documents is more likely a mount that failed than a fleet that is given up.
fn nothing_at_all(gathered: &mut Gathered, before: &Incumbents) {
    if gathered.documents.is_empty() && gathered.rejected.is_empty() {
        gathered.frozen = true;
        if !before.objects.is_empty() && gathered.findings.is_empty() {
            let count = before.objects.len().to_string();
            gathered.findings.push(Code::SourceEmpty.at(&whole("."), &[("found", &count)]));
        }
    }
}

fn whole(file: &str) -> Place {
    Place { file: file.to_owned(), line: 0, column: 0 }
}
