//! Subjects between two passes. Nearly all of a fleet rests nearly always, so each is kept in one piece, packed: what most of them
//! have in common (words, an issuer's certificate) is kept once.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

use claviger_config::{Moment, ObjectName, desired::Wanted};
use lz4_flex::block::{compress_with_dict, decompress_with_dict};
use serde::{Deserialize, Serialize};

use super::kept::{Kept, Stored};
use crate::domain::{
    noun::{Noun, Seen},
    plan::Plan,
    record::Record,
};

/// All subjects of a kind that rest.
pub(super) struct Resting<N: Noun> {
    all: BTreeMap<ObjectName, Packed<N>>,
    common: Arc<[u8]>,
}

/// One of them.
pub(super) struct Packed<N: Noun> {
    body: Body<N>,
    wanted: Option<Arc<Wanted>>,
    revision: u64,
}

enum Body<N: Noun> {
    /// What cannot be written is kept as it is.
    Open(Arc<Kept<N>>),
    Packed {
        bytes: Arc<[u8]>,
        length: u32,
        common: Arc<[u8]>,
    },
}

impl<N: Noun> Default for Resting<N> {
    fn default() -> Self {
        Self { all: BTreeMap::new(), common: Arc::default() }
    }
}

impl<N: Noun> Resting<N> {
    /// Keeps it, unless something newer is kept already.
    pub(super) fn put(&mut self, name: &ObjectName, kept: Box<Kept<N>>) {
        if self.all.get(name).is_some_and(|other| other.revision > kept.revision()) {
            return;
        }
        let packed = self.pack(kept);
        match self.all.entry(name.clone()) {
            Entry::Occupied(mut entry) => drop(entry.insert(packed)),
            Entry::Vacant(entry) => drop(entry.insert(packed)),
        }
    }

    /// Takes it out. What cannot be read again is as good as never kept: it is loaded anew.
    pub(super) fn take(&mut self, name: &ObjectName) -> Option<Box<Kept<N>>> {
        self.all.remove(name)?.open().map(Box::new)
    }

    /// As it is kept.
    pub(super) fn get(&self, name: &ObjectName) -> Option<&Packed<N>> {
        self.all.get(name)
    }

    /// Every name.
    pub(super) fn names(&self) -> impl Iterator<Item = &ObjectName> {
        self.all.keys()
    }

    /// Everybody, for whoever does not want to keep others waiting while looking.
    pub(super) fn snapshot(&self) -> Vec<(ObjectName, Packed<N>)> {
        self.all.iter().map(|(name, packed)| (name.clone(), packed.clone())).collect()
    }

    fn pack(&mut self, kept: Box<Kept<N>>) -> Packed<N> {
        let (wanted, revision) = (kept.wanted.clone(), kept.revision());
        let Kept { seen, stored, plan, .. } = &*kept;
        let written = Written::<N> { record: &seen.record, facts: &seen.facts, recalled: seen.recalled, stored, plan };
        let body = match serde_json::to_vec(&written) {
            Ok(text) => self.squeeze(&text),
            Err(_) => Body::Open(Arc::from(kept)),
        };
        Packed { body, wanted, revision }
    }

    fn squeeze(&mut self, text: &[u8]) -> Body<N> {
        // A subject that says much more than any before has more in common with those to come.
        if text.len() > self.common.len() + self.common.len() / 2 {
            self.common = Arc::from(text);
        }
        let bytes = Arc::from(compress_with_dict(text, &self.common));
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        Body::Packed { bytes, length, common: Arc::clone(&self.common) }
    }
}

impl<N: Noun> Packed<N> {
    /// As it was before it was packed.
    pub(super) fn open(&self) -> Option<Kept<N>> {
        let (bytes, length, common) = match &self.body {
            Body::Open(kept) => return Some(Kept::clone(kept)),
            Body::Packed { bytes, length, common } => (bytes, *length as usize, common),
        };
        let text = decompress_with_dict(bytes, length, common).ok()?;
        let Read::<N> { record, facts, recalled, stored, plan } = serde_json::from_slice(&text).ok()?;
        Some(Kept { seen: Seen { record, facts, recalled }, stored, plan, wanted: self.wanted.clone() })
    }
}

impl<N: Noun> Clone for Packed<N> {
    fn clone(&self) -> Self {
        let body = match &self.body {
            Body::Open(kept) => Body::Open(Arc::clone(kept)),
            Body::Packed { bytes, length, common } => {
                Body::Packed { bytes: Arc::clone(bytes), length: *length, common: Arc::clone(common) }
            }
        };
        Self { body, wanted: self.wanted.clone(), revision: self.revision }
    }
}

#[derive(Serialize)]
#[serde(bound = "")]
struct Written<'a, N: Noun> {
    record: &'a Record<N::Memory>,
    facts: &'a N::Facts,
    recalled: Option<Moment>,
    stored: &'a Option<Stored>,
    plan: &'a Plan,
}

#[derive(Deserialize)]
#[serde(bound = "")]
struct Read<N: Noun> {
    record: Record<N::Memory>,
    facts: N::Facts,
    recalled: Option<Moment>,
    stored: Option<Stored>,
    plan: Plan,
}

#[cfg(test)]
mod tests {
    use claviger_config::{Kind, Reason};

    use super::*;
    use crate::{
        domain::{
            certificate::Certificate,
            given::{Given, serving},
            plan::Plan,
        },
        ports::Version,
    };

    fn kept(given: &Given<Certificate>, version: u64) -> Box<Kept<Certificate>> {
        let stored = Stored {
            intent: None,
            digest: Some(7),
            essence: 9,
            version: Version(version),
            claims: vec![1],
            ours: true,
        };
        let plan = Plan::rest(None, Reason::Issued);
        Box::new(Kept { seen: given.seen.clone(), stored: Some(stored), plan, wanted: None })
    }

    fn name(number: usize) -> ObjectName {
        let (namespace, name) = ("staging".parse().unwrap(), format!("c{number}").parse().unwrap());
        ObjectName { kind: Kind::TlsCertificate, namespace: Some(namespace), name }
    }

    #[test]
    fn whoever_rests_is_the_same_when_woken() {
        let mut resting = Resting::default();
        let given = serving();
        resting.put(&name(1), kept(&given, 3));
        let woken = resting.take(&name(1)).unwrap();
        assert_eq!(woken.seen.record, given.seen.record);
        assert_eq!(format!("{:?}", woken.seen.facts), format!("{:?}", given.seen.facts));
        assert_eq!((woken.clean(), woken.plan.reason), (Some(Version(3)), Reason::Issued));
        assert!(resting.take(&name(1)).is_none(), "it is out");
    }

    #[test]
    fn what_was_stored_later_is_not_replaced_by_what_was_stored_before() {
        let mut resting = Resting::default();
        let given = serving();
        for version in [3, 2] {
            resting.put(&name(1), kept(&given, version));
        }
        assert_eq!(resting.take(&name(1)).unwrap().revision(), 3);
    }

    #[test]
    fn what_most_have_in_common_is_kept_once() {
        let mut resting = Resting::default();
        let length = |packed: &Packed<Certificate>| match &packed.body {
            Body::Packed { bytes, length, .. } => (bytes.len(), *length as usize),
            Body::Open(_) => panic!("it can be written"),
        };
        for number in 0..10 {
            resting.put(&name(number), kept(&serving(), 1));
        }
        let (packed, whole) = length(resting.get(&name(9)).unwrap());
        assert!(packed * 4 < whole, "{packed} of {whole} bytes");
    }
}
