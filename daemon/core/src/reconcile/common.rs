//! What all keepers share, and who hears what they decide.

use std::sync::{Arc, Mutex};

use claviger_config::{EnvironmentName, Moment, ObjectName};

use super::{board::Board, world::World};
use crate::{
    domain::{budget::Budgets, plan::Plan, record::Said},
    ports::{Clock, Source},
};

/// What all keepers share.
pub struct Common {
    /// The outside.
    pub world: Arc<dyn World>,
    /// What shall be.
    pub source: Arc<dyn Source>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The limits.
    pub budgets: Mutex<Budgets>,
    /// What subjects tell each other.
    pub board: Mutex<Board>,
    /// Hears every plan once.
    pub listener: Arc<dyn Listener>,
}

/// Hears what passes decide: logs, events and metrics hang on it.
pub trait Listener: Send + Sync {
    /// A subject said something new, or took a step.
    fn hear(&self, told: Told<'_>);
}

/// What a pass decided.
#[derive(Debug)]
pub struct Told<'a> {
    /// The subject.
    pub name: &'a ObjectName,
    /// Its environment.
    pub environment: Option<&'a EnvironmentName>,
    /// The host name, of a custom host name.
    pub hostname: Option<&'a claviger_config::DnsName>,
    /// The plan.
    pub plan: &'a Plan,
    /// What was said before.
    pub before: Option<&'a Said>,
    /// What is said now.
    pub now: &'a Said,
    /// When.
    pub at: Moment,
}
