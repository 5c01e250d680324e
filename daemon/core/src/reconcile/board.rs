//! Where subjects of one environment tell each other what they have settled, and who is woken by it.

use std::collections::{BTreeMap, BTreeSet};

use claviger_config::{EnvironmentName, IssuerName, Kind, ObjectName};

use crate::domain::neighbours::{Neighbours, Share};

/// What is known of each environment.
#[derive(Debug, Default)]
pub struct Board {
    environments: BTreeMap<EnvironmentName, Neighbours>,
    orders: BTreeMap<ObjectName, IssuerName>,
    demands: BTreeMap<EnvironmentName, BTreeMap<ObjectName, BTreeSet<IssuerName>>>,
}

/// Which kinds of an environment look again because something changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wakes {
    /// Those who wait for an account.
    Certificates,
    /// Everybody who waits for the wrapping key.
    Everybody,
    /// The environment itself.
    Environment,
}

impl Wakes {
    /// Whether that kind is woken.
    pub const fn wakes(self, kind: Kind) -> bool {
        match self {
            Self::Certificates => matches!(kind, Kind::TlsCertificate),
            Self::Everybody => matches!(kind, Kind::TlsCertificate | Kind::Environment),
            Self::Environment => matches!(kind, Kind::Environment),
        }
    }
}

impl Board {
    /// What is known around a subject of that environment.
    pub fn neighbours(&self, environment: Option<&EnvironmentName>) -> Neighbours {
        environment.and_then(|environment| self.environments.get(environment)).cloned().unwrap_or_default()
    }

    /// The issuer that a certificate's order in flight is at.
    pub fn order_at(&self, certificate: &ObjectName) -> Option<&IssuerName> {
        self.orders.get(certificate)
    }

    /// The thumbprint of an account's key.
    pub fn thumbprint(&self, environment: &EnvironmentName, issuer: &IssuerName) -> Option<&str> {
        self.environments.get(environment)?.accounts.get(issuer).map(|account| account.thumbprint.as_str())
    }

    /// A subject is looked after no longer: what it told and wanted is forgotten.
    pub fn forget(&mut self, environment: &EnvironmentName, name: &ObjectName) {
        self.orders.remove(name);
        let Some(demands) = self.demands.get_mut(environment) else { return };
        if demands.remove(name).is_some()
            && let Some(known) = self.environments.get_mut(environment)
        {
            known.demand = demands.values().flatten().cloned().collect();
        }
    }

    /// Takes in what a subject tells; says who must look again.
    pub fn tell(&mut self, environment: &EnvironmentName, from: &ObjectName, share: Share) -> Option<Wakes> {
        let known = self.environments.entry(environment.clone()).or_default();
        match share {
            Share::Accounts(accounts, refused) => {
                let changed = known.accounts != accounts || known.refused != refused;
                (known.accounts, known.refused) = (accounts, refused);
                changed.then_some(Wakes::Certificates)
            }
            Share::Demand(issuers, order) => {
                let new = !issuers.is_subset(&known.demand);
                match order {
                    Some(issuer) => self.orders.insert(from.clone(), issuer),
                    None => self.orders.remove(from),
                };
                let demands = self.demands.entry(environment.clone()).or_default();
                if demands.insert(from.clone(), issuers.clone()).is_some_and(|before| before != issuers) {
                    known.demand = demands.values().flatten().cloned().collect(); // one certificate may want less than before
                } else {
                    known.demand.extend(issuers);
                }
                new.then_some(Wakes::Environment)
            }
            Share::Key(key) => {
                let changed = known.wrapping.as_ref() != Some(&key);
                known.wrapping = Some(key);
                changed.then_some(Wakes::Everybody)
            }
        }
    }
}
