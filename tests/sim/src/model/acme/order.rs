//! Orders (RFC 8555 sections 7.1.3 and 7.4).

use serde::{Deserialize, Serialize};

use super::Acme;
use super::authorization::{Authorization, AuthorizationStatus};
use super::names::{base, tidy};
use super::problem::{Problem, malformed, nowhere, unauthorized};
use super::steering::Profile;
use crate::model::bytes;

/// What a client asks for.
#[derive(Clone, Debug, Default)]
pub struct NewOrder {
    /// DNS names, perhaps with `*.` in front.
    pub names: Vec<String>,
    /// None for the default one.
    pub profile: Option<String>,
    /// The id (RFC 9773 section 4.1) of the certificate that this one is to replace.
    pub replaces: Option<String>,
}

/// The state of an order (RFC 8555 section 7.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderStatus {
    /// Authorizations are missing.
    Pending,
    /// It may be finalized.
    Ready,
    /// The certificate is being made.
    Processing,
    /// There is a certificate.
    Valid,
    /// Nothing will come of it.
    Invalid,
}

/// An order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Order {
    /// The last part of its URL.
    pub id: String,
    /// The account it belongs to.
    pub account: String,
    /// Sorted, lower case.
    pub names: Vec<String>,
    /// The profile's name, and whether the client named it.
    pub profile: (String, bool),
    /// What it replaces.
    pub replaces: Option<String>,
    /// When it was made.
    pub created: i64,
    /// When it ends.
    pub expires: i64,
    /// Their ids.
    pub authorizations: Vec<String>,
    /// The serial number in hexadecimal.
    pub certificate: Option<String>,
    /// No limit stops it: it replaces a certificate within its renewal window.
    pub exempt: bool,
    #[serde(with = "bytes")]
    pub(super) csr: Vec<u8>,
    pub(super) stage: Stage,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Stage {
    Open,
    /// None: until somebody unsticks it.
    Processing {
        until: Option<i64>,
    },
    Valid,
    Invalid {
        problem: Problem,
    },
}

impl Acme {
    /// Opens an order, or hands out again the one that is open for the same names.
    ///
    /// # Errors
    /// Refused names, an unknown profile, a wrong `replaces`, limits, a pause.
    pub fn new_order(&mut self, now: i64, account: &str, wish: &NewOrder) -> Result<Order, Problem> {
        self.account(account)?;
        let profile = self.profile(wish.profile.as_deref())?.clone();
        let names = tidy(&wish.names, profile.names)?;
        self.reject_names(&names)?;
        self.refuse_paused(account, &names)?;
        let renewal = wish.replaces.as_deref().map(|id| self.check_replaces(now, account, id, &names)).transpose()?;
        // An order that is handed out again costs as much as a fresh one.
        let exempt = renewal.unwrap_or(false);
        self.limit_orders(now, account, &names, exempt)?;
        if let Some(order) = self.open_order_again(now, account, &names, &profile.name) {
            return Ok(order);
        }
        let order = Order { exempt, ..self.fresh_order(now, account, names, &profile, wish) };
        self.orders.insert(order.id.clone(), order.clone());
        self.counts.orders += 1;
        Ok(order)
    }

    /// An order of an account.
    ///
    /// # Errors
    /// There is none, or it is somebody else's.
    pub fn order(&self, account: &str, id: &str) -> Result<&Order, Problem> {
        self.account(account)?;
        // Whoever asks for somebody else's order learns that there is none.
        self.orders.get(id).filter(|order| order.account == account).ok_or_else(|| nowhere("order"))
    }

    /// Where an order stands at a moment.
    pub fn order_status(&self, now: i64, order: &Order) -> OrderStatus {
        match &order.stage {
            Stage::Processing { .. } => OrderStatus::Processing,
            Stage::Valid => OrderStatus::Valid,
            Stage::Invalid { .. } => OrderStatus::Invalid,
            Stage::Open if order.expires <= now => OrderStatus::Invalid,
            Stage::Open => self.open_status(now, order),
        }
    }

    /// Why an order is invalid.
    pub fn order_problem(&self, order: &Order) -> Option<Problem> {
        if let Stage::Invalid { problem } = &order.stage {
            return Some(problem.clone());
        }
        let failed = order.authorizations.iter().filter_map(|id| self.authorizations.get(id));
        let failed: Vec<(String, Problem)> =
            failed.filter_map(|one| Some((one.name.clone(), one.problem()?.clone()))).collect();
        match failed.as_slice() {
            [] => None,
            [(_, only)] => Some(only.clone()),
            [(_, first), ..] => Some(Problem { subproblems: failed.clone(), ..first.clone() }),
        }
    }

    fn open_status(&self, now: i64, order: &Order) -> OrderStatus {
        let status = |id: &String| {
            let one = self.authorizations.get(id);
            one.map_or(AuthorizationStatus::Deactivated, |one| one.status_at(now))
        };
        let states: Vec<_> = order.authorizations.iter().map(status).collect();
        let all = |wanted| states.iter().all(|state| *state == wanted);
        if all(AuthorizationStatus::Valid) {
            OrderStatus::Ready
        } else if states.iter().all(|state| matches!(state, AuthorizationStatus::Valid | AuthorizationStatus::Pending))
        {
            OrderStatus::Pending
        } else {
            OrderStatus::Invalid
        }
    }

    pub(super) fn profile(&self, name: Option<&str>) -> Result<&Profile, Problem> {
        let profiles = &self.steering.profiles;
        let found = name.map_or_else(|| profiles.first(), |name| profiles.iter().find(|profile| profile.name == name));
        let unknown =
            || Problem::new("invalidProfile", format!("Profile {:?} not in the directory", name.unwrap_or_default()));
        found.ok_or_else(unknown)
    }

    fn reject_names(&self, names: &[String]) -> Result<(), Problem> {
        let rejected: Vec<(String, Problem)> =
            names.iter().filter_map(|name| Some((name.clone(), self.steering.reject.get(name)?.clone()))).collect();
        match rejected.as_slice() {
            [] => Ok(()),
            [(_, only)] => Err(only.clone()),
            [(_, first), ..] => Err(Problem { subproblems: rejected.clone(), ..first.clone() }),
        }
    }

    /// May `names` replace that certificate? True when the order then counts as a renewal that no limit stops.
    fn check_replaces(&self, now: i64, account: &str, id: &str, names: &[String]) -> Result<bool, Problem> {
        let certificate = self.certificate_of(id)?.ok_or_else(|| nowhere("certificate to replace"))?;
        if certificate.account != account {
            return Err(unauthorized("requester account did not request the certificate being replaced by this order"));
        }
        if !certificate.names.iter().any(|name| names.contains(name)) {
            return Err(malformed("identifiers in this order do not match any in the certificate being replaced"));
        }
        // An order that is still worked on counts as much as one that is done; only a failed one does not.
        let replaced = self.orders.values().any(|order| {
            order.replaces.as_deref() == Some(id) && self.order_status(now, order) != OrderStatus::Invalid
        });
        if replaced {
            let text = format!(
                "cannot indicate an order replaces certificate with serial {:?}, which already has a replacement order",
                certificate.serial
            );
            return Err(Problem::new("alreadyReplaced", text));
        }
        let window = self.window(now, certificate);
        Ok(window.0 <= now && now <= window.1)
    }

    /// The open order of the same names: looked up without a glance at `replaces`.
    fn open_order_again(&self, now: i64, account: &str, names: &[String], profile: &str) -> Option<Order> {
        let again = |order: &&Order| {
            order.account == account
                && order.names == names
                && order.profile.0 == profile
                && matches!(self.order_status(now, order), OrderStatus::Pending | OrderStatus::Ready)
        };
        self.orders.values().filter(|_| self.steering.reuse_orders).find(again).cloned()
    }

    fn fresh_order(
        &mut self,
        now: i64,
        account: &str,
        names: Vec<String>,
        profile: &Profile,
        wish: &NewOrder,
    ) -> Order {
        let mut authorizations: Vec<String> =
            names.iter().map(|name| self.authorization_for(now, account, name, profile)).collect();
        if self.steering.shuffle {
            self.dice.shuffle(&mut authorizations);
        }
        let ends = |id: &String| self.authorizations.get(id).map_or(now, |one| one.expires);
        let expires = authorizations.iter().map(ends).min().unwrap_or(now).min(now + profile.order);
        Order {
            id: self.fresh_id(),
            account: account.to_owned(),
            names,
            profile: (profile.name.clone(), wish.profile.is_some()),
            replaces: wish.replaces.clone(),
            created: now,
            expires,
            authorizations,
            certificate: None,
            exempt: false,
            csr: Vec::new(),
            stage: Stage::Open,
        }
    }

    fn authorization_for(&mut self, now: i64, account: &str, name: &str, profile: &Profile) -> String {
        let (bare, wildcard) = base(name);
        let again = |one: &&Authorization| {
            one.account == account
                && (one.name.as_str(), one.wildcard) == (bare, wildcard)
                && one.status_at(now) == AuthorizationStatus::Valid
                && one.validated.is_some_and(|at| at + profile.reuse > now)
        };
        if let Some(found) = self.authorizations.values().filter(|_| self.steering.reuse_authorizations).find(again) {
            return found.id.clone();
        }
        let id = self.fresh_id();
        let token = self.dice.word(super::NONCE_LETTERS, 43);
        let mut fresh = Authorization::new(&id, account, bare, wildcard, now + profile.pending, &token);
        if self.steering.shuffle {
            self.dice.shuffle(&mut fresh.challenges);
        }
        self.authorizations.insert(id.clone(), fresh);
        id
    }
}
