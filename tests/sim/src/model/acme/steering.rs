//! What a test or `clavigerd dev` may turn.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::problem::Problem;
use crate::model::bucket::Rate;

/// All levers of the CA.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Steering {
    /// How many of 1,000 good nonces are refused.
    pub bad_nonces_per_mille: u16,
    /// The longest time between "the challenge is ready" and its validation.
    pub validation_millis: i64,
    /// The longest time that an order stays `processing`.
    pub processing_millis: i64,
    /// Orders that are finalized now stay `processing` until [`Acme::unstick`](super::Acme::unstick).
    pub stuck: bool,
    /// Give back a pending or ready order of the same account, names and profile, as Let's Encrypt does.
    pub reuse_orders: bool,
    /// Take valid authorizations into new orders.
    pub reuse_authorizations: bool,
    /// `Retry-After` of orders and authorizations that are not done yet, in seconds.
    pub poll_seconds: Option<i64>,
    /// Put lists into any order and use any of the intermediates.
    pub shuffle: bool,
    /// Offer a kind of challenge that hardly anybody knows, without a token.
    pub strange_challenges: bool,
    /// Requests without `User-Agent` are refused.
    pub need_user_agent: bool,
    /// The profiles, the default one first.
    pub profiles: Vec<Profile>,
    /// Rate limits; None counts nothing.
    pub limits: Option<Limits>,
    /// Say `Retry-After` of a rate limit as a date.
    pub retry_after_as_date: bool,
    /// Challenges for these names fail with this problem.
    pub refuse: BTreeMap<String, Refusal>,
    /// New orders with these names are refused with this problem.
    pub reject: BTreeMap<String, Problem>,
    /// What is wrong with the next certificates, one after the other.
    pub next_certificates: Vec<Wrong>,
    /// What comes along with a certificate.
    pub chain: Chain,
    /// What renewalInfo says, by serial number in hexadecimal; `*` is for all.
    pub renewal_info: BTreeMap<String, Advice>,
    /// Is renewalInfo in the directory?
    pub offer_renewal_info: bool,
    /// Does an order show the `replaces` that it was made with?
    pub echo_replaces: bool,
    /// The name that CAA records know the CA by.
    pub caa_identity: String,
}

impl Steering {
    /// How a fresh world begins.
    pub fn new(unkind: bool) -> Self {
        Self {
            bad_nonces_per_mille: if unkind { 50 } else { 0 },
            validation_millis: if unkind { 500 } else { 0 },
            processing_millis: if unkind { 1_500 } else { 0 },
            stuck: false,
            reuse_orders: true,
            reuse_authorizations: true,
            poll_seconds: unkind.then_some(3),
            shuffle: unkind,
            strange_challenges: unkind,
            need_user_agent: true,
            profiles: Profile::lets_encrypt(),
            limits: unkind.then(Limits::lets_encrypt),
            retry_after_as_date: false,
            refuse: BTreeMap::new(),
            reject: BTreeMap::new(),
            next_certificates: Vec::new(),
            chain: Chain::Usual,
            renewal_info: BTreeMap::new(),
            offer_renewal_info: true,
            echo_replaces: true,
            caa_identity: "letsencrypt.org".into(),
        }
    }
}

/// A certificate profile. All times in milliseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Profile {
    /// What an order names.
    pub name: String,
    /// Where it is described.
    pub url: String,
    /// Lifetime of a certificate.
    pub validity: i64,
    /// How long an authorization may stay pending.
    pub pending: i64,
    /// How long a valid authorization may be used again.
    pub reuse: i64,
    /// How long an order stays open.
    pub order: i64,
    /// How many names a certificate may have.
    pub names: usize,
}

impl Profile {
    /// The three profiles of Let's Encrypt (2026-07).
    pub fn lets_encrypt() -> Vec<Self> {
        let profile = |name: &str, validity, pending, reuse, order, names| Self {
            name: name.into(),
            url: format!("https://letsencrypt.org/docs/profiles#{name}"),
            validity,
            pending,
            reuse,
            order,
            names,
        };
        vec![
            profile("classic", 90 * DAY, 7 * DAY, 30 * DAY, 7 * DAY, 100),
            profile("tlsserver", 45 * DAY, HOUR, 7 * HOUR, 8 * HOUR, 25),
            profile("shortlived", 160 * HOUR, HOUR, 7 * HOUR, 8 * HOUR, 25),
        ]
    }
}

/// Rate limits.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Limits {
    /// New accounts of one address. All callers share the loopback address.
    pub accounts: Rate,
    /// New orders of one account.
    pub orders: Rate,
    /// Certificates of one registered domain, over all accounts.
    pub domain: Rate,
    /// Certificates of exactly the same names, over all accounts.
    pub same_names: Rate,
    /// Failed authorizations of one name and account.
    pub failures: Rate,
    /// Failures in a row until a name is paused for an account.
    pub pause_after: u32,
}

impl Limits {
    /// Let's Encrypt, production (2026-08).
    pub fn lets_encrypt() -> Self {
        Self {
            accounts: Rate::per(10, 3 * HOUR),
            orders: Rate::per(300, 3 * HOUR),
            domain: Rate::per(50, 7 * DAY),
            same_names: Rate::per(5, 7 * DAY),
            failures: Rate::per(5, HOUR),
            pause_after: 1_152,
        }
    }
}

/// How challenges of a name fail.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Refusal {
    /// With what.
    pub problem: Problem,
    /// How often; None for ever.
    pub times: Option<u32>,
}

/// What is wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wrong {
    /// It has ended already.
    Expired,
    /// Nothing is wrong: a place holder.
    Nothing,
    /// It begins in a day.
    NotYetValid,
    /// It is for a key that nobody has.
    OtherKey,
    /// It is for another name.
    OtherNames,
}

/// What comes along with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Chain {
    /// Nothing: the issuer is missing.
    LeafOnly,
    /// The intermediate before the leaf.
    Reversed,
    /// The intermediate.
    Usual,
    /// The intermediate and the root.
    WithRoot,
}

/// What renewalInfo says instead of the truth.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Advice {
    /// This status and body.
    Raw {
        /// HTTP status.
        status: u16,
        /// The body, which need not be JSON.
        body: String,
        /// `Retry-After` in seconds.
        retry_after: Option<i64>,
    },
    /// This window.
    Window {
        /// Milliseconds since 1970.
        start: i64,
        /// Milliseconds since 1970; may lie before the start.
        end: i64,
        /// Where the reason can be read.
        explanation: Option<String>,
        /// `Retry-After` in seconds.
        retry_after: Option<i64>,
    },
}

pub(super) const HOUR: i64 = 3_600_000;
pub(super) const DAY: i64 = 24 * HOUR;
