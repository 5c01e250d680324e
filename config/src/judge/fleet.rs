//! All that stands, looked at from above.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    environment::spec,
    refused::Refused,
    versions::{Versions, claimed},
};
use crate::{
    desired::{Spec, Surroundings},
    document::Document,
    environment::{EnvironmentSpec, Zone},
    name::{DnsName, EnvironmentName, Kind, Name, Namespace},
    reason::Reason,
};

/// The environments with their namespaces, and who has which host name.
pub(super) struct Fleet<'a> {
    versions: &'a Versions<'a>,
    /// By namespace, and by the environment's own name.
    claims: BTreeMap<Namespace, Arc<Surroundings>>,
    environments: BTreeMap<Name, Arc<Surroundings>>,
    /// Environments that are not worked on, with the reason.
    refused: BTreeMap<EnvironmentName, Refused>,
    hostnames: BTreeMap<(EnvironmentName, DnsName), &'a Document>,
}

impl<'a> Fleet<'a> {
    pub(super) fn of(versions: &'a Versions<'a>) -> Self {
        let environments: BTreeMap<Name, Arc<Surroundings>> = versions
            .of(Kind::Environment)
            .filter_map(|document| Some((document.name.name.clone(), surroundings(document)?)))
            .collect();
        let claims = environments.values().flat_map(|surroundings| {
            surroundings.spec.namespaces.iter().map(|namespace| (namespace.clone(), Arc::clone(surroundings)))
        });
        let claims = claims.collect();
        let mut fleet = Self { versions, claims, environments, refused: BTreeMap::new(), hostnames: BTreeMap::new() };
        fleet.hostnames = fleet.hostnames();
        fleet
    }

    /// The same, with the environments that are not worked on.
    pub(super) fn refusing(self, refused: BTreeMap<EnvironmentName, Refused>) -> Self {
        Self { refused, ..self }
    }

    /// The environment that claims the namespace of a document; of an environment, itself.
    pub(super) fn environment(&self, document: &Document) -> Option<Arc<Surroundings>> {
        match &document.name.namespace {
            Some(namespace) => self.claims.get(namespace).cloned(),
            None => self.environments.get(&document.name.name).cloned(),
        }
    }

    /// Why an environment is not worked on, if so.
    pub(super) fn refused(&self, name: &EnvironmentName) -> Option<&Refused> {
        self.refused.get(name)
    }

    /// The environment that would claim a namespace, had its document no errors.
    pub(super) fn shadow(&self, namespace: &Namespace) -> Option<&Name> {
        self.versions.shadows.get(namespace)
    }

    /// Who has each host name: the one that had it before, else the first by place. A name is for life, so a changed document
    /// is as old as an unchanged one.
    fn hostnames(&self) -> BTreeMap<(EnvironmentName, DnsName), &'a Document> {
        let mut documents: Vec<&Document> = self.versions.of(Kind::CustomHostname).collect();
        documents.sort_by_cached_key(|document| {
            let incumbent = self.versions.before.objects.get(&document.name);
            (
                incumbent.is_none_or(|incumbent| incumbent.refused == Some(Reason::HostnameClaimed)),
                document.place.clone(),
            )
        });
        let mut owners = BTreeMap::new();
        for document in documents {
            if let (Spec::CustomHostname(spec), Some(surroundings)) = (&*document.spec, self.environment(document)) {
                owners.entry((surroundings.name.clone(), spec.hostname.clone())).or_insert(document);
            }
        }
        owners
    }

    /// The document that has a host name in an environment.
    pub(super) fn hostname_owner(&self, environment: &EnvironmentName, name: &DnsName) -> Option<&Document> {
        self.hostnames.get(&(environment.clone(), name.clone())).copied()
    }

    /// The zone of another environment that a name lies in.
    pub(super) fn zone_elsewhere(&self, name: &DnsName, but: &EnvironmentName) -> Option<(&EnvironmentName, &DnsName)> {
        let others = self.environments.values().filter(|surroundings| surroundings.name != *but);
        others.into_iter().find_map(|surroundings| Some((&surroundings.name, &zone_of(surroundings, name)?.name)))
    }
}

fn surroundings(document: &Document) -> Option<Arc<Surroundings>> {
    let mut spec: EnvironmentSpec = spec(document)?.clone();
    spec.namespaces = claimed(document);
    let name = document.name.name.as_str().parse().ok()?;
    Some(Arc::new(Surroundings { name, spec }))
}

/// The zone that a name is proven in: the innermost one of its environment.
pub(super) fn zone_of<'a>(surroundings: &'a Surroundings, name: &DnsName) -> Option<&'a Zone> {
    let zones = surroundings.spec.zones.iter();
    let holding = zones.filter(|zone| name.within(&zone.name) && !zone.except.iter().any(|inner| name.within(inner)));
    holding.max_by_key(|zone| zone.name.as_str().len())
}
