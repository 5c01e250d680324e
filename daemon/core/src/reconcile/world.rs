//! All that a pass may await: the one hook. Deadlines, metrics, audit and the injected faults are layers of it.

use claviger_config::{EnvironmentName, Moment, ObjectName, Reason, desired::Wanted};

use crate::{
    domain::{
        effect::{Effect, News, Query},
        neighbours::Neighbours,
        record::{Ask, Intent},
    },
    ports::{Answer, Commit, Version},
};

/// Where a step takes place.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// The subject.
    pub name: &'a ObjectName,
    /// What shall be.
    pub wanted: &'a Wanted,
    /// What is known around it.
    pub neighbours: &'a Neighbours,
    /// Why.
    pub reason: Reason,
    /// The id of the intent; also of effects that may be repeated and are not stored first.
    pub intent_id: &'a str,
    /// The person who asked for it.
    pub ask: Option<&'a Ask>,
    /// Now.
    pub now: Moment,
}

impl Scene<'_> {
    /// The environment's name.
    pub fn environment(&self) -> Option<&EnvironmentName> {
        self.wanted.environment.as_ref().map(|at| &at.name)
    }
}

/// All that a pass may await.
pub trait World: Send + Sync {
    /// The number of the term in which this process may act, where several could; else 0.
    fn term(&self) -> u64 {
        0
    }
    /// The record of a subject.
    fn load<'a>(&'a self, name: &'a ObjectName) -> Answer<'a, Option<(String, Version)>>;
    /// One write.
    fn commit<'a>(&'a self, commit: Commit<'a>) -> Answer<'a, Version>;
    /// One question.
    fn look<'a>(&'a self, scene: Scene<'a>, query: &'a Query) -> Answer<'a, News>;
    /// One effect; its intent is stored when it may not be repeated.
    fn perform<'a>(&'a self, scene: Scene<'a>, effect: &'a Effect) -> Answer<'a, News>;
    /// Did it happen? `None`: no, do it anew.
    fn recall<'a>(&'a self, scene: Scene<'a>, intent: &'a Intent) -> Answer<'a, Option<News>>;
}
