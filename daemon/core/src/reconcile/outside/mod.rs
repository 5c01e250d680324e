//! The ports in one struct, and their only caller.

mod acme;
mod edge;
mod kms;
mod outlet;

use std::sync::Arc;

use claviger_config::{ObjectName, Reason, desired::Surroundings};

use super::world::{Scene, World};
use crate::{
    domain::{
        effect::{Effect, KeyUse, News, Query, VaultEffect},
        failure::{Failure, Retry},
        record::Intent,
    },
    ports::{Acme, Answer, Binding, Commit, Craft, Dns, Edge, Kms, Outlet, Store, Vault, Version},
};

/// Every port.
pub struct Outside {
    /// ACME CAs.
    pub acme: Arc<dyn Acme>,
    /// Bytes.
    pub craft: Arc<dyn Craft>,
    /// DNS.
    pub dns: Arc<dyn Dns>,
    /// Cloudflare.
    pub edge: Arc<dyn Edge>,
    /// AWS KMS.
    pub kms: Arc<dyn Kms>,
    /// Where certificates go.
    pub outlet: Arc<dyn Outlet>,
    /// Memory.
    pub store: Arc<dyn Store>,
    /// Wrapped account keys.
    pub vault: Arc<dyn Vault>,
}

impl World for Outside {
    fn load<'a>(&'a self, name: &'a ObjectName) -> Answer<'a, Option<(String, Version)>> {
        self.store.load(name)
    }

    fn commit<'a>(&'a self, commit: Commit<'a>) -> Answer<'a, Version> {
        self.store.commit(commit)
    }

    fn look<'a>(&'a self, scene: Scene<'a>, query: &'a Query) -> Answer<'a, News> {
        Box::pin(async move {
            match query {
                Query::AccountKey { issuer } => {
                    let kept = self.vault.find(&at(&scene)?.name, issuer).await?;
                    Ok(News::AccountKey(issuer.clone(), kept))
                }
                Query::Certificate { .. } | Query::Order { .. } | Query::Window { .. } => {
                    self.look_acme(scene, query).await
                }
                Query::Hostname { .. } => self.look_edge(scene, query).await,
                Query::Key { .. } | Query::LostKey { .. } => self.look_kms(scene, query).await,
                Query::Outlet { outlet } => Ok(News::Outlet(outlet.name.clone(), self.outlet.look(outlet).await?)),
                Query::Records { questions } => Ok(News::Records(self.dns.ask(questions).await?)),
            }
        })
    }

    fn perform<'a>(&'a self, scene: Scene<'a>, effect: &'a Effect) -> Answer<'a, News> {
        Box::pin(async move {
            match effect {
                Effect::Acme(effect) => self.perform_acme(scene, effect).await,
                Effect::Edge(effect) => self.perform_edge(scene, effect).await,
                Effect::Kms(effect) => self.perform_kms(scene, effect).await,
                Effect::Outlet(effect) => self.perform_outlet(scene, effect).await,
                Effect::Vault(VaultEffect::Keep { issuer, key }) => {
                    self.vault.keep(&at(&scene)?.name, issuer, key).await?;
                    Ok(News::Kept(issuer.clone()))
                }
            }
        })
    }

    fn recall<'a>(&'a self, scene: Scene<'a>, intent: &'a Intent) -> Answer<'a, Option<News>> {
        Box::pin(async move {
            match &intent.effect {
                Effect::Edge(effect) => self.recall_edge(scene, effect).await,
                Effect::Kms(effect) => self.recall_kms(scene, &intent.id, effect).await,
                // RFC 8555 has no question for newOrder; the others may simply be done again.
                Effect::Acme(_) | Effect::Outlet(_) | Effect::Vault(_) => Ok(None),
            }
        })
    }
}

fn at<'a>(scene: &Scene<'a>) -> Result<&'a Surroundings, Failure> {
    scene.wanted.environment.as_deref().ok_or_else(|| {
        Failure::new(Reason::NamespaceUnclaimed, format!("{} belongs to no environment", scene.name))
            .retry(Retry::Never)
    })
}

fn binding(scene: &Scene<'_>, r#use: KeyUse) -> Result<Binding, Failure> {
    Ok(Binding { environment: at(scene)?.name.clone(), object: scene.name.clone(), r#use })
}

fn wrapping<'a>(scene: &Scene<'a>) -> Result<&'a str, Failure> {
    scene
        .neighbours
        .wrapping_key()
        .ok_or_else(|| Failure::new(Reason::WrappingKeyNotReady, "the wrapping key of the environment is not ready"))
}
