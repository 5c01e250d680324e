//! The outside world of claviger, small enough for one machine: AWS KMS and STS, an ACME CA, Cloudflare custom
//! hostnames, and DNS.
//!
//! The simulators are honest and unkind. Honest: what a client may rely on holds here as it does there, and each
//! module says what it does not do. Unkind: what the real services do to naive clients once a week they do here all
//! day, such as refusing good nonces, handing out old orders, hiding fresh keys, cutting pages short, forgetting to
//! answer. They are never kinder than the real thing, unless a lever says so.
//!
//! ```text
//!   tests, clavigerd dev                     the daemon
//!        │  steer, look                          │  real requests
//!        ▼                                       ▼
//!   Running::{kms, acme, cloudflare, dns}   http: loopback servers ── fault: what befalls a call on its way
//!        │                                       │
//!        └────────────► model: state machines on virtual time ◄── dice: one seed, one story
//!                                │
//!                                ▼
//!                        keep: a folder that survives `kill -9`
//! ```
//!
//! **A model** is plain data and functions. Every call takes `now`, luck comes from a generator inside the model, and
//! the whole of it can be written down and read again. Nothing happens between two calls: each call first lets time do
//! its work. Models know each other only as arguments: the CA and Cloudflare are shown [`Dns`](model::dns::Dns).
//!
//! **A front** (`http`) reads a request, asks the model, writes the model down if a state folder was given, and only
//! then answers. So whoever is killed at any moment finds a world that remembers at least as much as itself.
//!
//! **A fault** ([`fault`]) strikes before a call (refused, nothing done) or after it (done, the answer lost), and
//! hooks run at the same two places: there a test kills its daemon.
//!
//! **Time** is what [`Options::now`] says, also in `Date` headers and certificates. Only [`fault::Fault::Delay`] and
//! the patience of the CA's validator are real time.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use claviger_sim::fault::{Fault, Rule, Service};
//! use claviger_sim::{Options, World};
//!
//! let world = World::start(Options::new(7, || 1_795_521_600_000)).await?;
//! world.faults().add(Rule::once(Service::Acme, "finalize", Fault::AnswerLost));
//! world.acme().steering.stuck = true;
//! // … run the daemon against world.addresses() …
//! assert_eq!(world.acme().counts().orders, 1);
//! assert_eq!(world.calls().of(Service::Acme, "newOrder"), 1);
//! # Ok(())
//! # }
//! ```
//!
//! The guards of [`Running`] are locks: take one, use it, let it go. Two guards of the same model in one expression
//! wait for each other for ever; the order for several is CA or Cloudflare first, DNS last.

pub mod answer;
pub mod dice;
pub mod fault;
mod http;
mod keep;
pub mod model;

pub use crate::http::{Addresses, Calls, Options, Ports, Running, World};

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, also behind a hook or a test that panicked while it held the lock: each model is whole between two calls.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
