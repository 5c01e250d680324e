//! A call, as its failure tells of it.

use claviger_config::Moment;

use super::{operation::Operation, place::Place};

/// The call that failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    /// Which.
    pub(super) operation: Operation,
    /// Where.
    pub(super) place: &'a Place,
    /// By whom, as the document says it.
    pub(super) identity: &'a str,
    /// On which key or alias; empty where it is on none.
    pub(super) resource: &'a str,
    /// Now.
    pub(super) now: Moment,
    /// A lot, so that not everybody comes back at once.
    pub(super) draw: u64,
}
