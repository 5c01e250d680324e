//! Where certificates go: what is changed, and what lies there.

use std::collections::BTreeMap;

use claviger_config::{
    DnsName, Name, Namespace,
    certificate::{FilesOutlet, Keystore},
};
use serde::{Deserialize, Serialize};

use super::{chain::Chain, sealed::Sealed};
use crate::domain::failure::Failure;

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
    /// Where it is.
    #[serde(flatten)]
    pub place: OutletPlace,
}

/// Where an outlet is.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum OutletPlace {
    /// Files in one folder.
    Files(FilesOutlet),
    /// A Kubernetes Secret.
    Secret(Box<SecretTarget>),
}

/// A Kubernetes Secret.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SecretTarget {
    /// Its namespace: the certificate's.
    pub namespace: Namespace,
    /// Its name.
    pub name: Name,
    /// The certificate that it belongs to.
    pub certificate: Name,
    /// Labels that the document asks for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations that the document asks for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Keystores that the document asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keystores: Vec<Keystore>,
}

impl OutletPlace {
    /// Whether both are the same place, with the same around it; what is done after a delivery does not count.
    pub fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Files(one), Self::Files(other)) => (&one.directory, &one.mode) == (&other.directory, &other.mode),
            (one, other) => one == other,
        }
    }

    /// Whether a delivery that worked out may still lack something: a keystore whose password is not there.
    pub const fn may_lack(&self) -> bool {
        match self {
            Self::Files(_) => false,
            Self::Secret(secret) => !secret.keystores.is_empty(),
        }
    }
}

impl OutletTarget {
    /// The hook that is run after a delivery.
    pub const fn reload(&self) -> Option<&Name> {
        match &self.place {
            OutletPlace::Files(files) => files.reload.as_ref(),
            OutletPlace::Secret(_) => None,
        }
    }
}

/// What an outlet holds.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum OutletSeen {
    /// A pair as below, that lacks what belongs around it: labels, annotations or a keystore.
    Bare {
        /// SHA-256 over the leaf certificate, lower hexadecimal.
        fingerprint: String,
    },
    /// Nothing.
    Empty,
    /// A pair as below, that lacks a keystore which cannot be made now, and why: its password is not there.
    Locked {
        /// SHA-256 over the leaf certificate, lower hexadecimal.
        fingerprint: String,
        /// What is missing.
        failure: Box<Failure>,
    },
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
