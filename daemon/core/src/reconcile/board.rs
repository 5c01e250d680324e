//! Where subjects of one environment tell each other what they have settled, and who is woken by it.

use std::collections::BTreeMap;

use claviger_config::{EnvironmentName, IssuerName, Kind, ObjectName};

use crate::domain::neighbours::{Neighbours, Share};

/// What is known of each environment.
#[derive(Debug, Default)]
pub struct Board {
    environments: BTreeMap<EnvironmentName, Neighbours>,
    orders: BTreeMap<ObjectName, IssuerName>,
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
                known.demand.extend(issuers);
                match order {
                    Some(issuer) => self.orders.insert(from.clone(), issuer),
                    None => self.orders.remove(from),
                };
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
