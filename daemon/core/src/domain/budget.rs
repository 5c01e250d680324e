//! Limits, respected before they are hit.

use std::collections::BTreeMap;

use claviger_config::{
    EnvironmentName, Moment, Span,
    desired::Surroundings,
    environment::{Issuer, Trust},
};
use serde::{Deserialize, Serialize};

/// Budgets.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Class {
    /// New orders.
    AcmeOrders,
    /// Calls to a CA.
    AcmeRequests,
    /// Calls to Cloudflare.
    EdgeCalls,
    /// Certificates that Cloudflare issues.
    EdgeIssuance,
    /// Calls of the class of CreateKey: five a second.
    KmsChanges,
    /// Reads of keys.
    KmsReads,
    /// Symmetric operations.
    KmsSymmetric,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 7] = [
        Self::AcmeOrders,
        Self::AcmeRequests,
        Self::EdgeCalls,
        Self::EdgeIssuance,
        Self::KmsChanges,
        Self::KmsReads,
        Self::KmsSymmetric,
    ];

    /// The word in answers and metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::AcmeOrders => "acme-orders",
            Self::AcmeRequests => "acme-requests",
            Self::EdgeCalls => "edge-calls",
            Self::EdgeIssuance => "edge-issuance",
            Self::KmsChanges => "kms-changes",
            Self::KmsReads => "kms-reads",
            Self::KmsSymmetric => "kms-symmetric",
        }
    }
}

/// A token bucket as one instant (GCRA): whole numbers, one field, and a forecast is a multiplication.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bucket {
    /// One token every so often.
    pub every: Span,
    /// So many at once.
    pub burst: i64,
    /// The instant up to which tokens are spent.
    pub spent_until: Moment,
}

impl Bucket {
    /// A full bucket.
    pub const fn new(every: Span, burst: i64) -> Self {
        Self { every, burst, spent_until: Moment::MIN }
    }

    fn after(&self, tokens: i64, now: Moment) -> Moment {
        self.spent_until.max(now) + self.every.times(tokens)
    }

    /// When the `n`th token from now can be had; not later than `now`: at once.
    pub fn forecast(&self, tokens: i64, now: Moment) -> Moment {
        self.after(tokens, now) - self.every.times(self.burst)
    }
}

/// Every budget of the fleet, by environment: an environment has its own account, role and token.
#[derive(Clone, Debug, Default)]
pub struct Budgets {
    buckets: BTreeMap<(EnvironmentName, Class), Bucket>,
}

impl Budgets {
    /// Takes in an environment, keeping what is spent.
    pub fn know(&mut self, at: &Surroundings) {
        for class in Class::ALL {
            let fresh = bucket(class, at);
            self.buckets
                .entry((at.name.clone(), class))
                .and_modify(|bucket| (bucket.every, bucket.burst) = (fresh.every, fresh.burst))
                .or_insert(fresh);
        }
    }

    /// When this budget next gives a token.
    pub fn opens(&self, at: &EnvironmentName, class: Class, now: Moment) -> Moment {
        self.buckets.get(&(at.clone(), class)).map_or(now, |bucket| bucket.forecast(1, now))
    }

    /// When this budget will have given so many tokens from now on.
    pub fn forecast(&self, at: &EnvironmentName, class: Class, tokens: i64, now: Moment) -> Moment {
        self.buckets.get(&(at.clone(), class)).map_or(now, |bucket| bucket.forecast(tokens, now).max(now))
    }

    /// Takes one token of each class, or none and says which is empty.
    ///
    /// # Errors
    /// The first class that has no token now.
    pub fn take(&mut self, at: &EnvironmentName, classes: &[Class], now: Moment) -> Result<(), Class> {
        if let Some(class) = classes.iter().find(|class| self.opens(at, **class, now) > now) {
            return Err(*class);
        }
        for class in classes {
            if let Some(bucket) = self.buckets.get_mut(&(at.clone(), *class)) {
                bucket.spent_until = bucket.after(1, now);
            }
        }
        Ok(())
    }

    /// Closes the gate for everybody until then: the far side said so.
    pub fn shut(&mut self, at: &EnvironmentName, class: Class, until: Moment) {
        if let Some(bucket) = self.buckets.get_mut(&(at.clone(), class)) {
            bucket.spent_until = bucket.spent_until.max(until + bucket.every.times(bucket.burst - 1));
        }
    }

    /// Every bucket, for metrics and forecasts.
    pub fn iter(&self) -> impl Iterator<Item = (&EnvironmentName, Class, &Bucket)> {
        self.buckets.iter().map(|((environment, class), bucket)| (environment, *class, bucket))
    }
}

/// Four fifths of each published limit, so that people's own calls still fit. A CA that publishes none is asked as fast as it
/// answers: it says itself when that is too fast, and the budget is shut then.
///
/// Let's Encrypt: 300 orders per account in 3 hours (<https://letsencrypt.org/docs/rate-limits/>). Cloudflare: 1,200 calls per
/// five minutes (<https://developers.cloudflare.com/fundamentals/api/reference/limits/>). AWS KMS: 5 CreateKey a second and so on
/// (<https://docs.aws.amazon.com/kms/latest/developerguide/requests-per-second.html>).
fn bucket(class: Class, at: &Surroundings) -> Bucket {
    let per_minute = at.spec.edge.as_ref().map_or(15, |edge| i64::from(edge.cloudflare.issuance_per_minute)).max(1);
    match class {
        Class::AcmeOrders | Class::AcmeRequests if !at.spec.issuers.iter().any(publishes_limits) => {
            Bucket::new(Span(1), 10_000)
        }
        Class::AcmeOrders => Bucket::new(Span::seconds(45), 240),
        Class::AcmeRequests => Bucket::new(Span(20), 100),
        Class::EdgeCalls => Bucket::new(Span(400), 200),
        Class::EdgeIssuance => {
            let burst = (per_minute / 3).max(1);
            Bucket::new(Span(60_000 / (per_minute - burst).max(1)), burst)
        }
        Class::KmsChanges => Bucket::new(Span(250), 4),
        Class::KmsReads => Bucket::new(Span(2), 100),
        Class::KmsSymmetric => Bucket::new(Span(1), 1_000),
    }
}

/// Every public CA has limits like those of Let's Encrypt, whose staging is one more of its own.
fn publishes_limits(issuer: &Issuer) -> bool {
    let acme = issuer.acme.as_ref();
    acme.is_some_and(|acme| issuer.trust == Trust::Public || acme.directory.contains(".letsencrypt.org/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::given::{NOW, surroundings};

    fn known() -> (Budgets, EnvironmentName) {
        let (mut budgets, at) = (Budgets::default(), surroundings());
        budgets.know(&at);
        (budgets, at.name)
    }

    /// How many tokens are given between two instants, taken as soon as possible.
    fn given(budgets: &mut Budgets, at: &EnvironmentName, class: Class, from: Moment, to: Moment) -> i64 {
        let (mut now, mut taken) = (from, 0);
        while now < to {
            if budgets.take(at, &[class], now).is_ok() {
                taken += 1;
            } else {
                now = budgets.opens(at, class, now);
            }
        }
        taken
    }

    #[test]
    fn a_bucket_gives_its_burst_at_once_and_then_one_by_one() {
        let bucket = Bucket { spent_until: NOW, ..Bucket::new(Span::seconds(10), 3) };
        assert!(bucket.forecast(3, NOW) <= NOW);
        assert_eq!(bucket.forecast(4, NOW), NOW + Span::seconds(10));
        assert_eq!(bucket.forecast(103, NOW), NOW + Span::seconds(1_000));
    }

    #[test]
    fn published_limits_are_kept_in_every_window() {
        let hours = |n| NOW + Span::hours(n);
        let (mut budgets, at) = known();
        assert!(given(&mut budgets, &at, Class::AcmeOrders, NOW, hours(3)) <= 240 + 240);
        assert!(given(&mut budgets, &at, Class::AcmeOrders, hours(3), hours(6)) <= 300);
        assert!(given(&mut budgets, &at, Class::EdgeCalls, NOW, NOW + Span::minutes(5)) <= 1_200 * 4 / 5);
        assert!(given(&mut budgets, &at, Class::EdgeIssuance, NOW, NOW + Span::minutes(1)) <= 15);
    }

    #[test]
    fn it_takes_of_every_class_or_of_none() {
        let (mut budgets, at) = known();
        let both = [Class::KmsChanges, Class::KmsReads];
        while budgets.take(&at, &[Class::KmsChanges], NOW).is_ok() {}
        let before = budgets.opens(&at, Class::KmsReads, NOW);
        assert_eq!(budgets.take(&at, &both, NOW), Err(Class::KmsChanges));
        assert_eq!(budgets.opens(&at, Class::KmsReads, NOW), before);
    }

    #[test]
    fn a_shut_budget_opens_when_the_far_side_said() {
        let (mut budgets, at) = known();
        let until = NOW + Span::hours(5);
        budgets.shut(&at, Class::AcmeOrders, until);
        assert_eq!(budgets.opens(&at, Class::AcmeOrders, NOW), until);
        assert_eq!(budgets.take(&at, &[Class::AcmeOrders], NOW), Err(Class::AcmeOrders));
        assert!(budgets.take(&at, &[Class::AcmeOrders], until).is_ok());
        budgets.shut(&at, Class::AcmeOrders, NOW);
        assert!(budgets.opens(&at, Class::AcmeOrders, NOW) >= until, "an earlier instant opens nothing");
    }

    #[test]
    fn a_changed_document_changes_the_pace_and_keeps_what_is_spent() {
        let (mut budgets, at) = known();
        while budgets.take(&at, &[Class::EdgeIssuance], NOW).is_ok() {}
        let mut faster = surroundings();
        faster.spec.edge.as_mut().unwrap().cloudflare.issuance_per_minute = 600;
        budgets.know(&faster);
        let minute = NOW + Span::minutes(1);
        assert!((300..=600).contains(&given(&mut budgets, &at, Class::EdgeIssuance, NOW, minute)));
    }

    #[test]
    fn environments_do_not_pay_for_each_other() {
        let (mut budgets, at) = known();
        let mut other = surroundings();
        other.name = "other".parse().unwrap();
        budgets.know(&other);
        while budgets.take(&at, &[Class::KmsChanges], NOW).is_ok() {}
        assert!(budgets.take(&other.name, &[Class::KmsChanges], NOW).is_ok());
        assert_eq!(budgets.iter().count(), 2 * Class::ALL.len());
    }

    #[test]
    fn the_slowest_account_still_gets_one_a_minute() {
        let mut slow = surroundings();
        slow.spec.edge.as_mut().unwrap().cloudflare.issuance_per_minute = 1;
        let mut budgets = Budgets::default();
        budgets.know(&slow);
        assert_eq!(given(&mut budgets, &slow.name, Class::EdgeIssuance, NOW, NOW + Span::minutes(10)), 10);
    }

    #[test]
    fn a_ca_that_publishes_no_limits_is_not_slowed_down() {
        let hour = Span::hours(1);
        let orders = |directory: &str, trust: Trust| {
            let mut at = surroundings();
            at.spec.issuers.truncate(1);
            at.spec.issuers[0].trust = trust;
            at.spec.issuers[0].acme.iter_mut().for_each(|acme| acme.directory = directory.to_owned());
            let mut budgets = Budgets::default();
            budgets.know(&at);
            budgets.forecast(&at.name, Class::AcmeOrders, 5_000, NOW) > NOW + hour
        };
        assert!(!orders("https://127.0.0.1:14000/dir", Trust::Test));
        assert!(orders("https://acme-staging-v02.api.letsencrypt.org/directory", Trust::Test));
        assert!(orders("https://acme.example.com/dir", Trust::Public));
    }
}
