//! From "there is none, or not the right one" to a verified certificate.

use std::collections::BTreeSet;

use claviger_config::{DnsName, IssuerName, Moment, Reason, Span, certificate::IssuerChoice, environment::Issuer};

use super::{Former, Order, S, V, delivery, renewal};
use crate::domain::{
    effect::{AcmeEffect, Chain, Effect, Issued, KeyUse, KmsEffect, Opened, OrderSeen, Query, Stage, Terms},
    failure::Failure,
    plan::{Plan, Step},
};

/// An order that fits the document is carried to its end before anything else is begun.
pub(super) fn order_in_flight(view: &V<'_>) -> Option<Plan> {
    let (memory, facts) = (&view.seen.record.memory, &view.seen.facts);
    let order = memory.order.as_ref().filter(|order| fits(view, order))?;
    let key = memory.next_key.as_ref().filter(|key| key.algorithm == view.spec.key.algorithm)?;
    let (issuer, url) = (order.issuer.clone(), order.url.clone());
    if !view.neighbours.accounts.contains_key(&issuer) {
        return Some(account_pending(view, &issuer));
    }
    let later = facts.ask_again.filter(|at| view.now < *at);
    Some(match (&facts.stage, later) {
        (Some(Stage::Pending { unanswered }), _) if *unanswered > 0 => {
            Plan::act(Effect::Acme(AcmeEffect::Answer { issuer, order: url }), order.cause)
        }
        (Some(Stage::Ready), later) if later.is_none() || facts.unmoved == 0 => {
            if view.neighbours.wrapping_key().is_none() {
                return Some(wrapping_key_pending(view)); // the key must be opened for it
            }
            let names = order.names.clone();
            let finalize = AcmeEffect::Finalize { issuer, order: url, names, key: key.key.clone() };
            Plan::act(Effect::Acme(finalize), order.cause)
        }
        (Some(Stage::Valid), _) => {
            let (names, spki_sha256) = (order.names.clone(), key.spki_sha256.clone());
            Plan::look(Query::Certificate { issuer, order: url, names, spki_sha256 }, order.cause)
        }
        (_, Some(later)) => Plan::rest(Some(later), Reason::ProvingControl),
        (_, None) => Plan::look(Query::Order { issuer, order: url }, order.cause),
    })
}

pub(super) fn missing(view: &V<'_>) -> Option<Plan> {
    view.seen.record.memory.issued.is_none().then(|| issue(view, Reason::Missing))
}

pub(super) fn expired(view: &V<'_>) -> Option<Plan> {
    let issued = view.seen.record.memory.issued.as_ref()?;
    (issued.chain.not_after <= view.now).then(|| issue(view, Reason::Expired))
}

pub(super) fn names_changed(view: &V<'_>) -> Option<Plan> {
    let issued = view.seen.record.memory.issued.as_ref()?;
    (!same_names(&issued.chain.names, &view.spec.dns_names)).then(|| issue(view, Reason::NamesChanged))
}

pub(super) fn key_algorithm_changed(view: &V<'_>) -> Option<Plan> {
    let issued = view.seen.record.memory.issued.as_ref()?;
    (issued.key.algorithm != view.spec.key.algorithm).then(|| issue(view, Reason::KeyAlgorithmChanged))
}

/// Only when the issuer in service is no longer among those asked for: a failover is no change.
pub(super) fn issuer_changed(view: &V<'_>) -> Option<Plan> {
    let issued = view.seen.record.memory.issued.as_ref()?;
    let from = issued.issuer.as_ref()?;
    let asked = |choice: &IssuerChoice| choice.name == *from && choice.profile == issued.profile;
    (!choices(view).iter().any(asked)).then(|| issue(view, Reason::IssuerChanged))
}

pub(super) fn requested(view: &V<'_>) -> Option<Plan> {
    view.seen.record.ask.is_some().then(|| issue(view, Reason::Requested))
}

/// Whether two lists hold the same names, in any order.
pub(super) fn same_names(one: &[DnsName], other: &[DnsName]) -> bool {
    one.iter().collect::<BTreeSet<_>>() == other.iter().collect::<BTreeSet<_>>()
}

/// The issuers that the document asks for, in order.
pub(super) fn choices<'a>(view: &V<'a>) -> &'a [IssuerChoice] {
    if !view.spec.issuers.is_empty() {
        return &view.spec.issuers;
    }
    view.wanted.environment.as_ref().map_or(&[], |at| at.spec.default_issuers.as_slice())
}

/// The same, by name.
pub(super) fn issuer_names(view: &V<'_>) -> BTreeSet<IssuerName> {
    acme_choices(view).into_iter().map(|choice| choice.name.clone()).collect()
}

fn acme_choices<'a>(view: &V<'a>) -> Vec<&'a IssuerChoice> {
    let issuers: &[Issuer] = view.wanted.environment.as_ref().map_or(&[], |at| at.spec.issuers.as_slice());
    let speaks_acme = |choice: &&IssuerChoice| issuers.iter().any(|i| i.name == choice.name && i.acme.is_some());
    choices(view).iter().filter(speaks_acme).collect()
}

/// The issuer whose turn it is: after three failures in a row the next one is tried, and one whose account cannot be had is
/// passed over as long as there is another.
pub(super) fn choice<'a>(view: &V<'a>) -> Option<&'a IssuerChoice> {
    let usable = acme_choices(view);
    let turn = view.seen.record.memory.refusals as usize / 3;
    let in_turn = || (0..usable.len()).filter_map(|next| usable.get((turn + next) % usable.len()).copied());
    let open = |choice: &&IssuerChoice| !view.neighbours.refused.contains_key(&choice.name);
    in_turn().find(open).or_else(|| in_turn().next())
}

pub(super) fn issue(view: &V<'_>, cause: Reason) -> Plan {
    let Some(choice) = choice(view) else {
        return Plan::rest(Some(delivery::look_again(view)), Reason::IssuerMissing)
            .saying("neither the certificate nor its environment names an issuer that can be used")
            .fix("name an ACME issuer in `spec.issuers`, or in `defaultIssuers` of the environment");
    };
    if let Some(waiting) = waiting(view, choice) {
        return waiting;
    }
    let (memory, algorithm) = (&view.seen.record.memory, view.spec.key.algorithm);
    if memory.next_key.as_ref().is_none_or(|key| key.algorithm != algorithm) {
        return Plan::act(Effect::Kms(KmsEffect::SealNewKey { algorithm, r#use: KeyUse::Certificate }), cause);
    }
    // RFC 9773 section 5: the same CA and at least one name in common.
    let names = &view.spec.dns_names;
    let replaced = |issued: &&Issued| {
        issued.issuer.as_ref() == Some(&choice.name) && issued.chain.names.iter().any(|name| names.contains(name))
    };
    let replaces = memory.issued.as_ref().filter(replaced).and_then(|issued| issued.chain.renewal_id.clone());
    let order = AcmeEffect::OpenOrder {
        issuer: choice.name.clone(),
        names: names.clone(),
        profile: choice.profile.clone(),
        replaces,
    };
    Plan::act(Effect::Acme(order), cause)
}

/// What an issuance does, when all goes well.
pub(super) const WAY: &[Terms] =
    &[Terms::SEAL_NEW_KEY, Terms::OPEN_ORDER, Terms::ANSWER, Terms::FINALIZE, Terms::DELIVER];

/// What must be there first: the wrapping key, and an account.
fn waiting(view: &V<'_>, choice: &IssuerChoice) -> Option<Plan> {
    if view.neighbours.wrapping_key().is_none() {
        return Some(wrapping_key_pending(view));
    }
    (!view.neighbours.accounts.contains_key(&choice.name)).then(|| account_pending(view, &choice.name))
}

/// Why nothing can be wrapped yet. The key wakes its neighbours when that changes.
pub(super) fn wrapping_key_pending(view: &V<'_>) -> Plan {
    let why = view.neighbours.wrapping.as_ref().and_then(|wrapping| wrapping.as_ref().err());
    let plan = Plan::rest(Some(view.now + Span::minutes(10)), Reason::WrappingKeyNotReady);
    match why {
        Some(why) => plan.saying(format!("the wrapping key of the environment is not ready: {}", why.hint())),
        None => plan,
    }
}

/// Why there is no account yet. The environment wakes its certificates when that changes.
fn account_pending(view: &V<'_>, issuer: &IssuerName) -> Plan {
    let later = Some(view.now + Span::minutes(10));
    match view.neighbours.refused.get(issuer) {
        Some((reason, message)) => Plan::rest(later, *reason).saying(message.clone()),
        None => Plan::rest(later, Reason::AccountPending),
    }
}

/// Whether an order is for what the document asks, at the issuer whose turn it is.
fn fits(view: &V<'_>, order: &Order) -> bool {
    let asked = |choice: &IssuerChoice| choice.name == order.issuer && choice.profile == order.profile;
    let moved_on = view.seen.record.memory.refusals >= 3 && choice(view).is_some_and(|choice| !asked(choice));
    same_names(&order.names, &view.spec.dns_names) && acme_choices(view).into_iter().any(asked) && !moved_on
}

pub(super) fn opened(seen: &mut S, opened: Opened, now: Moment) {
    let cause = seen.record.said.reason;
    seen.record.memory.order = Some(Order {
        issuer: opened.issuer,
        url: opened.order.url.clone(),
        cause,
        names: opened.names,
        profile: opened.profile,
        opened: now,
    });
    forget_stage(seen);
    seen.facts.stage = Some(opened.order.stage);
}

/// The CA was told that the proofs are in place; it needs a moment.
pub(super) fn answered(seen: &mut S, now: Moment) {
    let wait = if seen.facts.polls == 0 { Span::seconds(1) } else { own_pace(seen.facts.polls) };
    seen.facts.polls = seen.facts.polls.saturating_add(1);
    (seen.facts.stage, seen.facts.ask_again) = (None, Some(now + wait));
}

/// Takes in how far the order is. One that failed or is gone is forgotten; the key is kept for the next one.
pub(super) fn looked(seen: &mut S, step: &Step, order: OrderSeen, now: Moment) -> Option<Failure> {
    let failure = match order.stage {
        Stage::Gone => {
            Failure::new(Reason::OrderLost, format!("the CA does not know the order {} any more", order.url))
        }
        Stage::Invalid(failure) => *failure,
        stage => {
            let handed_in = matches!(step, Step::Act(Effect::Acme(AcmeEffect::Finalize { .. })));
            let facts = &mut seen.facts;
            facts.unmoved =
                if handed_in && stage == Stage::Ready { facts.unmoved.saturating_add(1) } else { facts.unmoved };
            // RFC 8555 section 7.5.1 lets the server say when; else at our own pace.
            let own = now + own_pace(facts.polls);
            let again = order.ask_again.map_or(own, |at| at.clamp(now + Span::seconds(1), now + Span::days(1)));
            facts.polls = facts.polls.saturating_add(1);
            (facts.stage, facts.ask_again) = (Some(stage), Some(again));
            return None;
        }
    };
    forget_order(seen);
    refused(seen, &failure);
    Some(failure)
}

/// Three seconds, growing to a minute.
fn own_pace(polls: u32) -> Span {
    Span::seconds(3).times(i64::from(polls.clamp(1, 20)))
}

/// One more failure at the issuer.
pub(super) fn refused(seen: &mut S, failure: &Failure) {
    if failure.reason == Reason::WrongCertificate {
        forget_order(seen); // the same order would give the same certificate again
    }
    if !is_ours(failure.reason) {
        seen.record.memory.refusals = seen.record.memory.refusals.saturating_add(1);
    }
}

/// Whether a step at the issuer failed before it came there.
fn is_ours(reason: Reason) -> bool {
    use Reason::{
        AccountPending, CiphertextRefused, KmsDenied, KmsLimitExceeded, KmsRefused, KmsThrottled, KmsUnreachable,
        StoreFailed,
    };
    matches!(
        reason,
        AccountPending
            | CiphertextRefused
            | KmsDenied
            | KmsLimitExceeded
            | KmsRefused
            | KmsThrottled
            | KmsUnreachable
            | StoreFailed
    )
}

fn forget_order(seen: &mut S) {
    seen.record.memory.order = None;
    forget_stage(seen);
}

fn forget_stage(seen: &mut S) {
    let facts = &mut seen.facts;
    (facts.stage, facts.ask_again, facts.polls, facts.unmoved) = (None, None, 0, 0);
}

/// A verified chain for the key that was stored: from now on it is what is in service.
pub(super) fn issued(seen: &mut S, chain: Chain, now: Moment) -> Option<Failure> {
    let memory = &mut seen.record.memory;
    let key = memory.next_key.take_if(|key| key.spki_sha256 == chain.spki_sha256);
    let (Some(key), Some(order)) = (key, memory.order.take()) else {
        let failure = Failure::new(Reason::WrongCertificate, "the certificate belongs to no key of ours");
        refused(seen, &failure);
        return Some(failure);
    };
    let issued = Issued { chain, key, issuer: Some(order.issuer), profile: order.profile, at: now };
    memory.former = memory.issued.replace(issued).map(|old| Former {
        fingerprint: old.chain.fingerprint,
        names: old.chain.names,
        algorithm: old.key.algorithm,
        not_after: old.chain.not_after,
    });
    (memory.renewal, memory.refusals) = (None, 0);
    seen.record.ask = None;
    forget_stage(seen);
    (seen.facts.window_again, seen.facts.window_at) = (None, None);
    renewal::fall_back(seen, now);
    None
}

#[cfg(test)]
mod tests {
    use claviger_config::{KeyAlgorithm, desired::Spec};

    use super::*;
    use crate::domain::{
        certificate::Certificate,
        effect::News,
        failure::Retry,
        given::{self, Given, NOW, ORDER, certificate, chain, order, sealed, serving},
        noun::Ready,
        plan::Step,
        record::Trouble,
    };

    fn spec(given: &mut Spec) -> &mut claviger_config::certificate::TlsCertificateSpec {
        if let Spec::TlsCertificate(spec) = given { spec } else { panic!("a certificate") }
    }

    fn issuers(spec: &mut Spec, names: &[&str]) {
        self::spec(spec).issuers =
            names.iter().map(|name| IssuerChoice { name: name.parse().unwrap(), profile: None }).collect();
    }

    /// Its outlet is empty.
    fn blank() -> Given<Certificate> {
        given::glance(certificate())
    }

    fn with_key() -> Given<Certificate> {
        blank().hears(News::KeySealed(KeyUse::Certificate, sealed("key-1", KeyAlgorithm::EcdsaP256)))
    }

    fn opened(given: Given<Certificate>, stage: Stage) -> Given<Certificate> {
        let (names, issuer, profile, _) = asked(&given);
        given.hears(News::Opened(Box::new(Opened { issuer, names, profile, order: order(stage) })))
    }

    /// The order that is opened next.
    fn asked(given: &Given<Certificate>) -> (Vec<DnsName>, IssuerName, Option<String>, Option<String>) {
        let Effect::Acme(AcmeEffect::OpenOrder { names, issuer, profile, replaces }) = given.act() else {
            panic!("an order is opened next, not {}", given.step().word())
        };
        (names, issuer, profile, replaces)
    }

    fn looks(given: Given<Certificate>, stage: Stage) -> Given<Certificate> {
        given.hears(News::Order(Box::new(order(stage))))
    }

    fn down() -> Failure {
        Failure::new(Reason::AcmeUnreachable, "the CA does not answer")
    }

    fn invalid() -> Stage {
        Stage::Invalid(Box::new(Failure::new(Reason::ChallengeFailed, "no answer on port 80")))
    }

    /// Fails until the order after the `n`th failure is due.
    fn failed(mut given: Given<Certificate>, times: u32) -> Given<Certificate> {
        for _ in 0..times {
            given = given::glance(looks(opened(given, Stage::Ready), invalid()).rested());
        }
        given
    }

    fn trouble(given: &Given<Certificate>) -> &Trouble {
        given.seen.record.trouble.as_ref().unwrap()
    }

    #[test]
    fn a_missing_certificate_gets_a_key_first_and_an_order_then() {
        let given = blank();
        assert!(matches!(given.act(), Effect::Kms(KmsEffect::SealNewKey { algorithm: KeyAlgorithm::EcdsaP256, .. })));
        assert_eq!((given.reason(), given.ready()), (Reason::Missing, Ready::False(Reason::Missing)));
        let (names, issuer, profile, replaces) = asked(&with_key());
        assert_eq!(names, given::names(&["www.example.com", "api.example.com"]));
        assert_eq!((issuer.as_str(), profile, replaces), ("first", None, None));
    }

    #[test]
    fn an_order_goes_from_proof_to_certificate_with_the_key_that_was_stored() {
        let given = opened(with_key(), Stage::Pending { unanswered: 2 });
        assert!(matches!(given.act(), Effect::Acme(AcmeEffect::Answer { order, .. }) if order == ORDER));
        let given = given.hears(News::Answered);
        assert_eq!(given.rest(), (Reason::ProvingControl, Some(NOW + Span::seconds(1))));
        let given = looks(given.rested(), Stage::Ready);
        let Effect::Acme(AcmeEffect::Finalize { key, names, .. }) = given.act() else { panic!("it is handed in") };
        assert_eq!((key.0.as_str(), names.len()), ("wrapped key-1", 2));
        let given = looks(given, Stage::Processing);
        assert_eq!(given.reason(), Reason::ProvingControl);
        let given = looks(given.rested(), Stage::Valid);
        let Query::Certificate { spki_sha256, .. } = given.look() else { panic!("it is downloaded") };
        assert_eq!(spki_sha256, "key-1");
        let given = given.hears(News::Issued(Box::new(chain("key-1", NOW, 90))));
        let memory = &given.seen.record.memory;
        assert!(memory.order.is_none() && memory.next_key.is_none());
        assert_eq!(memory.issued.as_ref().unwrap().issuer.as_ref().unwrap().as_str(), "first");
    }

    #[test]
    fn after_a_restart_the_same_order_goes_on_with_the_same_key() {
        let given = opened(with_key(), Stage::Pending { unanswered: 1 }).restarted();
        let given = given::glance(given);
        assert!(matches!(given.look(), Query::Order { order, .. } if order == ORDER));
        let given = looks(given, Stage::Ready);
        assert!(matches!(given.act(), Effect::Acme(AcmeEffect::Finalize { key, .. }) if key.0 == "wrapped key-1"));
    }

    #[test]
    fn an_order_is_asked_about_more_and_more_slowly_and_for_hours_if_need_be() {
        let mut given = opened(with_key(), Stage::Processing);
        let mut asked = 0;
        while given.now < NOW + Span::hours(6) {
            given = match given.step() {
                Step::Look(Query::Outlet { .. }) => given::glance(given),
                Step::Look(_) => looks(given, Stage::Processing),
                _ => given.rested(),
            };
            asked += 1;
        }
        assert!((600..1_000).contains(&asked), "{asked} steps in six hours");
        assert_eq!(given.seen.record.said.reason, Reason::ProvingControl);
        assert!(given.now.since(given.seen.record.said.since) > Span::hours(5), "a question says nothing new");
    }

    #[test]
    fn the_pace_that_the_ca_names_is_kept() {
        let slow = OrderSeen { ask_again: Some(NOW + Span::seconds(90)), ..order(Stage::Processing) };
        let given = opened(with_key(), Stage::Processing).hears(News::Order(Box::new(slow)));
        assert_eq!(given.rest().1, Some(NOW + Span::seconds(90)));
        let absurd = OrderSeen { ask_again: Some(NOW + Span::days(400)), ..order(Stage::Processing) };
        let given = given.rested().hears(News::Order(Box::new(absurd)));
        assert_eq!(given.rest().1, Some(given.now + Span::days(1)));
    }

    #[test]
    fn an_order_that_is_handed_in_and_stays_ready_is_not_handed_in_without_end() {
        let given = looks(opened(with_key(), Stage::Ready), Stage::Ready);
        assert_eq!(given.reason(), Reason::ProvingControl);
        assert!(matches!(given.rested().act(), Effect::Acme(AcmeEffect::Finalize { .. })));
    }

    #[test]
    fn an_order_that_the_ca_has_lost_is_opened_anew_with_the_same_key() {
        let given = looks(opened(with_key(), Stage::Processing), Stage::Gone);
        assert_eq!(given.reason(), Reason::OrderLost);
        assert!(given.seen.record.memory.order.is_none());
        asked(&given.rested());
    }

    #[test]
    fn an_order_that_failed_is_tried_after_1_10_and_100_minutes_and_then_daily() {
        let mut given = with_key();
        for minutes in [1, 10, 100, 1_440, 1_440] {
            given = looks(opened(given, Stage::Ready), invalid());
            let (reason, next) = given.rest();
            assert_eq!(reason, Reason::ChallengeFailed);
            let waits = next.unwrap().since(given.now).0 / 60_000;
            assert!((minutes..=minutes * 11 / 10).contains(&waits), "{waits} minutes instead of {minutes}");
            given = given::glance(given.rested());
        }
    }

    #[test]
    fn back_off_outlives_a_restart_and_is_lifted_by_a_changed_document() {
        let given = looks(opened(with_key(), Stage::Ready), invalid()).noted().restarted();
        assert_eq!(given.reason(), Reason::ChallengeFailed);
        let given = given.changed(|spec| self::spec(spec).dns_names.truncate(1));
        assert!(matches!(given.step(), Step::Look(Query::Outlet { .. })));
        assert!(given.noted().seen.record.trouble.is_none());
    }

    #[test]
    fn a_person_who_asks_lifts_the_back_off_for_the_whole_way_and_not_the_count() {
        let given = failed(with_key(), 2);
        let given = looks(opened(given, Stage::Ready), invalid()).asked();
        let given = opened(given, Stage::Ready);
        assert!(matches!(given.act(), Effect::Acme(AcmeEffect::Finalize { .. })), "it does not back off half-way");
        let given = looks(given, invalid());
        assert_eq!(trouble(&given).count, 4);
        assert_eq!(given.reason(), Reason::ChallengeFailed, "an ask that was used up does not lift the next back-off");
    }

    #[test]
    fn an_instant_that_the_ca_names_is_waited_for() {
        let limited = Failure::new(Reason::RateLimited, "too many").retry(Retry::At(NOW + Span::hours(30)));
        let given = with_key().fails(limited);
        assert_eq!(given.rest(), (Reason::RateLimited, Some(NOW + Span::hours(30))));
    }

    #[test]
    fn what_cannot_work_out_waits_for_a_person() {
        let paused = Failure::new(Reason::AccountPaused, "follow the link").retry(Retry::Never).fix("follow it");
        let given = with_key().fails(paused);
        assert_eq!(given.rest(), (Reason::AccountPaused, None));
        assert_eq!(given.plan().fix, ["follow it"]);
        asked(&given.asked());
    }

    #[test]
    fn an_order_whose_answer_was_lost_is_opened_anew_once_that_is_known() {
        let given = with_key().fails(down().maybe_done());
        assert!(given.seen.record.intent.is_some(), "it may have happened");
        let given = given.rested();
        assert!(matches!(given.step(), Step::Recall(_)));
        assert_eq!(given.reason(), Reason::Unanswered);
        asked(&given.denies());
    }

    #[test]
    fn a_certificate_that_is_not_what_was_asked_for_is_dropped_with_its_order() {
        let given = looks(opened(with_key(), Stage::Ready), Stage::Valid);
        let given = given.fails(Failure::new(Reason::WrongCertificate, "another name"));
        assert_eq!(given.reason(), Reason::WrongCertificate);
        assert!(given.seen.record.memory.order.is_none());
        let given = looks(opened(given.rested(), Stage::Ready), Stage::Valid);
        let given = given.hears(News::Issued(Box::new(chain("another-key", NOW, 90))));
        assert_eq!(given.reason(), Reason::WrongCertificate);
        assert!(given.seen.record.memory.issued.is_none());
    }

    #[test]
    fn changed_names_need_a_new_certificate() {
        let given = serving().changed(|spec| self::spec(spec).dns_names.truncate(1));
        assert_eq!(given.ready(), Ready::False(Reason::NamesChanged));
        assert_eq!(given.reason(), Reason::NamesChanged);
        let given = given.hears(News::KeySealed(KeyUse::Certificate, sealed("key-2", KeyAlgorithm::EcdsaP256)));
        assert_eq!(asked(&given).3.as_deref(), Some("id-key-1"), "it replaces the one before");
    }

    #[test]
    fn the_order_of_names_is_no_change() {
        let given = serving().changed(|spec| self::spec(spec).dns_names.reverse());
        assert_eq!((given.reason(), given.ready()), (Reason::Issued, Ready::True(Reason::Issued)));
    }

    #[test]
    fn a_certificate_without_a_common_name_replaces_nothing() {
        let given = serving().changed(|spec| self::spec(spec).dns_names = given::names(&["new.example.com"]));
        let given = given.hears(News::KeySealed(KeyUse::Certificate, sealed("key-2", KeyAlgorithm::EcdsaP256)));
        assert_eq!(asked(&given).3, None);
    }

    #[test]
    fn another_algorithm_needs_a_new_key_also_in_the_middle_of_an_order() {
        let rsa = |spec: &mut Spec| self::spec(spec).key.algorithm = KeyAlgorithm::Rsa2048;
        let given = serving().changed(rsa);
        assert_eq!(given.ready(), Ready::False(Reason::KeyAlgorithmChanged));
        let Effect::Kms(KmsEffect::SealNewKey { algorithm, .. }) = given.act() else { panic!("a key is made next") };
        assert_eq!((algorithm, given.reason()), (KeyAlgorithm::Rsa2048, Reason::KeyAlgorithmChanged));
        let given = opened(with_key(), Stage::Processing).changed(rsa);
        let given = given.hears(News::KeySealed(KeyUse::Certificate, sealed("key-2", KeyAlgorithm::Rsa2048)));
        assert!(matches!(given.look(), Query::Order { order, .. } if order == ORDER), "the order goes on");
    }

    #[test]
    fn an_issuer_that_is_no_longer_asked_for_is_left_and_a_failover_is_no_change() {
        let given = serving().changed(|spec| issuers(spec, &["second", "first"]));
        assert_eq!(given.reason(), Reason::Issued);
        let given = given.changed(|spec| issuers(spec, &["second"]));
        assert_eq!((given.reason(), given.ready()), (Reason::IssuerChanged, Ready::True(Reason::Issued)));
        let given = given.hears(News::KeySealed(KeyUse::Certificate, sealed("key-2", KeyAlgorithm::EcdsaP256)));
        assert_eq!((asked(&given).1.as_str(), asked(&given).3), ("second", None), "another CA replaces nothing");
    }

    #[test]
    fn a_person_gets_a_new_certificate_and_the_ask_is_answered_by_it() {
        let given = given::deliver(given::issue(serving().asked(), "key-2", 90));
        assert_eq!(given.seen.record.ask, None);
        let memory = given.seen.record.memory;
        assert_eq!(memory.issued.unwrap().chain.serial, "serial-key-2");
    }

    #[test]
    fn without_an_issuer_that_speaks_acme_an_operator_is_told() {
        let given = blank().changed(|spec| issuers(spec, &["inner"]));
        assert_eq!(given.reason(), Reason::IssuerMissing);
        assert!(given.rest().1.is_some() && !given.plan().fix.is_empty());
    }

    #[test]
    fn nothing_is_ordered_before_wrapping_key_and_account_are_there() {
        let mut given = blank();
        given.neighbours.wrapping = Some(Err(Reason::KeyDisabled));
        assert_eq!(given.reason(), Reason::WrappingKeyNotReady);
        assert!(given.plan().message.contains(Reason::KeyDisabled.hint()));
        let mut given = blank();
        given.neighbours.accounts.clear();
        assert_eq!(given.reason(), Reason::AccountPending);
        given.neighbours.refused.insert("first".parse().unwrap(), (Reason::AccountRefused, "no".to_owned()));
        assert_eq!((given.reason(), given.plan().message.as_str()), (Reason::AccountRefused, "no"));
    }

    #[test]
    fn an_order_is_not_handed_in_while_its_key_cannot_be_opened() {
        let mut given = opened(with_key(), Stage::Ready);
        given.neighbours.wrapping = Some(Err(Reason::KeyPendingDeletion));
        assert_eq!(given.reason(), Reason::WrappingKeyNotReady);
        assert!(given.noted().seen.record.trouble.is_none());
    }

    #[test]
    fn an_order_waits_for_its_account_without_counting_a_failure() {
        let mut given = opened(with_key(), Stage::Pending { unanswered: 1 });
        given.neighbours.accounts.clear();
        assert_eq!(given.reason(), Reason::AccountPending);
        assert!(given.noted().seen.record.trouble.is_none());
    }

    #[test]
    fn after_three_failures_in_a_row_the_next_issuer_is_tried_and_then_the_first_again() {
        let given = failed(with_key().changed(|spec| issuers(spec, &["first", "second"])), 2);
        assert_eq!(asked(&given).1.as_str(), "first");
        let given = failed(given, 1);
        assert_eq!(asked(&given).1.as_str(), "second");
        assert_eq!(asked(&failed(given, 3)).1.as_str(), "first");
    }

    #[test]
    fn an_order_at_a_ca_that_is_away_is_left_for_the_next_issuer() {
        let mut given = opened(with_key().changed(|spec| issuers(spec, &["first", "second"])), Stage::Processing);
        for _ in 0..3 {
            given = given::glance(given.fails(down()).rested());
        }
        assert_eq!(asked(&given).1.as_str(), "second");
    }

    #[test]
    fn trouble_with_aws_is_no_reason_to_leave_the_issuer() {
        let mut given = blank().changed(|spec| issuers(spec, &["first", "second"]));
        for _ in 0..4 {
            given = given::glance(given.fails(Failure::new(Reason::KmsUnreachable, "AWS does not answer")).rested());
        }
        let given = given.hears(News::KeySealed(KeyUse::Certificate, sealed("key-1", KeyAlgorithm::EcdsaP256)));
        let given = given.fails(Failure::new(Reason::KmsThrottled, "slow down"));
        assert_eq!(given.seen.record.memory.refusals, 0);
    }

    #[test]
    fn an_issuer_whose_account_is_refused_is_passed_over_if_there_is_another() {
        let mut given = with_key().changed(|spec| issuers(spec, &["first", "second"]));
        given.neighbours.accounts.remove(&"first".parse::<IssuerName>().unwrap());
        given.neighbours.refused.insert("first".parse().unwrap(), (Reason::AccountRefused, "no".to_owned()));
        assert_eq!(asked(&given).1.as_str(), "second");
    }

    #[test]
    fn an_expired_certificate_is_replaced_with_the_order_that_is_in_flight() {
        let given = serving().later(Span::days(91));
        let given = given::glance(given);
        assert_eq!((given.reason(), given.ready()), (Reason::Expired, Ready::False(Reason::Expired)));
        let given = given.hears(News::KeySealed(KeyUse::Certificate, sealed("key-2", KeyAlgorithm::EcdsaP256)));
        let given = opened(given, Stage::Processing);
        assert!(matches!(given.look(), Query::Order { .. }), "no second order");
        assert_eq!(given.ready(), Ready::False(Reason::Expired));
    }

    #[test]
    fn what_expired_hurries_for_a_day_and_not_for_ever() {
        let mut given = given::glance(serving().later(Span::days(91)));
        given = given.hears(News::KeySealed(KeyUse::Certificate, sealed("key-2", KeyAlgorithm::EcdsaP256)));
        let mut tries = 0;
        let end = given.now + Span::days(5);
        while given.now < end {
            given = given::glance(looks(opened(given, Stage::Ready), invalid()).rested());
            tries += 1;
        }
        assert!(tries < 10, "{tries} orders for what has been out of service for days");
    }

    #[test]
    fn news_out_of_turn_is_a_fault_that_says_so() {
        let mut given = blank();
        let heard = given.seen.hear(&Step::Rest, Ok(Some(News::Aliased)), NOW);
        assert!(heard.unwrap_err().to_string().contains("TlsCertificate heard `Aliased` out of turn"));
    }
}
