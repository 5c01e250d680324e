//! What lies in the outlets, what is put there, and what is found there again.

use claviger_config::{KeyAlgorithm, Span, condition::ConditionStatus, desired::Spec};

use super::*;
use crate::{
    domain::{
        certificate::Certificate,
        effect::News,
        given::{self, Given, NOW, certificate_with, chain, glance, sealed, serving, serving_for},
        noun::Ready,
    },
    report,
};

fn name(outlet: &str) -> Name {
    outlet.parse().unwrap()
}

fn pair(key: &str) -> OutletSeen {
    OutletSeen::Pair { fingerprint: format!("leaf-{key}") }
}

fn full_disk() -> Failure {
    Failure::new(Reason::DeliveryFailed, "no space left").fix("make room")
}

fn adopted(key: &str) -> News {
    let issued = Issued {
        chain: chain(key, NOW - Span::days(30), 90),
        key: sealed(key, KeyAlgorithm::EcdsaP256),
        issuer: None,
        profile: None,
        at: NOW,
    };
    News::Adopted(Some(Box::new(issued)))
}

fn hook(given: Given<Certificate>) -> Given<Certificate> {
    given.changed(|spec| {
        let Spec::TlsCertificate(spec) = spec else { panic!("a certificate") };
        spec.outlets[0].files.as_mut().unwrap().reload = Some(name("nginx"));
    })
}

fn renewed(given: Given<Certificate>) -> Given<Certificate> {
    let at = given.seen.record.memory.renewal.as_ref().unwrap().at;
    given::issue(glance(given.at(at)).hears(News::Window(None)), "key-2", 90)
}

/// The outlet that is delivered to next.
fn delivers(given: &Given<Certificate>) -> Name {
    let Effect::Outlet(OutletEffect::Deliver { outlet, .. }) = given.act() else { panic!("it delivers next") };
    outlet.name
}

#[test]
fn a_lost_record_is_found_again_in_an_outlet_and_nothing_is_ordered() {
    let given = certificate_with(&["nginx"]).hears(News::Outlet(name("nginx"), pair("key-1")));
    assert!(matches!(given.act(), Effect::Outlet(OutletEffect::Adopt { names, .. }) if names.len() == 2));
    assert_eq!(given.reason(), Reason::Adopted);
    let given = given.hears(adopted("key-1")).hears(News::Window(None)).noted();
    assert_eq!((given.reason(), given.ready()), (Reason::Issued, Ready::True(Reason::Issued)));
    assert_eq!(given.seen.record.intents, 1, "it adopted, and did nothing else");
}

#[test]
fn what_is_adopted_also_goes_to_the_outlet_that_lacks_it() {
    let given = certificate_with(&["one", "two"]).hears(News::Outlet(name("one"), pair("key-1")));
    let given = given.hears(News::Outlet(name("two"), OutletSeen::Empty)).hears(adopted("key-1"));
    assert_eq!(delivers(&given), name("two"));
}

#[test]
fn an_outlet_that_holds_nothing_of_use_does_not_hide_another_one() {
    let given = certificate_with(&["one", "two"]).hears(News::Outlet(name("one"), pair("old")));
    let given = given.hears(News::Outlet(name("two"), pair("key-1"))).hears(News::Adopted(None));
    let Effect::Outlet(OutletEffect::Adopt { outlet, .. }) = given.act() else { panic!("it adopts") };
    assert_eq!(outlet.name, name("two"));
    let given = given.hears(News::Adopted(None));
    assert_eq!(given.reason(), Reason::Missing, "a new one is ordered");
}

#[test]
fn nothing_is_ordered_while_what_was_lost_might_lie_in_an_outlet_that_cannot_be_looked_at() {
    let given = certificate_with(&["nginx"]).fails(full_disk());
    assert_eq!(given.reason(), Reason::DeliveryFailed);
    assert!(matches!(given.rested().look(), Query::Outlet { .. }));
}

#[test]
fn adoption_waits_for_the_wrapping_key() {
    let mut given = certificate_with(&["nginx"]).hears(News::Outlet(name("nginx"), pair("key-1")));
    given.neighbours.wrapping = None;
    assert_eq!(given.reason(), Reason::WrappingKeyNotReady);
}

#[test]
fn delivery_waits_for_the_wrapping_key_without_counting_a_failure() {
    let mut given = given::issue(glance(certificate_with(&["nginx"])), "key-1", 90);
    given.neighbours.wrapping = Some(Err(Reason::KeyDisabled));
    assert_eq!(given.reason(), Reason::WrappingKeyNotReady);
    let mut given = given.noted();
    assert!(given.seen.record.memory.ailing.is_empty());
    given.neighbours.wrapping = Some(Ok(given::ARN.to_owned()));
    assert_eq!(delivers(&given), name("nginx"));
}

#[test]
fn every_outlet_gets_what_was_issued() {
    let given = given::issue(glance(certificate_with(&["one", "two"])), "key-1", 90);
    assert_eq!((delivers(&given), given.ready()), (name("one"), Ready::False(Reason::OutletChanged)));
    let given = given.hears(News::Delivered(name("one")));
    assert_eq!(delivers(&given), name("two"));
    let given = given.hears(News::Delivered(name("two")));
    assert_eq!(given.ready(), Ready::True(Reason::Issued));
}

#[test]
fn each_outlet_is_looked_at_every_hour_and_gets_back_what_it_lost() {
    let given = serving_for(90, &["one", "two"]).later(Span::hours(1));
    let given = given.hears(News::Outlet(name("one"), pair("key-1")));
    assert!(matches!(given.look(), Query::Outlet { outlet } if outlet.name == name("two")));
    let given = given.hears(News::Outlet(name("two"), OutletSeen::Spoilt));
    assert_eq!((delivers(&given), given.reason()), (name("two"), Reason::OutletChanged));
    assert_eq!(given.ready(), Ready::False(Reason::OutletChanged));
    let given = given.hears(News::Delivered(name("two")));
    assert_eq!(given.reason(), Reason::Issued);
}

fn bare(key: &str) -> OutletSeen {
    OutletSeen::Bare { fingerprint: format!("leaf-{key}") }
}

#[test]
fn an_outlet_that_lacks_its_labels_is_written_again_with_the_same_key() {
    let given = serving().later(Span::hours(1)).hears(News::Outlet(name("nginx"), bare("key-1")));
    let Effect::Outlet(OutletEffect::Deliver { key, .. }) = given.act() else { panic!("it delivers") };
    assert_eq!(key, sealed("key-1", KeyAlgorithm::EcdsaP256).key);
    assert_eq!(given.reason(), Reason::OutletChanged);
    assert_eq!(given.hears(News::Delivered(name("nginx"))).reason(), Reason::Issued);
}

/// The outlet is a Secret with a keystore.
fn with_keystore(given: Given<Certificate>) -> Given<Certificate> {
    given.changed(|spec| {
        let Spec::TlsCertificate(spec) = spec else { panic!("a certificate") };
        spec.outlets[0].files = None;
        let password = r#"{ "name": "web-password", "key": "password" }"#;
        let keystore = format!(r#"{{ "name": "keystore.p12", "format": "pkcs12", "password": {password} }}"#);
        let secret = format!(r#"{{ "name": "web-tls", "keystores": [{keystore}] }}"#);
        spec.outlets[0].secret = Some(serde_json::from_str(&secret).unwrap());
    })
}

fn locked(key: &str) -> OutletSeen {
    let failure = Box::new(Failure::new(Reason::KeystorePasswordMissing, "there is no secret").fix("create it"));
    OutletSeen::Locked { fingerprint: format!("leaf-{key}"), failure }
}

#[test]
fn a_keystore_without_its_password_is_told_and_the_pair_is_delivered_and_not_written_over_and_over() {
    let given = with_keystore(serving()).hears(News::Outlet(name("nginx"), OutletSeen::Empty));
    let given = given.hears(News::Delivered(name("nginx")));
    assert!(matches!(given.look(), Query::Outlet { .. }), "what became of the keystore is looked at");
    let given = given.hears(News::Outlet(name("nginx"), locked("key-1")));
    assert_eq!(given.reason(), Reason::KeystorePasswordMissing);
    assert_eq!(given.ready(), Ready::False(Reason::KeystorePasswordMissing));
    assert!(given.rest().1.is_some(), "it rests until it is looked at again, or renewed");
    let given = given.later(Span::hours(1)).hears(News::Outlet(name("nginx"), bare("key-1")));
    assert_eq!(delivers(&given), name("nginx"), "the password is there");
    let given = given.hears(News::Delivered(name("nginx"))).hears(News::Outlet(name("nginx"), pair("key-1")));
    assert_eq!((given.reason(), given.ready()), (Reason::Issued, Ready::True(Reason::Issued)));
}

#[test]
fn a_lost_record_is_found_again_beside_a_keystore_without_its_password() {
    let given = with_keystore(certificate_with(&["nginx"])).hears(News::Outlet(name("nginx"), locked("key-1")));
    assert_eq!(given.reason(), Reason::Adopted);
}

#[test]
fn a_lost_record_is_found_again_in_an_outlet_that_lacks_its_labels() {
    let given = certificate_with(&["nginx"]).hears(News::Outlet(name("nginx"), bare("key-1")));
    assert_eq!(given.reason(), Reason::Adopted);
    assert_eq!(delivers(&given.hears(adopted("key-1"))), name("nginx"));
}

#[test]
fn another_place_in_the_document_is_looked_at_at_once_and_another_hook_is_no_other_place() {
    assert!(!matches!(hook(serving()).step(), Step::Look(Query::Outlet { .. })));
    let given = serving().changed(|spec| {
        let Spec::TlsCertificate(spec) = spec else { panic!("a certificate") };
        spec.outlets[0].files.as_mut().unwrap().directory = "other".to_owned();
    });
    assert!(matches!(given.look(), Query::Outlet { outlet } if outlet.name == name("nginx")));
    let given = given.hears(News::Outlet(name("nginx"), OutletSeen::Empty));
    assert_eq!(delivers(&given), name("nginx"));
}

#[test]
fn another_place_that_cannot_be_looked_at_is_looked_at_once_an_hour() {
    let given = serving().changed(|spec| {
        let Spec::TlsCertificate(spec) = spec else { panic!("a certificate") };
        spec.outlets[0].files.as_mut().unwrap().directory = "other".to_owned();
    });
    let (_, next) = given.fails(full_disk()).rest();
    assert!(next.is_some(), "it rests until then");
}

#[test]
fn an_outlet_that_cannot_be_looked_at_keeps_what_it_has_and_is_shown() {
    let given = serving().later(Span::hours(1)).fails(full_disk());
    let (reason, next) = given.rest();
    assert_eq!((reason, next), (Reason::DeliveryFailed, Some(given.now + Span::hours(1))));
    assert_eq!(given.ready(), Ready::True(Reason::Issued), "unknown is not failed");
    let given = given.rested().hears(News::Outlet(name("nginx"), pair("key-1")));
    assert_eq!(given.reason(), Reason::Issued);
}

#[test]
fn a_renewal_keeps_ready_until_the_old_certificate_ends() {
    let given = renewed(serving());
    assert_eq!(given.ready(), Ready::True(Reason::Issued), "the old one still serves");
    assert_eq!(given.reason(), Reason::RenewalDue, "nobody changed the outlet");
    let given = given.fails(full_disk()).hears(News::Window(None)).noted();
    assert_eq!((given.reason(), given.ready()), (Reason::DeliveryFailed, Ready::True(Reason::Issued)));
    assert_eq!(given.seen.record.said.on_schedule.status, ConditionStatus::False);
    let given = given.at(NOW + Span::days(90));
    assert_eq!(given.ready(), Ready::False(Reason::OutletChanged));
}

#[test]
fn an_outlet_that_fails_holds_up_neither_the_others_nor_the_renewal() {
    let given = given::issue(glance(certificate_with(&["one", "two"])), "key-1", 90).fails(full_disk());
    assert_eq!(delivers(&given), name("two"));
    let given = given.hears(News::Delivered(name("two"))).hears(News::Window(None));
    let (reason, next) = given.rest();
    assert_eq!((reason, next.is_some_and(|next| next < NOW + Span::minutes(2))), (Reason::DeliveryFailed, true));
    assert!(given.seen.record.trouble.is_none());
    let due = given.seen.record.memory.renewal.as_ref().unwrap().at;
    let given = glance(given.at(due)).fails(full_disk()).hears(News::Window(None));
    let given = given::issue(given, "key-2", 90);
    assert_eq!(given.seen.record.memory.issued.as_ref().unwrap().chain.serial, "serial-key-2");
    assert_eq!(delivers(&given), name("two"));
}

#[test]
fn a_failed_delivery_is_tried_again_after_1_10_and_100_minutes_and_by_a_changed_document() {
    let mut given = given::issue(glance(certificate_with(&["nginx"])), "key-1", 90);
    for minutes in [1, 10, 100] {
        given = given.fails(full_disk());
        if let Step::Look(Query::Window { .. }) = given.step() {
            given = given.hears(News::Window(None));
        }
        let until = given.seen.record.memory.ailing[&name("nginx")].until.unwrap();
        let waits = until.since(given.now).0 / 60_000;
        assert!((minutes..=minutes * 11 / 10).contains(&waits), "{waits} minutes instead of {minutes}");
        given = given.noted().restarted();
        given = glance(given.at(until));
    }
    let given = given.fails(full_disk()).changed(|_| {});
    assert_eq!(delivers(&given), name("nginx"));
}

#[test]
fn a_hook_runs_after_each_delivery() {
    let given = hook(glance(certificate_with(&["nginx"])));
    let given = given::deliver(given::issue(given, "key-1", 90));
    assert!(matches!(given.act(), Effect::Outlet(OutletEffect::Reload { .. })));
    let given = given.hears(News::Reloaded(name("nginx"), ReloadSeen::Succeeded)).hears(News::Window(None)).noted();
    assert_eq!(given.reason(), Reason::Issued);
    let given = given::deliver(renewed(given));
    assert!(matches!(given.act(), Effect::Outlet(OutletEffect::Reload { .. })));
}

#[test]
fn a_hook_that_fails_is_issued_not_served_and_holds_up_no_renewal() {
    let given = hook(glance(certificate_with(&["nginx"])));
    let given = given::deliver(given::issue(given, "key-1", 90));
    let mut given = given.hears(News::Reloaded(name("nginx"), ReloadSeen::Failed("status 1".to_owned())));
    given = given.hears(News::Window(None)).noted();
    assert_eq!((given.reason(), given.ready()), (Reason::HookFailed, Ready::True(Reason::Issued)));
    let attention = given.shown(report::common).attention.unwrap();
    assert!(attention.message.contains("status 1") && !attention.fix.is_empty());
    let due = given.seen.record.memory.renewal.as_ref().unwrap().at;
    while given.now < due {
        given = match given.step() {
            Step::Act(_) => given.hears(News::Reloaded(name("nginx"), ReloadSeen::Failed("status 1".to_owned()))),
            Step::Rest => given.rested(),
            _ if matches!(given.step(), Step::Look(Query::Window { .. })) => given.hears(News::Window(None)),
            _ => glance(given),
        };
    }
    assert!(given.seen.record.memory.ailing[&name("nginx")].count > 20, "once a day");
    while given.reason() == Reason::HookFailed {
        given = given.hears(News::Reloaded(name("nginx"), ReloadSeen::Failed("status 1".to_owned())));
    }
    assert_eq!(given.reason(), Reason::RenewalDue);
}

#[test]
fn an_outlet_that_was_emptied_is_filled_although_its_hook_fails() {
    let given = hook(glance(certificate_with(&["nginx"])));
    let given = given::deliver(given::issue(given, "key-1", 90));
    let given = given.hears(News::Reloaded(name("nginx"), ReloadSeen::Failed("status 1".to_owned())));
    let given = given.later(Span::hours(1)).hears(News::Outlet(name("nginx"), OutletSeen::Empty));
    assert_eq!(delivers(&given), name("nginx"));
}

#[test]
fn what_expired_is_not_delivered() {
    let given = serving().later(Span::days(90)).hears(News::Outlet(name("nginx"), OutletSeen::Empty));
    assert_eq!(given.reason(), Reason::Expired);
}
