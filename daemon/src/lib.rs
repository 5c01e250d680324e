//! clavigerd: the daemon around `claviger-core`.
//!
//! [`app`] wires everything; [`drive`] runs the agenda; [`adapters`] play the ports, a folder for each product; [`layers`] lie around
//! the outside; [`admin`] answers people and the product's backend; [`sight`] is what one sees. `dev` is the same app beside
//! simulators.

pub mod adapters;
pub mod admin;
pub mod app;
pub mod args;
pub mod commands;
#[cfg(feature = "dev")]
pub mod dev;
pub mod drive;
pub mod fleet;
pub mod inventory;
pub mod journal;
pub mod layers;
pub mod ledger;
pub mod origin;
pub mod passwords;
pub mod serve;
pub mod shared;
pub mod sight;
pub mod source;
pub mod start;
mod terminal;
pub mod wiring;

/// The release.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The revision that it was built from, where whoever builds it says so in `CLAVIGER_REVISION`.
pub const REVISION: &str = match option_env!("CLAVIGER_REVISION") {
    Some(revision) => revision,
    None => "",
};
