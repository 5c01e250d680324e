//! The passwords of keystores: when one changes, the certificates that need it look again.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use claviger_config::{
    Name, Namespace, ObjectName,
    desired::{Spec, Wanted},
};
use tokio::task::JoinHandle;

use crate::{
    adapters::kubernetes::{self, Cluster},
    shared::Shared,
};

/// A Secret that holds passwords.
type Place = (Namespace, Name);

/// The watches: one for each Secret that a document in force names, and none else.
#[derive(Default)]
pub struct Passwords {
    watched: Mutex<BTreeMap<Place, JoinHandle<()>>>,
}

impl Passwords {
    /// Begins and ends watches, as the documents in force ask.
    pub fn watch(&self, cluster: &Cluster, shared: &Arc<Shared>) {
        let mut wanted = BTreeSet::new();
        shared.documents.each(|name, document| wanted.extend(places(name, document)));
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|place, watching| {
            let keep = wanted.contains(place);
            if !keep {
                watching.abort();
            }
            keep
        });
        for place in wanted {
            let (shared, about) = (Arc::clone(shared), place.clone());
            watched.entry(place).or_insert_with_key(|(namespace, name)| {
                kubernetes::watch_secret(cluster, namespace, name, move || tell(&shared, &about))
            });
        }
    }
}

fn tell(shared: &Shared, about: &Place) {
    let mut concerned = Vec::new();
    shared.documents.each(|name, document| {
        if places(name, document).any(|place| place == *about) {
            concerned.push(name.clone());
        }
    });
    for certificate in concerned {
        shared.fleet.doubt(&certificate);
        shared.driver.put(certificate);
    }
}

/// Where the passwords of a certificate's keystores stand.
fn places(name: &ObjectName, document: &Wanted) -> impl Iterator<Item = Place> {
    let certificate = match &*document.spec {
        // Where no environment claims the namespace, nothing may be read.
        Spec::TlsCertificate(spec) if document.environment.is_some() => Some(spec),
        _ => None,
    };
    let secrets = certificate.into_iter().flat_map(|spec| &spec.outlets).filter_map(|outlet| outlet.secret.as_ref());
    let keystores = secrets.flat_map(|secret| &secret.keystores);
    keystores.filter_map(|keystore| Some((name.namespace.clone()?, keystore.password.name.clone())))
}
