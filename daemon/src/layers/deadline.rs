//! No call waits for ever: a far side that accepts and never answers costs one deadline, and may have done what was asked.

use std::{future::Future, sync::Arc, time::Duration};

use claviger_config::{ObjectName, Reason, Span};
use claviger_core::{
    domain::{
        effect::{Effect, News, Query},
        failure::{Failure, Retry},
        record::Intent,
    },
    ports::{Answer, Clock, Commit, Version},
    reconcile::world::{Scene, World},
};

/// Longer than any adapter's own time-outs together.
const DEADLINE: Duration = Duration::from_secs(180);

/// How long a store that did not answer is left alone.
const STORE_AGAIN: Span = Span::seconds(10);

/// A world whose calls end.
pub struct Deadline<W> {
    inner: W,
    clock: Arc<dyn Clock>,
}

impl<W: World> Deadline<W> {
    /// Wraps a world.
    pub fn new(inner: W, clock: Arc<dyn Clock>) -> Self {
        Self { inner, clock }
    }

    /// A store that does not answer is away: what was heard meanwhile is kept until it is back.
    async fn stored<T>(&self, word: &str, call: Answer<'_, T>) -> Result<T, Failure> {
        tokio::time::timeout(DEADLINE, call)
            .await
            .unwrap_or_else(|_| Err(late(word, Reason::StoreFailed).retry(Retry::At(self.clock.now() + STORE_AGAIN))))
    }
}

impl<W: World> World for Deadline<W> {
    fn load<'a>(&'a self, name: &'a ObjectName) -> Answer<'a, Option<(String, Version)>> {
        Box::pin(self.stored("load", self.inner.load(name)))
    }

    fn commit<'a>(&'a self, commit: Commit<'a>) -> Answer<'a, Version> {
        Box::pin(self.stored("commit", self.inner.commit(commit)))
    }

    fn look<'a>(&'a self, scene: Scene<'a>, query: &'a Query) -> Answer<'a, News> {
        Box::pin(within(query.word(), far_side(query), self.inner.look(scene, query)))
    }

    fn perform<'a>(&'a self, scene: Scene<'a>, effect: &'a Effect) -> Answer<'a, News> {
        Box::pin(within(effect.terms().word, other_side(effect), self.inner.perform(scene, effect)))
    }

    fn recall<'a>(&'a self, scene: Scene<'a>, intent: &'a Intent) -> Answer<'a, Option<News>> {
        Box::pin(within("recall", other_side(&intent.effect), self.inner.recall(scene, intent)))
    }
}

async fn within<T>(word: &str, reason: Reason, call: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::time::timeout(DEADLINE, call).await.unwrap_or_else(|_| Err(late(word, reason)))
}

fn late(word: &str, reason: Reason) -> Failure {
    Failure::new(reason, format!("`{word}` did not end within {} s", DEADLINE.as_secs())).maybe_done()
}

const fn far_side(query: &Query) -> Reason {
    match query {
        Query::Certificate { .. } | Query::Order { .. } | Query::Window { .. } => Reason::AcmeUnreachable,
        Query::Hostname { .. } => Reason::EdgeUnreachable,
        Query::Key { .. } | Query::LostKey { .. } => Reason::KmsUnreachable,
        Query::AccountKey { .. } => Reason::StoreFailed,
        Query::Outlet { .. } => Reason::DeliveryFailed,
        Query::Records { .. } => Reason::DnsNotPropagated,
    }
}

const fn other_side(effect: &Effect) -> Reason {
    match effect {
        Effect::Acme(_) => Reason::AcmeUnreachable,
        Effect::Edge(_) => Reason::EdgeUnreachable,
        Effect::Kms(_) => Reason::KmsUnreachable,
        Effect::Outlet(_) => Reason::DeliveryFailed,
        Effect::Vault(_) => Reason::StoreFailed,
    }
}
