//! Where subjects of one environment tell each other what they have settled, and who is woken by it.

use std::collections::{BTreeMap, BTreeSet};

use claviger_config::{EnvironmentName, IssuerName, Kind, ObjectName};

use crate::domain::neighbours::{Neighbours, Share};

/// What is known of each environment.
#[derive(Debug, Default)]
pub struct Board {
    environments: BTreeMap<EnvironmentName, Neighbours>,
    orders: BTreeMap<ObjectName, IssuerName>,
    demands: BTreeMap<EnvironmentName, Demands>,
}

/// Who wants which issuers, and how many want each: a fleet may change its mind at once.
#[derive(Debug, Default)]
struct Demands {
    wanted: BTreeMap<ObjectName, BTreeSet<IssuerName>>,
    counts: BTreeMap<IssuerName, usize>,
}

impl Demands {
    /// From now on somebody wants these.
    fn put(&mut self, from: &ObjectName, issuers: BTreeSet<IssuerName>) {
        for issuer in &issuers {
            *self.counts.entry(issuer.clone()).or_default() += 1;
        }
        let before =
            if issuers.is_empty() { self.wanted.remove(from) } else { self.wanted.insert(from.clone(), issuers) };
        for issuer in before.into_iter().flatten() {
            if let Some(count) = self.counts.get_mut(&issuer) {
                *count -= 1;
            }
        }
        self.counts.retain(|_, count| *count > 0);
    }

    fn all(&self) -> BTreeSet<IssuerName> {
        self.counts.keys().cloned().collect()
    }
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
        demands.put(name, BTreeSet::new());
        if let Some(known) = self.environments.get_mut(environment) {
            known.demand = demands.all();
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
                demands.put(from, issuers);
                known.demand = demands.all();
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

#[cfg(test)]
mod tests {
    use claviger_config::Reason;

    use super::*;
    use crate::domain::given::{ARN, account};

    fn staging() -> EnvironmentName {
        "staging".parse().unwrap()
    }

    fn certificate(name: &str) -> ObjectName {
        ObjectName { kind: Kind::TlsCertificate, namespace: None, name: name.parse().unwrap() }
    }

    fn issuers(names: &[&str]) -> BTreeSet<IssuerName> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    fn demand(board: &mut Board, from: &str, names: &[&str]) -> Option<Wakes> {
        board.tell(&staging(), &certificate(from), Share::Demand(issuers(names), None))
    }

    #[test]
    fn a_key_that_can_be_used_now_wakes_everybody_once() {
        let (mut board, key) = (Board::default(), certificate("wrapping"));
        let tell = |board: &mut Board, key_seen| board.tell(&staging(), &key, Share::Key(key_seen));
        assert_eq!(tell(&mut board, Err(Reason::NotObserved)), Some(Wakes::Everybody));
        assert_eq!(tell(&mut board, Ok(ARN.to_owned())), Some(Wakes::Everybody));
        assert_eq!(tell(&mut board, Ok(ARN.to_owned())), None);
        assert_eq!(board.neighbours(Some(&staging())).wrapping_key(), Some(ARN));
        assert_eq!(board.neighbours(None).wrapping_key(), None);
    }

    #[test]
    fn a_wish_that_is_new_wakes_the_environment_and_goes_with_the_last_who_had_it() {
        let mut board = Board::default();
        assert_eq!(demand(&mut board, "a", &["first"]), Some(Wakes::Environment));
        assert_eq!(demand(&mut board, "b", &["first", "second"]), Some(Wakes::Environment));
        assert_eq!(demand(&mut board, "b", &["first"]), None);
        assert_eq!(board.neighbours(Some(&staging())).demand, issuers(&["first"]));
        board.forget(&staging(), &certificate("a"));
        assert_eq!(board.neighbours(Some(&staging())).demand, issuers(&["first"]));
        board.forget(&staging(), &certificate("b"));
        assert!(board.neighbours(Some(&staging())).demand.is_empty());
    }

    #[test]
    fn a_new_account_wakes_certificates_and_its_thumbprint_answers_for_it() {
        let (mut board, from) = (Board::default(), certificate("staging"));
        let accounts = || Share::Accounts([("first".parse().unwrap(), account("first"))].into(), BTreeMap::new());
        assert_eq!(board.tell(&staging(), &from, accounts()), Some(Wakes::Certificates));
        assert_eq!(board.tell(&staging(), &from, accounts()), None);
        assert_eq!(board.thumbprint(&staging(), &"first".parse().unwrap()), Some("thumbprint"));
    }

    #[test]
    fn it_is_known_where_an_order_in_flight_is() {
        let (mut board, web) = (Board::default(), certificate("web"));
        let mut tell = |order: Option<&str>| {
            let order = order.map(|order| order.parse().unwrap());
            board.tell(&staging(), &web, Share::Demand(issuers(&["first"]), order));
            board.order_at(&web).map(ToString::to_string)
        };
        assert_eq!(tell(Some("first")).as_deref(), Some("first"));
        assert_eq!(tell(None), None);
    }

    #[test]
    fn each_wakes_those_who_wait_for_it() {
        let woken = |wakes: Wakes| Kind::ALL.into_iter().filter(move |kind| wakes.wakes(*kind)).collect::<Vec<_>>();
        assert_eq!(woken(Wakes::Certificates), [Kind::TlsCertificate]);
        assert_eq!(woken(Wakes::Environment), [Kind::Environment]);
        assert_eq!(woken(Wakes::Everybody), [Kind::Environment, Kind::TlsCertificate]);
    }
}
