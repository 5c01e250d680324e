//! Steers. Async, but without runtime, vendor or sleep. One pass for all kinds.

pub mod agenda;
mod asks;
pub mod board;
mod common;
mod kept;
pub mod outside;
pub mod pass;
mod resting;
mod sight;
mod take;
pub mod world;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A lock that a panic elsewhere does not spoil: what it guards is replaced whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
