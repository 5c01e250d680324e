//! The words of claviger: what users write and read, and nothing that acts.
//!
//! Settings belong to the machine ([`settings`]), resources to the fleet ([`environment`], [`key`], [`certificate`],
//! [`hostname`]). What claviger says back is made of one closed list of reasons ([`reason`]), of [`condition`]s, and of the views
//! in [`admin`].
//!
//! ```text
//! files ── document::read ──> documents ── judge::judge ──> Desired: what shall be, with refusals
//!                └── findings: every error at once, each with place, code and next step
//! ```
//! [`settle::settle`] does both. Invariants: a bad document keeps its last accepted version; nothing counts as removed while
//! a file cannot be read; of two environments that want the same thing the newcomer is rejected; no finding repeats a secret.
//!
//! No I/O, no async, no clock: the command line depends on this crate alone.

pub mod admin;
pub mod certificate;
pub mod condition;
pub mod crd;
pub mod desired;
pub mod document;
pub mod environment;
pub mod hostname;
pub mod judge;
pub mod key;
pub mod moment;
pub mod name;
pub mod reason;
pub mod settings;
pub mod settle;

pub use certificate::KeyAlgorithm;
pub use moment::{Moment, Span};
pub use name::{DnsName, EnvironmentName, IssuerName, Kind, Name, Namespace, ObjectName};
pub use reason::{Reason, Turn};

/// The API version that every document and every answer carries.
pub const API_VERSION: &str = "claviger.dev/v1alpha1";
