//! Plans to ACME calls: accounts are found, keys are opened, requests are made, what comes back is verified.

use claviger_config::{IssuerName, Reason, desired::Surroundings};

use super::{Outside, at, binding};
use crate::{
    domain::{
        effect::{Account, AcmeEffect, KeyUse, News, Opened, Query, Sealed},
        failure::Failure,
    },
    ports::{Binding, Expected, Secret, Session},
    reconcile::world::Scene,
};

impl Outside {
    pub(super) async fn look_acme(&self, scene: Scene<'_>, query: &Query) -> Result<News, Failure> {
        let (Query::Certificate { issuer, .. } | Query::Order { issuer, .. } | Query::Window { issuer, .. }) = query
        else {
            return Err(Failure::new(Reason::AnswerNotUnderstood, "a fault in claviger: no question for a CA"));
        };
        let (at, account) = (at(&scene)?, account(&scene, issuer)?);
        let bound = account_binding(at, &account.issuer);
        let key = || self.kms.open(at, &bound, &account.key);
        let with = Session { at, account, key: &key };
        match query {
            Query::Certificate { issuer, order, names, spki_sha256 } => {
                let pem = self.acme.certificate(with, order).await?;
                let expected = Expected { names, spki_sha256, issuer: Some(issuer), now: scene.now };
                Ok(News::Issued(Box::new(self.craft.verify(at, &pem, expected).await?)))
            }
            Query::Order { order, .. } => Ok(News::Order(Box::new(self.acme.order(with, order).await?))),
            Query::Window { certificate, .. } => Ok(News::Window(self.acme.window(with, certificate).await?)),
            _ => Err(Failure::new(Reason::AnswerNotUnderstood, "a fault in claviger: no question for a CA")),
        }
    }

    pub(super) async fn perform_acme(&self, scene: Scene<'_>, effect: &AcmeEffect) -> Result<News, Failure> {
        let at = at(&scene)?;
        if let AcmeEffect::Register { issuer, key } = effect {
            return self.register(at, issuer, key).await;
        }
        let (AcmeEffect::Answer { issuer, .. }
        | AcmeEffect::Finalize { issuer, .. }
        | AcmeEffect::OpenOrder { issuer, .. }
        | AcmeEffect::Register { issuer, .. }) = effect;
        let account = account(&scene, issuer)?;
        let bound = account_binding(at, &account.issuer);
        let key = || self.kms.open(at, &bound, &account.key);
        let with = Session { at, account, key: &key };
        match effect {
            AcmeEffect::Answer { order, .. } => {
                self.acme.answer(with, order).await?;
                Ok(News::Answered)
            }
            AcmeEffect::Finalize { order, names, key, .. } => {
                let secret = self.kms.open(at, &binding(&scene, KeyUse::Certificate)?, key).await?;
                let request = self.craft.request(&secret, names).await?;
                drop(secret);
                Ok(News::Order(Box::new(self.acme.finalize(with, order, &request).await?)))
            }
            AcmeEffect::OpenOrder { issuer, names, profile, replaces } => {
                let order = self.acme.open_order(with, names, profile.as_deref(), replaces.as_deref()).await?;
                let (issuer, names, profile) = (issuer.clone(), names.clone(), profile.clone());
                Ok(News::Opened(Box::new(Opened { issuer, names, profile, order })))
            }
            AcmeEffect::Register { .. } => unregistered(),
        }
    }

    async fn register(&self, at: &Surroundings, issuer: &IssuerName, key: &Sealed) -> Result<News, Failure> {
        let secret: Secret = self.kms.open(at, &account_binding(at, issuer), key).await?;
        let registered = self.acme.register(at, issuer, &secret).await?;
        let directory = at.spec.issuers.iter().find(|candidate| candidate.name == *issuer);
        let directory = directory.and_then(|issuer| issuer.acme.as_ref()).map(|acme| acme.directory.clone());
        Ok(News::Registered(Account {
            issuer: issuer.clone(),
            directory: directory.unwrap_or_default(),
            url: registered.url,
            key: key.clone(),
            thumbprint: registered.thumbprint,
        }))
    }
}

fn unregistered() -> Result<News, Failure> {
    Err(Failure::new(Reason::AccountPending, "the account is not registered yet"))
}

fn account<'a>(scene: &Scene<'a>, issuer: &IssuerName) -> Result<&'a Account, Failure> {
    scene.neighbours.accounts.get(issuer).ok_or_else(|| {
        Failure::new(Reason::AccountPending, format!("the account at issuer `{issuer}` is not registered yet"))
    })
}

/// An account's key is bound to the environment itself, whoever uses it.
fn account_binding(at: &Surroundings, issuer: &IssuerName) -> Binding {
    Binding {
        environment: at.name.clone(),
        object: claviger_config::ObjectName {
            kind: claviger_config::Kind::Environment,
            namespace: None,
            name: at.name.clone().into(),
        },
        r#use: KeyUse::Account(issuer.clone()),
    }
}
