//! clavigerd: the daemon around `claviger-core`.
pub mod adapters;
pub mod journal;
