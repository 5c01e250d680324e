//! What the tests of all fronts need: a clock that is moved by hand and a client.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::{Options, Running, World};

/// The moment at which the tests begin: 2026-11-24, noon.
pub(crate) const START: i64 = 1_795_521_600_000;

/// A clock that moves when told to.
#[derive(Clone)]
pub(crate) struct Clock(Arc<AtomicI64>);

impl Clock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicI64::new(START)))
    }

    pub(crate) fn now(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }

    pub(crate) fn pass(&self, millis: i64) {
        self.0.fetch_add(millis, Ordering::SeqCst);
    }

    pub(crate) fn options(&self) -> Options {
        let clock = self.clone();
        Options { unkind: false, ..Options::new(1, move || clock.now()) }
    }
}

/// A kind world with a clock, and a client.
pub(crate) async fn world() -> (Running, Clock, reqwest::Client) {
    let clock = Clock::new();
    (World::start(clock.options()).await.unwrap(), clock, client())
}

pub(crate) fn client() -> reqwest::Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder().no_proxy().user_agent("claviger-sim tests").build().unwrap()
}
