//! What was discovered, beside the environments that claim it and the keys that are ours.

use std::collections::BTreeMap;

use claviger_config::{Kind, Moment, Namespace, admin::DiscoveredView, desired::Surroundings};
use claviger_core::domain::inventory::{self, Discovered, OwnKey};

use crate::shared::Shared;

/// Everything that was discovered in namespaces that an environment claims now; nothing beside a cluster.
pub fn views(shared: &Shared, now: Moment) -> Vec<DiscoveredView> {
    let found = discovered(shared);
    let ours = if found.is_empty() { Vec::new() } else { own_keys(shared) };
    inventory::inventory(&found, &ours, now)
}

/// The same without what must be compared, for counting.
pub fn discovered(shared: &Shared) -> Vec<Discovered> {
    let Some(found) = &shared.found else { return Vec::new() };
    let environments = shared.documents.environments();
    let claims = environments.iter().flat_map(|at| at.spec.namespaces.iter().map(move |namespace| (namespace, &**at)));
    let claims: BTreeMap<&Namespace, &Surroundings> = claims.collect();
    let all = found.all().into_iter().filter_map(|known| {
        let at = claims.get(&known.namespace)?;
        Some(Discovered {
            environment: at.name.clone(),
            owner: at.spec.owner.clone(),
            namespace: known.namespace,
            name: known.name,
            about: known.about,
            reading: known.reading,
        })
    });
    all.collect()
}

fn own_keys(shared: &Shared) -> Vec<OwnKey> {
    let mut keys = Vec::new();
    shared.fleet.each(|name, subject| {
        let key = subject.status.pointer("/certificate/spkiSha256").and_then(serde_json::Value::as_str);
        if let (Kind::TlsCertificate, Some(environment), Some(key)) = (name.kind, &subject.environment, key) {
            let (environment, object) = (environment.clone(), name.clone());
            keys.push(OwnKey { environment, object, spki_sha256: key.to_owned() });
        }
    });
    keys
}
