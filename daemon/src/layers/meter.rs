//! Counts what is done and asked, and how it ended.

use std::sync::Arc;

use claviger_config::ObjectName;
use claviger_core::{
    domain::{
        effect::{Effect, News, Query},
        failure::Failure,
        record::Intent,
    },
    ports::{Answer, Commit, Version},
    reconcile::world::{Scene, World},
};

use crate::sight::metrics::Metrics;

/// A world that is counted.
pub struct Metered<W> {
    inner: W,
    metrics: Arc<Metrics>,
}

impl<W: World> Metered<W> {
    /// Wraps a world.
    pub const fn new(inner: W, metrics: Arc<Metrics>) -> Self {
        Self { inner, metrics }
    }

    fn count<T>(&self, scene: &Scene<'_>, word: &str, heard: &Result<T, Failure>) {
        let environment = scene.environment().map_or("", |environment| environment.as_str());
        let outcome = match heard {
            Ok(_) => "Done",
            Err(failure) => failure.reason.word(),
        };
        self.metrics.step(environment, word, outcome);
    }
}

impl<W: World> World for Metered<W> {
    fn load<'a>(&'a self, name: &'a ObjectName) -> Answer<'a, Option<(String, Version)>> {
        self.inner.load(name)
    }

    fn commit<'a>(&'a self, commit: Commit<'a>) -> Answer<'a, Version> {
        Box::pin(async move {
            let committed = self.inner.commit(commit).await;
            self.metrics.commit(committed.is_ok());
            committed
        })
    }

    fn look<'a>(&'a self, scene: Scene<'a>, query: &'a Query) -> Answer<'a, News> {
        Box::pin(async move {
            let heard = self.inner.look(scene, query).await;
            self.count(&scene, query.word(), &heard);
            if let Query::Certificate { issuer, .. } = query {
                let environment = scene.environment().map_or("", |environment| environment.as_str());
                self.metrics.issuance(environment, issuer.as_str(), heard.is_ok(), scene.reason);
            }
            heard
        })
    }

    fn perform<'a>(&'a self, scene: Scene<'a>, effect: &'a Effect) -> Answer<'a, News> {
        Box::pin(async move {
            let heard = self.inner.perform(scene, effect).await;
            self.count(&scene, effect.terms().word, &heard);
            heard
        })
    }

    fn recall<'a>(&'a self, scene: Scene<'a>, intent: &'a Intent) -> Answer<'a, Option<News>> {
        Box::pin(async move {
            let heard = self.inner.recall(scene, intent).await;
            self.count(&scene, "recall", &heard);
            heard
        })
    }
}
