//! Where certificates go: what is changed, and what lies there.

use claviger_config::{DnsName, Name, certificate::FilesOutlet};
use serde::{Deserialize, Serialize};

use super::{chain::Chain, sealed::Sealed};

/// Changes where certificates go.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum OutletEffect {
    /// Wrap the key that an outlet holds and take the pair over.
    Adopt {
        /// The outlet.
        outlet: OutletTarget,
        /// The names that the certificate must have.
        names: Vec<DnsName>,
    },
    /// Put key and chain there, swapped as one.
    Deliver {
        /// The outlet.
        outlet: OutletTarget,
        /// The key, wrapped.
        key: Sealed,
        /// The chain.
        chain: Chain,
    },
    /// Run the reload hook.
    Reload {
        /// The outlet.
        outlet: OutletTarget,
    },
}

/// An outlet, by its name in the certificate and what it is.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct OutletTarget {
    /// Its name.
    pub name: Name,
    /// Its files.
    pub files: FilesOutlet,
}

/// What an outlet holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum OutletSeen {
    /// Nothing.
    Empty,
    /// A certificate and a key that belong together.
    Pair {
        /// SHA-256 over the leaf certificate, lower hexadecimal.
        fingerprint: String,
    },
    /// Something that is no pair.
    Spoilt,
}

/// How a reload ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ReloadSeen {
    /// In words: status, time-out, the end of what it printed.
    Failed(String),
    /// The command ended with 0.
    Succeeded,
}
