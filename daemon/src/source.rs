//! What shall be: the documents of the folder and the host names of the API, as one whole.
//!
//! Whatever is wrong with a document stops that document: its last accepted version stays in force, everything else applies.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use arc_swap::ArcSwap;
use claviger_config::{
    DnsName, EnvironmentName, Kind, ObjectName,
    admin::DocumentsView,
    desired::{Desired, Refusal, Spec, Surroundings, Wanted},
    hostname::{CustomHostnameSpec, Origin},
    judge::{Incumbent, Incumbents, SettingsFacts},
    settle::{FileRead, Readings, Settled, settle_again},
};
use claviger_core::ports::Source;

use crate::adapters::sqlite::HostnameRow;

/// Everything that shall be.
pub struct Documents {
    facts: SettingsFacts,
    readings: Mutex<Readings>,
    in_force: ArcSwap<InForce>,
    before: Mutex<Incumbents>,
    rows: RwLock<BTreeMap<ObjectName, Arc<Wanted>>>,
    refused: RwLock<BTreeMap<ObjectName, Refusal>>,
    owed: Mutex<Changed>,
}

#[derive(Default)]
struct InForce {
    desired: Desired,
    environments: BTreeMap<EnvironmentName, Arc<Surroundings>>,
    certificates: BTreeMap<DnsName, Vec<ObjectName>>,
    view: DocumentsView,
}

/// What a reading changed.
#[derive(Debug, Default)]
pub struct Changed {
    /// Objects that are new, different or gone.
    pub objects: BTreeSet<ObjectName>,
    /// What is to be remembered as accepted (`Some`) or forgotten (`None`).
    pub accepted: Vec<(String, Option<Vec<u8>>)>,
    /// Whether anything about the errors is new.
    pub news: bool,
    /// Whether the ledger of host names is to be gone through, also when nothing new was accepted.
    pub claims: bool,
}

impl Documents {
    /// Nothing yet, but what was accepted before.
    pub fn new(facts: SettingsFacts, before: Incumbents) -> Self {
        Self {
            facts,
            readings: Mutex::default(),
            in_force: ArcSwap::default(),
            before: Mutex::new(before),
            rows: RwLock::default(),
            refused: RwLock::default(),
            owed: Mutex::default(),
        }
    }

    /// Reads back what was kept as accepted.
    pub fn incumbents(kept: &[(String, Vec<u8>)]) -> Incumbents {
        kept.iter().filter_map(|(_, body)| serde_json::from_slice::<Incumbent>(body).ok()).collect()
    }

    /// What was accepted before, of objects that were not seen at the start.
    pub fn recall(&self, kept: &[(String, Vec<u8>)]) {
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, incumbent) in Self::incumbents(kept).objects {
            before.objects.entry(name).or_insert(incumbent);
        }
    }

    /// Judges files, without putting anything in force.
    pub fn judge(&self, files: &[FileRead]) -> Settled {
        let mut readings = self.readings.lock().unwrap_or_else(PoisonError::into_inner);
        settle_again(&mut readings, files, &self.before.lock().unwrap_or_else(PoisonError::into_inner), &self.facts)
    }

    /// Puts what was judged in force.
    pub fn put_in_force(&self, mut settled: Settled) -> Changed {
        let old = self.in_force.load_full();
        keep_equal(&old.desired, &mut settled.desired);
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        let accepted = difference(&before, &settled.accepted);
        let hash = crate::adapters::craft::keys::sha256(settled.accepted_hash_input.as_bytes());
        let view =
            DocumentsView { accepted: format!("sha256:{hash}"), rejected: settled.findings, findings: settled.notices };
        let (now, was) = (&settled.desired.objects, &old.desired.objects);
        let differs = |name: &&ObjectName| now.get(*name) != was.get(*name);
        let objects: BTreeSet<_> = now.keys().chain(was.keys()).filter(differs).cloned().collect();
        let news = view.rejected != old.view.rejected || view.findings != old.view.findings;
        let environments = surroundings(&settled.desired);
        let certificates = certificates(&settled.desired);
        *before = settled.accepted;
        self.in_force.store(Arc::new(InForce { desired: settled.desired, environments, certificates, view }));
        drop(before);
        self.with_owed(Changed { objects, accepted, news, claims: false })
    }

    /// What could not be done with a change is done with the next one.
    pub fn owe(&self, changed: Changed) {
        let mut owed = self.owed.lock().unwrap_or_else(PoisonError::into_inner);
        owed.objects.extend(changed.objects);
        owed.accepted.extend(changed.accepted);
        owed.claims |= changed.claims;
    }

    /// In order: the later version of a document is written over the earlier one.
    fn with_owed(&self, changed: Changed) -> Changed {
        let owed = std::mem::take(&mut *self.owed.lock().unwrap_or_else(PoisonError::into_inner));
        Changed {
            objects: owed.objects.into_iter().chain(changed.objects).collect(),
            accepted: owed.accepted.into_iter().chain(changed.accepted).collect(),
            news: changed.news,
            claims: owed.claims || changed.claims,
        }
    }

    /// What the documents say, whole.
    pub fn view(&self) -> DocumentsView {
        self.in_force.load().view.clone()
    }

    /// An environment that is in force.
    pub fn environment(&self, name: &EnvironmentName) -> Option<Arc<Surroundings>> {
        self.in_force.load().environments.get(name).cloned()
    }

    /// The environments that are in force.
    pub fn environments(&self) -> Vec<Arc<Surroundings>> {
        self.in_force.load().environments.values().cloned().collect()
    }

    /// The environment whose zone a name lies in, the longest zone first, and the certificates of that name.
    pub fn around(&self, host: &DnsName) -> Option<(Arc<Surroundings>, Vec<ObjectName>)> {
        let in_force = self.in_force.load();
        let zones = in_force.environments.values().flat_map(|at| at.spec.zones.iter().map(move |zone| (at, zone)));
        let inside =
            zones.filter(|(_, zone)| host.within(&zone.name) && !zone.except.iter().any(|out| host.within(out)));
        let (at, _) = inside.max_by_key(|(_, zone)| zone.name.as_str().len())?;
        let own = |name: &&ObjectName| {
            let wanted = in_force.desired.objects.get(*name);
            wanted.and_then(|wanted| wanted.environment.as_ref()).is_some_and(|place| place.name == at.name)
        };
        let named = in_force.certificates.get(host).map_or(&[] as &[_], Vec::as_slice);
        Some((Arc::clone(at), named.iter().filter(own).cloned().collect()))
    }

    /// Every object, documents first.
    pub fn each(&self, mut with: impl FnMut(&ObjectName, &Wanted)) {
        let in_force = self.in_force.load();
        in_force.desired.objects.iter().for_each(|(name, wanted)| with(name, wanted));
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        rows.iter().for_each(|(name, wanted)| with(name, wanted));
    }

    /// Takes in a host name of the API. `None` when its environment is not in force.
    pub fn put_row(&self, row: &HostnameRow) -> Option<ObjectName> {
        let at = self.environment(&row.entry.environment)?;
        let wanted = wanted(row, at)?;
        let name = wanted.name.clone();
        self.rows.write().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), Arc::new(wanted));
        Some(name)
    }

    /// A document that the ledger refuses, or no longer does. Whether that is new.
    pub fn refuse(&self, name: &ObjectName, refusal: Option<Refusal>) -> bool {
        let mut refused = self.refused.write().unwrap_or_else(PoisonError::into_inner);
        match refusal {
            Some(refusal) => refused.insert(name.clone(), refusal.clone()) != Some(refusal),
            None => refused.remove(name).is_some(),
        }
    }

    /// Forgets the API's host names of an environment, and says which: it is no longer what they were read with.
    pub fn drop_rows(&self, environment: &EnvironmentName) -> Vec<ObjectName> {
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        let of = |wanted: &Wanted| wanted.environment.as_ref().is_some_and(|at| at.name == *environment);
        let gone: Vec<_> = rows.iter().filter(|(_, wanted)| of(wanted)).map(|(name, _)| name.clone()).collect();
        gone.iter().for_each(|name| drop(rows.remove(name)));
        gone
    }

    /// A host name of the API is no longer wanted.
    pub fn drop_row(&self, name: &ObjectName) {
        self.rows.write().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}

impl Source for Documents {
    fn wanted(&self, name: &ObjectName) -> Option<Arc<Wanted>> {
        let document = self.in_force.load().desired.objects.get(name).cloned();
        let refused = self.refused.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        let document = match (document, refused) {
            (Some(wanted), Some(refusal)) if wanted.refusal.is_none() => {
                Some(Arc::new(Wanted { refusal: Some(refusal), ..(*wanted).clone() }))
            }
            (document, _) => document,
        };
        document.or_else(|| self.rows.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned())
    }

    fn frozen(&self) -> bool {
        self.in_force.load().desired.frozen
    }
}

/// What is as it was stays the same in memory too: subjects at rest hold on to it.
fn keep_equal(old: &Desired, new: &mut Desired) {
    for (name, wanted) in &mut new.objects {
        if let Some(before) = old.objects.get(name).filter(|before| *before == wanted) {
            *wanted = Arc::clone(before);
        }
    }
}

fn certificates(desired: &Desired) -> BTreeMap<DnsName, Vec<ObjectName>> {
    let mut by_name: BTreeMap<DnsName, Vec<ObjectName>> = BTreeMap::new();
    for (name, wanted) in &desired.objects {
        if let Spec::TlsCertificate(spec) = &*wanted.spec {
            spec.dns_names.iter().for_each(|host| by_name.entry(host.clone()).or_default().push(name.clone()));
        }
    }
    by_name
}

fn surroundings(desired: &Desired) -> BTreeMap<EnvironmentName, Arc<Surroundings>> {
    let of = |wanted: &Arc<Wanted>| {
        let at = wanted.environment.clone().filter(|_| wanted.name.kind == Kind::Environment)?;
        Some((at.name.clone(), at))
    };
    desired.objects.values().filter_map(of).collect()
}

/// The name of an API's host name as an object: the name itself, in the environment's first namespace.
pub fn row_name(at: &Surroundings, hostname: &DnsName) -> Option<ObjectName> {
    Some(ObjectName {
        kind: Kind::CustomHostname,
        namespace: Some(at.spec.namespaces.first()?.clone()),
        name: hostname.as_str().parse().ok()?,
    })
}

fn wanted(row: &HostnameRow, at: Arc<Surroundings>) -> Option<Wanted> {
    let spec = CustomHostnameSpec {
        hostname: row.entry.hostname.clone(),
        tenant: row.entry.tenant.clone(),
        validation: row.entry.validation,
        reference: row.entry.reference.clone(),
    };
    Some(Wanted {
        name: row_name(&at, &row.entry.hostname)?,
        refusal: refusal(&at, &spec),
        environment: Some(at),
        generation: row.revision,
        identity: None,
        spec: Arc::new(Spec::CustomHostname(spec)),
        origin: Origin::Api,
        place: None,
    })
}

/// What would be a refusal of a document is one here too.
pub fn refusal(at: &Surroundings, spec: &CustomHostnameSpec) -> Option<Refusal> {
    use claviger_config::{Reason, hostname::Validation};
    let refused = |reason, message: String, fix: &str| Some(Refusal { reason, message, fix: vec![fix.to_owned()] });
    if !at.spec.policy.allows_custom_hostnames(at.spec.class) {
        let text = format!("the policy of `{}` refuses customers' host names", at.name);
        return refused(Reason::PolicyRefuses, text, "add the host name to an environment whose policy allows it");
    }
    let edge = at.spec.edge.as_ref()?;
    match spec.validation.unwrap_or(edge.cloudflare.defaults.validation) {
        Validation::Http => None,
        other => refused(
            Reason::NotSupportedYet,
            format!("validation `{}` comes with a later release", other.word()),
            "use `validation: http`",
        ),
    }
}

/// What changed between two sets of accepted documents, as rows to write.
fn difference(before: &Incumbents, after: &Incumbents) -> Vec<(String, Option<Vec<u8>>)> {
    let mut rows = Vec::new();
    for (name, incumbent) in &after.objects {
        if before.objects.get(name) != Some(incumbent)
            && let Ok(body) = serde_json::to_vec(incumbent)
        {
            rows.push((name.to_string(), Some(body)));
        }
    }
    rows.extend(
        before.objects.keys().filter(|name| !after.objects.contains_key(*name)).map(|name| (name.to_string(), None)),
    );
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(documents: &Documents, text: &str) -> Changed {
        let file = FileRead { name: "fleet.yaml".to_owned(), content: Ok(text.as_bytes().into()) };
        let settled = documents.judge(&[file]);
        assert_eq!(settled.findings, []);
        documents.put_in_force(settled)
    }

    fn documents() -> Documents {
        Documents::new(SettingsFacts::default(), Incumbents::default())
    }

    fn text(owner: &str) -> String {
        format!("{ENVIRONMENT}  owner: {owner}\n{KEY}")
    }

    const ENVIRONMENT: &str = r#"
apiVersion: claviger.dev/v1alpha1
kind: Environment
metadata: { name: production }
spec:
  class: production
  kms: { accountId: "111111111111", region: eu-west-1, aliasPrefix: claviger/production, wrappingKey: wrapping }
"#;
    const KEY: &str = "---
apiVersion: claviger.dev/v1alpha1
kind: KmsKey
metadata: { name: wrapping, namespace: production }
spec: { purpose: wrap, rotation: { period: 365d } }
";

    fn row(hostname: &str) -> HostnameRow {
        let entry = crate::adapters::sqlite::HostnameEntry {
            environment: "production".parse().unwrap(),
            hostname: hostname.parse().unwrap(),
            origin: Origin::Api,
            tenant: "customer".to_owned(),
            validation: None,
            reference: None,
        };
        HostnameRow { entry, created_at: claviger_config::Moment(0), revision: 1 }
    }

    #[test]
    fn what_is_the_same_changes_nothing() {
        let documents = documents();
        let first = read(&documents, &text("one@example.com"));
        assert_eq!((first.objects.len(), first.accepted.len()), (2, 2));
        let again = read(&documents, &text("one@example.com"));
        assert!(again.objects.is_empty() && again.accepted.is_empty() && !again.claims, "{again:?}");
    }

    #[test]
    fn what_could_not_be_kept_is_kept_with_the_next_reading_once() {
        let documents = documents();
        let first = read(&documents, &text("one@example.com"));
        let accepted = first.accepted.clone();
        documents.owe(Changed { claims: true, ..first });
        let again = read(&documents, &text("one@example.com"));
        assert_eq!((again.accepted, again.claims), (accepted, true));
        assert!(read(&documents, &text("one@example.com")).accepted.is_empty());
    }

    #[test]
    fn the_later_version_of_a_document_is_kept_last() {
        let documents = documents();
        let first = read(&documents, &text("one@example.com"));
        documents.owe(first);
        let second = read(&documents, &text("two@example.com"));
        let last = String::from_utf8(second.accepted.last().unwrap().1.clone().unwrap()).unwrap();
        assert!(second.accepted.len() == 3 && last.contains("two@example.com"), "{last}");
    }

    #[test]
    fn host_names_of_the_api_are_looked_after_with_what_their_environment_is_now() {
        let documents = documents();
        assert_eq!(documents.put_row(&row("www.customer.example")), None, "its environment is not in force");
        read(&documents, &text("one@example.com"));
        let name = documents.put_row(&row("www.customer.example")).unwrap();
        let owner = || documents.wanted(&name).unwrap().environment.as_ref().unwrap().spec.owner.to_string();
        assert_eq!(owner(), "one@example.com");
        read(&documents, &text("two@example.com"));
        assert_eq!(documents.drop_rows(&"staging".parse().unwrap()), []);
        assert_eq!(documents.drop_rows(&"production".parse().unwrap()), std::slice::from_ref(&name));
        assert!(documents.wanted(&name).is_none());
        documents.put_row(&row("www.customer.example"));
        assert_eq!(owner(), "two@example.com");
    }
}
