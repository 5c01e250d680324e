//! Where wrapped account keys are kept.

use claviger_config::IssuerName;
use serde::{Deserialize, Serialize};

use super::sealed::Sealed;

/// Changes where wrapped account keys are kept beside the records, so that a lost record costs no account.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum VaultEffect {
    /// Keep a wrapped account key.
    Keep {
        /// The issuer.
        issuer: IssuerName,
        /// The key, wrapped.
        key: Sealed,
    },
}
