//! What was found, and what is still to be read.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use claviger_config::{Name, Namespace};
use claviger_core::domain::inventory::{About, Reading};
use kube::api::ObjectMeta;
use tokio::{sync::Notify, time::Instant};

use super::about::{about, is_ours};

/// Where a Secret is.
pub(super) type Place = (Namespace, Name);

/// One Secret, as far as it is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// Its namespace.
    pub namespace: Namespace,
    /// Its name.
    pub name: Name,
    /// What its metadata says.
    pub about: About,
    /// What was read of it.
    pub reading: Reading,
}

/// Which version of which object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Version {
    uid: String,
    number: String,
}

impl Version {
    pub(super) fn of(metadata: &ObjectMeta) -> Self {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        Self { uid: text(&metadata.uid), number: text(&metadata.resource_version) }
    }
}

/// Whose turn it is to be read.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Turn {
    /// One that failed before, at that instant.
    At(Instant),
    /// Nobody's.
    Nothing,
    /// This one's.
    Now(Place),
}

/// The Secrets that were found.
#[derive(Default)]
pub struct Found {
    seen: Mutex<Seen>,
    news: Notify,
}

#[derive(Default)]
struct Seen {
    secrets: BTreeMap<Place, Entry>,
    /// What is to be read, and not before when.
    queue: BTreeMap<Place, Instant>,
}

struct Entry {
    uid: String,
    about: About,
    /// The version that was read.
    read: Option<Version>,
    reading: Reading,
}

impl Found {
    /// Everything, in the order of names.
    pub fn all(&self) -> Vec<Known> {
        let known = |((namespace, name), entry): (&Place, &Entry)| Known {
            namespace: namespace.clone(),
            name: name.clone(),
            about: entry.about.clone(),
            reading: entry.reading.clone(),
        };
        self.lock().secrets.iter().map(known).collect()
    }

    /// A Secret was seen; its name, when it is not one of ours. It is read when this version of it was not.
    pub(super) fn put(&self, namespace: &Namespace, metadata: &ObjectMeta) -> Option<Name> {
        let name: Name = metadata.name.as_deref()?.parse().ok()?;
        let (place, version) = ((namespace.clone(), name.clone()), Version::of(metadata));
        let mut seen = self.lock();
        if is_ours(metadata) {
            seen.remove(&place);
            return None;
        }
        let entry = seen.secrets.entry(place.clone()).or_insert_with(|| Entry::new(&version.uid));
        if entry.uid != version.uid {
            *entry = Entry::new(&version.uid); // another one of the same name
        }
        entry.about = about(metadata);
        if entry.read.as_ref() != Some(&version) {
            seen.queue.insert(place, Instant::now());
            self.news.notify_one();
        }
        Some(name)
    }

    /// A Secret is gone.
    pub(super) fn remove(&self, namespace: &Namespace, metadata: &ObjectMeta) {
        if let Some(name) = metadata.name.as_deref().and_then(|name| name.parse().ok()) {
            self.lock().remove(&(namespace.clone(), name));
        }
    }

    /// These are all that there are in a namespace.
    pub(super) fn keep(&self, namespace: &Namespace, names: &BTreeSet<Name>) {
        let mut seen = self.lock();
        let stays = |place: &Place| place.0 != *namespace || names.contains(&place.1);
        seen.secrets.retain(|place, _| stays(place));
        seen.queue.retain(|place, _| stays(place));
    }

    /// A namespace is nobody's any more.
    pub(super) fn forget(&self, namespace: &Namespace) {
        self.keep(namespace, &BTreeSet::new());
    }

    /// Whose turn it is; it is taken off the list.
    pub(super) fn turn(&self) -> Turn {
        let mut seen = self.lock();
        let next =
            seen.queue.iter().min_by_key(|(_, instant)| **instant).map(|(place, instant)| (place.clone(), *instant));
        match next {
            None => Turn::Nothing,
            Some((_, instant)) if instant > Instant::now() => Turn::At(instant),
            Some((place, _)) => {
                seen.queue.remove(&place);
                Turn::Now(place)
            }
        }
    }

    /// Something is to be read.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }

    /// What a Secret held.
    pub(super) fn read(&self, place: Place, version: Version, reading: Reading) {
        if let Some(entry) = self.lock().secrets.get_mut(&place).filter(|entry| entry.uid == version.uid) {
            entry.read = Some(version);
            entry.reading = reading;
        }
    }

    /// It could not be read. What was read before stays.
    pub(super) fn not_read(&self, place: Place, why: String, again: Duration) {
        let mut seen = self.lock();
        let Some(entry) = seen.secrets.get_mut(&place) else { return };
        if let Reading::Unread(known) = &mut entry.reading {
            *known = Some(why);
        }
        // A newer version that was seen meanwhile does not wait.
        seen.queue.entry(place).or_insert_with(|| Instant::now() + again);
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn remove(&mut self, place: &Place) {
        self.secrets.remove(place);
        self.queue.remove(place);
    }
}

impl Entry {
    fn new(uid: &str) -> Self {
        Self { uid: uid.to_owned(), about: About::default(), read: None, reading: Reading::Unread(None) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn metadata(name: &str, uid: &str, version: &str) -> ObjectMeta {
        serde_json::from_value(json!({ "name": name, "uid": uid, "resourceVersion": version })).unwrap()
    }

    fn staging() -> Namespace {
        "staging".parse().unwrap()
    }

    /// Reads whoever has the turn.
    fn read_next(found: &Found, uid: &str, version: &str, what: &str) {
        let Turn::Now(place) = found.turn() else { panic!("somebody has the turn") };
        found.read(place, Version::of(&metadata("", uid, version)), Reading::Unreadable(what.to_owned()));
    }

    fn readings(found: &Found) -> Vec<(String, Reading)> {
        found.all().into_iter().map(|known| (known.name.to_string(), known.reading)).collect()
    }

    #[test]
    fn each_version_is_read_once() {
        let found = Found::default();
        found.put(&staging(), &metadata("shop", "a", "1"));
        read_next(&found, "a", "2", "first"); // it was written again before it was read
        found.put(&staging(), &metadata("shop", "a", "2"));
        assert_eq!(found.turn(), Turn::Nothing);
        found.put(&staging(), &metadata("shop", "a", "3"));
        assert_eq!(
            readings(&found),
            [("shop".to_owned(), Reading::Unreadable("first".to_owned()))],
            "it stays until then"
        );
        read_next(&found, "a", "3", "second");
        assert_eq!((found.turn(), readings(&found).len()), (Turn::Nothing, 1));
    }

    #[test]
    fn what_is_read_too_late_is_not_told_of_another_one() {
        let found = Found::default();
        found.put(&staging(), &metadata("shop", "a", "1"));
        let Turn::Now(place) = found.turn() else { panic!("it has the turn") };
        found.put(&staging(), &metadata("shop", "b", "2"));
        found.read(place, Version::of(&metadata("", "a", "1")), Reading::Unreadable("old".to_owned()));
        assert_eq!(readings(&found), [("shop".to_owned(), Reading::Unread(None))]);
    }

    #[test]
    fn what_is_gone_after_a_list_or_with_its_namespace_is_forgotten() {
        let found = Found::default();
        for name in ["one", "two"] {
            found.put(&staging(), &metadata(name, name, "1"));
        }
        found.put(&"other".parse().unwrap(), &metadata("three", "c", "1"));
        found.keep(&staging(), &["two".parse().unwrap()].into());
        assert_eq!(found.all().len(), 2);
        found.forget(&staging());
        assert_eq!(readings(&found)[0].0, "three");
        assert!(matches!(found.turn(), Turn::Now(_)) && found.turn() == Turn::Nothing);
    }

    #[test]
    fn one_of_ours_does_not_appear_and_one_that_becomes_ours_goes() {
        let found = Found::default();
        let mut shop = metadata("shop", "a", "1");
        assert!(found.put(&staging(), &shop).is_some());
        shop.labels = Some([("app.kubernetes.io/managed-by".to_owned(), "claviger".to_owned())].into());
        shop.annotations = Some([("claviger.dev/certificate".to_owned(), "web".to_owned())].into());
        assert!(found.put(&staging(), &shop).is_none() && found.all().is_empty());
    }

    #[test]
    fn what_could_not_be_read_waits_and_a_newer_version_of_it_does_not() {
        let found = Found::default();
        found.put(&staging(), &metadata("shop", "a", "1"));
        let Turn::Now(place) = found.turn() else { panic!("it has the turn") };
        found.not_read(place, "403".to_owned(), Duration::from_secs(60));
        assert!(matches!(found.turn(), Turn::At(_)));
        assert_eq!(readings(&found)[0].1, Reading::Unread(Some("403".to_owned())));
        found.put(&staging(), &metadata("shop", "a", "2"));
        assert!(matches!(found.turn(), Turn::Now(_)));
    }
}
