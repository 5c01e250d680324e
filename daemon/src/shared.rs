//! What the parts of a running daemon share.

use std::sync::Arc;

use claviger_core::ports::Store;

use crate::{
    adapters::{
        clock::Pace,
        kubernetes::{Found, Objects},
        sqlite::SqliteStore,
    },
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
    /// Memory: what is kept in the state folder.
    pub store: Arc<SqliteStore>,
    /// The records of the subjects, wherever they are kept.
    pub records: Arc<dyn Store>,
    /// The custom resources, in a cluster.
    pub objects: Option<Arc<Objects>>,
    /// The TLS Secrets of others, in a cluster and where they are looked for.
    pub found: Option<Arc<Found>>,
}
