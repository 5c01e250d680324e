//! What the parts of a running daemon share.

use std::sync::Arc;

use crate::{
    adapters::{clock::Pace, sqlite::SqliteStore},
    drive::Driver,
    fleet::Fleet,
    journal::Journal,
    sight::metrics::Metrics,
    source::Documents,
};

/// What the listeners share.
pub struct Shared {
    /// The time.
    pub clock: Arc<dyn Pace>,
    /// What shall be.
    pub documents: Arc<Documents>,
    /// The scheduler.
    pub driver: Arc<Driver>,
    /// The subjects.
    pub fleet: Arc<Fleet>,
    /// The audit journal.
    pub journal: Arc<Journal>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Memory.
    pub store: Arc<SqliteStore>,
}
