//! An ACME CA (RFC 8555, RFC 9773) that behaves as Let's Encrypt does, as far as a client can tell.
//!
//! What it promises: real certificates from a real chain of two roots, two intermediates and cross-signs; the three
//! profiles with their lifetimes; orders, authorizations and challenges whose states move only as the RFC says;
//! pending orders and valid authorizations that are handed out again; `replaces` with all its refusals; renewalInfo;
//! revocation by account and by certificate key, with blocked keys; CAA; rate limits with Let's Encrypt's numbers;
//! dns-01 looked at on every name server. While `unkind` it refuses good nonces, shuffles lists, takes its time to
//! validate and stays `processing`.
//!
//! What it does not do: TLS (it speaks plain HTTP on loopback only), IP addresses, external account binding,
//! tls-alpn-01 and the newer dns challenges, CRLs, OCSP, certificate transparency, redirects in http-01 and the
//! DNS look-up before it (every name is fetched from one given address), the public suffix list (a registered domain
//! is the last two labels), checks against name lists, lists of orders.

mod account;
mod authority;
mod authorization;
mod finalize;
mod jwk;
mod limits;
mod names;
mod order;
mod problem;
mod renewal;
mod revoke;
mod steering;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

pub use self::account::{Account, AccountStatus};
pub use self::authorization::{Authorization, AuthorizationStatus, Challenge, ChallengeStatus, Method, Probe};
pub use self::finalize::Certificate;
pub use self::jwk::Jwk;
pub use self::order::{NewOrder, Order, OrderStatus};
pub use self::problem::Problem;
pub use self::renewal::RenewalInfo;
pub use self::steering::{Advice, Chain, Limits, Profile, Refusal, Steering, Wrong};

pub(crate) use self::problem::malformed;
pub(crate) use self::revoke::Revoker;

use self::authority::Authority;
use self::authorization::Attempt;
use self::order::Stage;
use crate::dice::Dice;
use crate::model::bucket::Bucket;

/// The CA.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Acme {
    /// What may be turned.
    pub steering: Steering,
    dice: Dice,
    authority: Authority,
    accounts: BTreeMap<String, Account>,
    orders: BTreeMap<String, Order>,
    authorizations: BTreeMap<String, Authorization>,
    certificates: BTreeMap<String, Certificate>,
    attempts: Vec<Attempt>,
    blocked_keys: BTreeSet<String>,
    buckets: BTreeMap<String, Bucket>,
    failures_in_a_row: BTreeMap<String, u32>,
    paused: BTreeMap<String, String>,
    counts: Counts,
    forgets_at: i64,
    /// Nonces do not survive a restart, as with Let's Encrypt.
    #[serde(skip)]
    nonces: VecDeque<String>,
    #[serde(skip)]
    probing: BTreeSet<(String, usize)>,
    #[serde(skip)]
    nonce_dice: Option<Dice>,
}

/// What was made since the world began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Accounts made.
    pub accounts: u64,
    /// Orders made; an order that was handed out again counts once.
    pub orders: u64,
    /// Certificates issued.
    pub certificates: u64,
    /// Certificates issued for each set of names (sorted, with a comma between).
    pub by_names: BTreeMap<String, u64>,
}

impl Counts {
    /// Certificates issued for exactly these names.
    pub fn of(&self, names: &[&str]) -> u64 {
        let mut names: Vec<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
        names.sort();
        self.by_names.get(&names.join(",")).copied().unwrap_or(0)
    }
}

impl Acme {
    /// A CA with fresh keys.
    pub fn new(seed: u64, now: i64, unkind: bool) -> Self {
        let mut dice = Dice::new(seed, "acme");
        Self {
            steering: Steering::new(unkind),
            authority: Authority::new(&mut dice, now),
            dice,
            accounts: BTreeMap::new(),
            orders: BTreeMap::new(),
            authorizations: BTreeMap::new(),
            certificates: BTreeMap::new(),
            attempts: Vec::new(),
            blocked_keys: BTreeSet::new(),
            buckets: BTreeMap::new(),
            failures_in_a_row: BTreeMap::new(),
            paused: BTreeMap::new(),
            counts: Counts::default(),
            forgets_at: now + steering::DAY,
            nonces: VecDeque::new(),
            probing: BTreeSet::new(),
            nonce_dice: None,
        }
    }

    /// What was made so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The root certificates as PEM: the usual one, then the one that the alternate chains lead to.
    pub fn roots(&self) -> [String; 2] {
        self.authority.roots()
    }

    /// Every order, oldest numbers not first.
    pub fn orders(&self) -> impl Iterator<Item = &Order> {
        self.orders.values()
    }

    /// Every authorization.
    pub fn authorizations(&self) -> impl Iterator<Item = &Authorization> {
        self.authorizations.values()
    }

    /// Every certificate.
    pub fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        self.certificates.values()
    }

    /// Lets time do its work: processing ends, orders and authorizations expire.
    pub fn advance(&mut self, now: i64) {
        let due = |order: &&Order| matches!(order.stage, Stage::Processing { until: Some(until) } if until <= now);
        let due: Vec<String> = self.orders.values().filter(due).map(|order| order.id.clone()).collect();
        for order in due {
            self.issue(now, &order);
        }
        if self.forgets_at <= now {
            self.forget(now);
        }
    }

    /// What ended a month ago is no longer known, as at any CA that must not grow for ever. Counts stay.
    fn forget(&mut self, now: i64) {
        let lives = |end: i64| end > now - 30 * steering::DAY;
        self.certificates.retain(|_, one| lives(one.not_after));
        self.authorizations.retain(|_, one| lives(one.expires));
        let certificates = &self.certificates;
        self.orders.retain(|_, order| {
            lives(order.expires) || order.certificate.as_ref().is_some_and(|serial| certificates.contains_key(serial))
        });
        self.buckets.retain(|_, bucket| !bucket.is_full(now));
        self.forgets_at = now + steering::DAY;
    }

    /// Lets orders that were stuck in `processing` go on.
    pub fn unstick(&mut self, now: i64) {
        self.steering.stuck = false;
        for order in self.orders.values_mut() {
            if let Stage::Processing { until: until @ None } = &mut order.stage {
                *until = Some(now);
            }
        }
    }

    /// A nonce that is good for one request.
    pub fn nonce(&mut self) -> String {
        let dice = &mut self.dice;
        let nonces = self.nonce_dice.get_or_insert_with(|| Dice::new(dice.draw(), "nonces"));
        let nonce = nonces.word(NONCE_LETTERS, 43);
        self.nonces.push_back(nonce.clone());
        if self.nonces.len() > MOST_NONCES {
            self.nonces.pop_front();
        }
        nonce
    }

    /// Uses a nonce up.
    ///
    /// # Errors
    /// `badNonce` for one that was never given or is used, and for some good ones.
    pub fn spend_nonce(&mut self, nonce: &str) -> Result<(), Problem> {
        let bad = || {
            Problem::new(
                "badNonce",
                format!("Unable to validate JWS :: JWS has an invalid anti-replay nonce: {nonce:?}"),
            )
        };
        let at = self.nonces.iter().position(|known| known == nonce).ok_or_else(bad)?;
        self.nonces.remove(at);
        let refused = self.nonce_dice.as_mut().is_some_and(|dice| dice.hits(self.steering.bad_nonces_per_mille));
        if refused { Err(bad()) } else { Ok(()) }
    }

    fn fresh_id(&mut self) -> String {
        self.dice.word("123456789", 12)
    }
}

const MOST_NONCES: usize = 10_000;
const NONCE_LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#[cfg(test)]
mod tests;
