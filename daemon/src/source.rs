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
    desired::{Desired, FileRead, Refusal, Settled, Spec, Surroundings, Wanted, settle},
    hostname::{CustomHostnameSpec, Origin},
    judge::{Incumbent, Incumbents, SettingsFacts},
};
use claviger_core::ports::Source;

use crate::adapters::sqlite::HostnameRow;

/// Everything that shall be.
pub struct Documents {
    facts: SettingsFacts,
    in_force: ArcSwap<InForce>,
    before: Mutex<Incumbents>,
    rows: RwLock<BTreeMap<ObjectName, Arc<Wanted>>>,
    refused: RwLock<BTreeMap<ObjectName, Refusal>>,
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
}

impl Documents {
    /// Nothing yet, but what was accepted before.
    pub fn new(facts: SettingsFacts, before: Incumbents) -> Self {
        Self {
            facts,
            in_force: ArcSwap::default(),
            before: Mutex::new(before),
            rows: RwLock::default(),
            refused: RwLock::default(),
        }
    }

    /// Reads back what was kept as accepted.
    pub fn incumbents(kept: &[(String, Vec<u8>)]) -> Incumbents {
        kept.iter().filter_map(|(_, body)| serde_json::from_slice::<Incumbent>(body).ok()).collect()
    }

    /// Judges files, without putting anything in force.
    pub fn judge(&self, files: &[FileRead]) -> Settled {
        settle(files, &self.before.lock().unwrap_or_else(PoisonError::into_inner), &self.facts)
    }

    /// Puts what was judged in force.
    pub fn put_in_force(&self, settled: Settled) -> Changed {
        let old = self.in_force.load_full();
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        let accepted = difference(&before, &settled.accepted);
        let hash = crate::adapters::craft::keys::sha256(settled.accepted_hash_input.as_bytes());
        let view =
            DocumentsView { accepted: format!("sha256:{hash}"), rejected: settled.findings, findings: settled.notices };
        let (now, was) = (&settled.desired.objects, &old.desired.objects);
        let differs = |name: &&ObjectName| now.get(*name) != was.get(*name);
        let objects = now.keys().chain(was.keys()).filter(differs).cloned().collect();
        let news = view.rejected != old.view.rejected || view.findings != old.view.findings;
        let environments = surroundings(&settled.desired);
        let certificates = certificates(&settled.desired);
        *before = settled.accepted;
        self.in_force.store(Arc::new(InForce { desired: settled.desired, environments, certificates, view }));
        Changed { objects, accepted, news }
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

fn certificates(desired: &Desired) -> BTreeMap<DnsName, Vec<ObjectName>> {
    let mut by_name: BTreeMap<DnsName, Vec<ObjectName>> = BTreeMap::new();
    for (name, wanted) in &desired.objects {
        if let Spec::TlsCertificate(spec) = &wanted.spec {
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
        spec: Spec::CustomHostname(spec),
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
