//! From a document to a certificate, and what comes between.

use claviger_config::{DnsName, IssuerName, KeyAlgorithm, desired::Spec};

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
