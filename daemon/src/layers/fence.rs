//! A replica acts and writes only as long as it surely leads.
//!
//! An effect that was begun is left as soon as the lease may have run out: whatever it would have asked next is not asked any more. So a
//! process that was stopped in the middle of an order does nothing when it goes on, although another replica has been at work meanwhile.

use std::{future::poll_fn, pin::pin, sync::Arc, task::Poll};

use claviger_config::{Moment, ObjectName, Reason, Span};
use claviger_core::{
    domain::{
        effect::{Effect, News, Query},
        failure::{Failure, Retry},
        record::Intent,
    },
    ports::{Answer, Clock, Commit, Version},
    reconcile::world::{Scene, World},
};

use futures::FutureExt as _;

use crate::adapters::kubernetes::Fence;

/// A world behind a fence.
pub struct Fenced<W> {
    inner: W,
    fence: Arc<Fence>,
    clock: Arc<dyn Clock>,
}

impl<W: World> Fenced<W> {
    /// Wraps a world.
    pub fn new(inner: W, fence: Arc<Fence>, clock: Arc<dyn Clock>) -> Self {
        Self { inner, fence, clock }
    }

    /// The fence is looked at before each step of the call, not by a timer alone: timers may be behind when a process goes on.
    async fn held<T>(&self, what: &str, call: Answer<'_, T>) -> Result<T, Failure> {
        let (mut call, mut lapses) = (call, pin!(self.fence.lapses().fuse()));
        let mut begun = false;
        poll_fn(|context| {
            if !self.fence.holds() {
                return Poll::Ready(Err(lost(what, begun, self.clock.now())));
            }
            let _ = lapses.as_mut().poll(context); // wakes this call when it is time
            begun = true;
            call.as_mut().poll(context)
        })
        .await
    }
}

/// What was heard so far is kept by whoever asked, and thrown away with the process, which ends.
fn lost(what: &str, begun: bool, now: Moment) -> Failure {
    let text = format!("the lease was lost: another replica may be at work, so `{what}` is left to it");
    let failure = Failure::new(Reason::StoreFailed, text).retry(Retry::At(now + Span::minutes(1)));
    if begun { failure.maybe_done() } else { failure }
}

impl<W: World> World for Fenced<W> {
    fn term(&self) -> u64 {
        self.fence.term()
    }

    fn load<'a>(&'a self, name: &'a ObjectName) -> Answer<'a, Option<(String, Version)>> {
        self.inner.load(name)
    }

    fn commit<'a>(&'a self, commit: Commit<'a>) -> Answer<'a, Version> {
        Box::pin(self.held("commit", self.inner.commit(commit)))
    }

    fn look<'a>(&'a self, scene: Scene<'a>, query: &'a Query) -> Answer<'a, News> {
        self.inner.look(scene, query)
    }

    fn perform<'a>(&'a self, scene: Scene<'a>, effect: &'a Effect) -> Answer<'a, News> {
        Box::pin(self.held(effect.terms().word, self.inner.perform(scene, effect)))
    }

    fn recall<'a>(&'a self, scene: Scene<'a>, intent: &'a Intent) -> Answer<'a, Option<News>> {
        self.inner.recall(scene, intent)
    }
}
