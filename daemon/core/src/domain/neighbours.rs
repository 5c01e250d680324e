//! What other subjects of the same environment have settled, as a pass sees it.

use std::collections::{BTreeMap, BTreeSet};

use claviger_config::{IssuerName, Reason};

use super::effect::Account;

/// What is known of an environment beside the subject itself.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Neighbours {
    /// The wrapping key's ARN once it may be used; else why not.
    pub wrapping: Option<Result<String, Reason>>,
    /// The accounts that are registered.
    pub accounts: BTreeMap<IssuerName, Account>,
    /// The issuers whose account cannot be had, and why.
    pub refused: BTreeMap<IssuerName, (Reason, String)>,
    /// The issuers that certificates wait for.
    pub demand: BTreeSet<IssuerName>,
}

impl Neighbours {
    /// The wrapping key's ARN, when it may be used.
    pub fn wrapping_key(&self) -> Option<&str> {
        self.wrapping.as_ref()?.as_deref().ok()
    }
}

/// What a subject tells its neighbours.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Share {
    /// The accounts of the environment.
    Accounts(BTreeMap<IssuerName, Account>, BTreeMap<IssuerName, (Reason, String)>),
    /// The issuers that a certificate wants, and the one that its order in flight is at.
    Demand(BTreeSet<IssuerName>, Option<IssuerName>),
    /// A key of the environment: usable by its ARN, or why not.
    Key(Result<String, Reason>),
}
