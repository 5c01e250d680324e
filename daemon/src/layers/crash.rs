//! Crash points that tests steer: the process kills itself, as hard as anybody could, before or after the n-th call.
//!
//! `CLAVIGER_CRASH=commit:3:after` dies right after the third commit is durable; `open_order:1:before` right before the first
//! order is asked for. Words are those of the table of effects, of the queries, `commit` and `recall`. Compiled with the feature `dev` only.

use std::sync::atomic::{AtomicU64, Ordering};

use claviger_config::ObjectName;
use claviger_core::{
    domain::{
        effect::{Effect, News, Query},
        record::Intent,
    },
    ports::{Answer, Commit, Version},
    reconcile::world::{Scene, World},
};

/// A world that may end the process.
pub struct Crashing<W> {
    inner: W,
    point: Option<Point>,
    seen: AtomicU64,
}

struct Point {
    word: String,
    nth: u64,
    after: bool,
}

impl<W: World> Crashing<W> {
    /// Wraps a world, with the crash point of the environment variable `CLAVIGER_CRASH`, if there is one.
    ///
    /// # Errors
    /// When the variable is set and is no crash point.
    pub fn new(inner: W) -> Result<Self, String> {
        let point = std::env::var("CLAVIGER_CRASH").ok().map(|text| parse(&text)).transpose()?;
        Ok(Self { inner, point, seen: AtomicU64::new(0) })
    }

    /// The number of this call, if it is one of those that are counted; dies when it is its turn to die before it.
    fn enter(&self, word: &str) -> Option<u64> {
        let point = self.point.as_ref().filter(|point| point.word == word)?;
        let number = self.seen.fetch_add(1, Ordering::SeqCst) + 1;
        if number == point.nth && !point.after {
            die();
        }
        Some(number)
    }

    /// Dies when it is this call's turn to die after it.
    fn leave(&self, number: Option<u64>) {
        if self.point.as_ref().is_some_and(|point| point.after && Some(point.nth) == number) {
            die();
        }
    }
}

/// SIGKILL to itself: no destructor runs and nothing is flushed.
fn die() {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
}

fn parse(text: &str) -> Result<Point, String> {
    let bad = || format!("CLAVIGER_CRASH: found `{text}`, accepted: WORD:NUMBER:before or WORD:NUMBER:after");
    let mut parts = text.split(':');
    let (Some(word), Some(nth), Some(side), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(bad());
    };
    let nth = nth.parse().map_err(|_| bad())?;
    let after = match side {
        "after" => true,
        "before" => false,
        _ => return Err(bad()),
    };
    Ok(Point { word: word.to_owned(), nth, after })
}

impl<W: World> World for Crashing<W> {
    fn load<'a>(&'a self, name: &'a ObjectName) -> Answer<'a, Option<(String, Version)>> {
        self.inner.load(name)
    }

    fn commit<'a>(&'a self, commit: Commit<'a>) -> Answer<'a, Version> {
        Box::pin(async move {
            let number = self.enter("commit");
            let committed = self.inner.commit(commit).await;
            self.leave(number);
            committed
        })
    }

    fn look<'a>(&'a self, scene: Scene<'a>, query: &'a Query) -> Answer<'a, News> {
        Box::pin(async move {
            let number = self.enter(query.word());
            let heard = self.inner.look(scene, query).await;
            self.leave(number);
            heard
        })
    }

    fn perform<'a>(&'a self, scene: Scene<'a>, effect: &'a Effect) -> Answer<'a, News> {
        Box::pin(async move {
            let number = self.enter(effect.terms().word);
            let heard = self.inner.perform(scene, effect).await;
            self.leave(number);
            heard
        })
    }

    fn recall<'a>(&'a self, scene: Scene<'a>, intent: &'a Intent) -> Answer<'a, Option<News>> {
        Box::pin(async move {
            let number = self.enter("recall");
            let heard = self.inner.recall(scene, intent).await;
            self.leave(number);
            heard
        })
    }
}
