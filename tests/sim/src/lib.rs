//! Simulators.

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
