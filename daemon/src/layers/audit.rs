//! One line in the journal before an effect, durable, and one after it.

use std::sync::Arc;

use claviger_config::ObjectName;
use claviger_core::{
    domain::{
        effect::{Effect, News, Query},
        failure::{Done, Failure},
        record::{Ask, Intent},
    },
    ports::{Actor, Answer, Asked, Audit, Commit, Entry, Version},
    reconcile::world::{Scene, World},
};

/// A world whose effects are audited.
pub struct Audited<W> {
    inner: W,
    journal: Arc<dyn Audit>,
}

impl<W: World> Audited<W> {
    /// Wraps a world.
    pub const fn new(inner: W, journal: Arc<dyn Audit>) -> Self {
        Self { inner, journal }
    }

    async fn conclude<T>(&self, mut entry: Entry, heard: Result<T, Failure>) -> Result<T, Failure> {
        entry.outcome = Some(match &heard {
            Ok(_) => ("Done".to_owned(), String::new()),
            Err(failure) if failure.done == Done::No => ("Failed".to_owned(), worded(failure)),
            Err(failure) => ("Unknown".to_owned(), worded(failure)),
        });
        if let Err(failure) = self.journal.conclude(&entry).await {
            tracing::error!(object = %entry.object, "an outcome could not be journalled: {}", failure.message);
        }
        heard
    }
}

fn worded(failure: &Failure) -> String {
    format!("{}: {}", failure.reason, failure.message)
}

fn asked(ask: &Ask) -> Asked {
    Asked { justification: ask.reason.clone(), ticket: ask.ticket.clone(), plan_sha256: None }
}

fn entry(scene: &Scene<'_>, verb: &str, intent: &str) -> Entry {
    Entry {
        actor: scene.ask.map_or_else(Actor::system, |ask| ask.actor.clone()),
        verb: verb.to_owned(),
        environment: scene.environment().cloned(),
        object: scene.name.clone(),
        reason: scene.reason,
        intent: intent.to_owned(),
        asked: scene.ask.map(asked),
        outcome: None,
    }
}

impl<W: World> World for Audited<W> {
    fn load<'a>(&'a self, name: &'a ObjectName) -> Answer<'a, Option<(String, Version)>> {
        self.inner.load(name)
    }

    fn commit<'a>(&'a self, commit: Commit<'a>) -> Answer<'a, Version> {
        self.inner.commit(commit)
    }

    fn look<'a>(&'a self, scene: Scene<'a>, query: &'a Query) -> Answer<'a, News> {
        self.inner.look(scene, query)
    }

    fn perform<'a>(&'a self, scene: Scene<'a>, effect: &'a Effect) -> Answer<'a, News> {
        Box::pin(async move {
            let entry = entry(&scene, effect.terms().word, scene.intent_id);
            self.journal.intend(&entry).await?;
            let heard = self.inner.perform(scene, effect).await;
            self.conclude(entry, heard).await
        })
    }

    /// What became of an intent whose answer was lost is its outcome.
    fn recall<'a>(&'a self, scene: Scene<'a>, intent: &'a Intent) -> Answer<'a, Option<News>> {
        Box::pin(async move {
            let heard = self.inner.recall(scene, intent).await;
            if let Ok(Some(_)) = &heard {
                let entry = entry(&scene, intent.effect.terms().word, &intent.id);
                return self.conclude(entry, heard).await;
            }
            heard
        })
    }
}
