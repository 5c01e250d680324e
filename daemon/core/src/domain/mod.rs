//! Decides. No async, no clock, no dice, no logger, no vendor.
//!
//! A decision is `plan(view) -> Plan`: the first rule that speaks wins, and the order of the list is the documentation.

pub mod actor;
pub mod budget;
pub mod certificate;
pub mod decide;
pub mod effect;
pub mod environment;
pub mod failure;
#[cfg(test)]
pub(crate) mod given;
pub mod hostname;
pub mod inventory;
pub mod key;
pub mod lot;
pub mod neighbours;
pub mod noun;
pub mod plan;
pub mod record;
pub mod remember;
