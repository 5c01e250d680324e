//! A cluster in the place of a daemon's socket: what stored objects tell is read from them, for all else a port is forwarded to the
//! replica at work.
//!
//! The same questions are answered as over the socket ([`question`]), so that no command knows which of the two it speaks with.

mod connection;
mod forward;
mod hostnames;
mod objects;
mod question;
mod status;
mod trouble;

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use claviger_config::{EnvironmentName, Kind, Moment, Namespace, ObjectName, admin::Explanation};
use futures::StreamExt;
use kube::{
    Api, Client,
    api::{DynamicObject, ListParams, WatchParams},
};
use serde_json::Value;

pub(crate) use self::{
    connection::{Access, configured},
    forward::Forwarded,
};
use self::{forward::Leader, objects::Stored, question::Question, trouble::Place};
use crate::failure::Failure;

/// A cluster, and what of it is meant.
pub(crate) struct Cluster {
    client: Client,
    url: String,
    /// Only this namespace; absent: all.
    namespace: Option<Namespace>,
    /// Where clavigerd lives.
    home: String,
    /// Whether the daemon is asked for what stored objects tell too.
    ask_daemon: bool,
    leader: Mutex<Option<Leader>>,
    /// The version of each object that was looked at, for those who wait for its next.
    seen: Mutex<BTreeMap<ObjectName, String>>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Cluster {
    /// The namespace that is meant where none is named.
    pub(crate) fn namespace(&self) -> Option<&Namespace> {
        self.namespace.as_ref()
    }

    /// Whether what objects tell is read from them, and not asked of the daemon.
    pub(crate) const fn reads_objects(&self) -> bool {
        !self.ask_daemon
    }

    /// The answer to a question, as far as stored objects tell; absent when it is for the daemon.
    pub(crate) async fn answer(&self, path: &str) -> Result<Option<Value>, Failure> {
        let Some(question) = Question::read(path).filter(|_| !self.ask_daemon) else { return Ok(None) };
        match tokio::time::timeout(PATIENCE, self.told(&question)).await {
            Ok(told) => told,
            Err(_) => Err(Failure::Silent { path: self.url.clone(), seconds: PATIENCE.as_secs() }),
        }
    }

    async fn told(&self, question: &Question) -> Result<Option<Value>, Failure> {
        Ok(Some(match question {
            Question::Status => self.status().await?,
            Question::List(kind) => {
                let stored = self.list(*kind, self.namespace.as_ref()).await?;
                let environments = self.claims(&stored).await?;
                objects::as_list(stored.iter().map(|stored| stored.resource(&environments)))
            }
            Question::One(name) => {
                let stored = self.one(name).await?;
                stored.resource(&self.claims(std::slice::from_ref(&stored)).await?)
            }
            Question::Explanation(name) => self.explanation(name).await?,
            Question::Hostnames { environment, tenant } => self.hostnames(environment, tenant.as_deref()).await?,
            Question::Hostname { environment, hostname } => return self.hostname(environment, hostname).await,
        }))
    }

    /// Waits until an object is another one than when it was looked at last, or for a while where that may not be watched.
    pub(crate) async fn news(&self, path: &str) {
        let pause = || tokio::time::sleep(BETWEEN_LOOKS);
        let Some(Question::One(name)) = Question::read(path).filter(|_| !self.ask_daemon) else { return pause().await };
        let seen = self.seen.lock().ok().and_then(|mut seen| seen.remove(&name));
        let Some(version) = seen else { return pause().await };
        let only = WatchParams::default().fields(&format!("metadata.name={}", name.name));
        match self.api(name.kind, name.namespace.as_ref()).watch(&only, &version).await {
            Ok(events) => match std::pin::pin!(events).next().await {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => pause().await,
            },
            Err(_) => pause().await,
        }
    }

    fn api(&self, kind: Kind, namespace: Option<&Namespace>) -> Api<DynamicObject> {
        let resource = objects::resource(kind);
        match namespace.filter(|_| kind != Kind::Environment) {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace.as_str(), &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }

    /// All objects of a kind there, page by page.
    async fn list(&self, kind: Kind, namespace: Option<&Namespace>) -> Result<Vec<Stored>, Failure> {
        if !claviger_config::crd::KINDS.contains(&kind) {
            return Ok(Vec::new()); // no release has its definition yet
        }
        let (api, mut found) = (self.api(kind, namespace), Vec::new());
        let mut page = ListParams::default().limit(PAGE);
        loop {
            let list =
                api.list(&page).await.map_err(|error| self.failed(&Place::kind("list", kind, namespace), error))?;
            found.extend(list.items.into_iter().filter_map(|object| Stored::of(kind, object)));
            let Some(token) = list.metadata.continue_.filter(|token| !token.is_empty()) else { break };
            page = page.continue_token(&token);
        }
        found.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(found)
    }

    async fn one(&self, name: &ObjectName) -> Result<Stored, Failure> {
        let api = self.api(name.kind, name.namespace.as_ref());
        let found = api.get_opt(name.name.as_str()).await;
        let place = Place::kind("get", name.kind, name.namespace.as_ref());
        let found = found.map_err(|error| self.failed(&place, error))?;
        let Some(found) = found else { return Err(self.no_such_object(name).await) };
        if let (Some(version), Ok(mut seen)) = (&found.metadata.resource_version, self.seen.lock()) {
            seen.insert(name.clone(), version.clone());
        }
        Stored::of(name.kind, found).ok_or_else(|| trouble::not_found(name, &[]))
    }

    async fn no_such_object(&self, name: &ObjectName) -> Failure {
        let others = self.list(name.kind, name.namespace.as_ref()).await.unwrap_or_default();
        trouble::not_found(name, &others.into_iter().map(|stored| stored.name).collect::<Vec<_>>())
    }

    /// Which environment claims which namespace, where an object does not say it itself. Whoever may not read environments is not told.
    async fn claims(&self, stored: &[Stored]) -> Result<BTreeMap<Namespace, EnvironmentName>, Failure> {
        if stored.iter().all(Stored::is_observed) {
            return Ok(BTreeMap::new());
        }
        match self.list(Kind::Environment, None).await {
            Ok(environments) => Ok(objects::claims(&environments)),
            Err(Failure::Forbidden { .. }) => Ok(BTreeMap::new()),
            Err(failure) => Err(failure),
        }
    }

    async fn explanation(&self, name: &ObjectName) -> Result<Value, Failure> {
        let stored = self.one(name).await?;
        let claims = self.claims(std::slice::from_ref(&stored)).await?;
        let explanation = stored.explanation(&claims);
        let environment = explanation.environment.as_ref().and_then(|environment| environment.as_str().parse().ok());
        let environment = environment.map(|name| ObjectName { kind: Kind::Environment, namespace: None, name });
        let at = match environment {
            Some(environment) => self.one(&environment).await.map(Some),
            None => Ok(None),
        };
        let explanation: Explanation = match at {
            Ok(at) => match at.and_then(|at| at.environment()) {
                Some(at) => explanation.inside(&at),
                None => explanation,
            },
            // Not known, hence not told.
            Err(Failure::Forbidden { .. } | Failure::Refused { .. }) => explanation,
            Err(failure) => return Err(failure),
        };
        objects::value("explanation", &explanation)
    }
}

/// The present, as this machine tells it: a cluster has no daemon's clock to ask, and stored instants are those of machines.
#[expect(clippy::disallowed_methods, reason = "the one place of the command line that asks for the time")]
pub(crate) fn present() -> Moment {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Moment(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// For all pages together.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where nothing tells of news.
const BETWEEN_LOOKS: Duration = Duration::from_secs(2);
const PAGE: u32 = 500;
