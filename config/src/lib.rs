//! The words of claviger: what users write and read, and nothing that acts.
//!
//! Settings belong to the machine ([`settings`]), resources to the fleet ([`environment`], [`key`], [`certificate`],
//! [`hostname`]). A document becomes a [`Wanted`](desired::Wanted) once it has been read and judged. What claviger says back is
//! made of one closed list of reasons ([`reason`]), of [`condition`]s, and of the views in [`admin`].
//!
//! No I/O, no async, no clock: the command line depends on this crate alone.

pub mod admin;
pub mod certificate;
pub mod condition;
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

pub use certificate::KeyAlgorithm;
pub use moment::{Moment, Span};
pub use name::{DnsName, EnvironmentName, IssuerName, Kind, Name, Namespace, ObjectName};
pub use reason::{Reason, Turn};

/// The API version that every document and every answer carries.
pub const API_VERSION: &str = "claviger.dev/v1alpha1";
