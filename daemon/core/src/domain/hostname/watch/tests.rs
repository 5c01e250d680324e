//! A custom host name from its creation to service, and back.

use claviger_config::{Turn, condition::ConditionStatus, desired::Spec, hostname::Validation};

use super::*;
use crate::domain::{
    effect::{DnsAnswer, News, RecordType},
    given::{Given, NOW, hostname, hostname_seen},
    noun::{Noun, Ready},
    plan::Step,
};

const NAME: &str = "shop.customer.example";
const TARGET: &str = "saas.example.com";

fn seen(given: Given<Hostname>, found: HostnameSeen) -> Given<Hostname> {
    given.hears(News::Hostname(Some(Box::new(found))))
}

/// Answers every question from a few records; what is not among them does not exist.
fn dns(given: Given<Hostname>, records: &[(&str, RecordType, &str)]) -> Given<Hostname> {
    let Query::Records { questions } = given.look() else { panic!("DNS is asked next") };
    let answer = |question: crate::domain::effect::DnsQuestion| {
        let held = |(name, r#type, _): &&(&str, RecordType, &str)| question.name == *name && question.r#type == *r#type;
        let values = records.iter().filter(held).map(|(.., value)| (*value).to_owned()).collect();
        DnsAnswer { question, values: Some(values), server: "10.0.0.1".to_owned() }
    };
    given.hears(News::Records(questions.into_iter().map(answer).collect()))
}

fn pointing(given: Given<Hostname>) -> Given<Hostname> {
    dns(given, &[(NAME, RecordType::Cname, TARGET)])
}

/// Rests, and is then shown to be so, pointing at us.
fn then(given: Given<Hostname>, status: &str, certificate: &str) -> Given<Hostname> {
    pointing(seen(given.rested(), hostname_seen(status, certificate)))
}

fn active() -> Given<Hostname> {
    pointing(seen(hostname(), hostname_seen("active", "active")))
}

/// How often validation was started again until it serves or a time has passed.
fn refreshes(mut given: Given<Hostname>, until: Moment) -> (usize, Given<Hostname>) {
    let mut refreshes = 0;
    while given.now < until || given.step() != Step::Rest {
        given = match given.step() {
            Step::Act(Effect::Edge(EdgeEffect::Refresh { .. })) => {
                refreshes += 1;
                seen(given, hostname_seen("pending", "pending_validation"))
            }
            Step::Rest => given.rested(),
            Step::Look(Query::Hostname { .. }) => seen(given, hostname_seen("pending", "validation_timed_out")),
            _ => pointing(given),
        };
    }
    (refreshes, given)
}

fn origin(given: &Given<Hostname>) -> EdgeOrigin {
    given.seen.record.memory.edge.as_ref().unwrap().origin
}

fn deploying(end: Moment) -> HostnameSeen {
    let mut seen = hostname_seen("active", "pending_deployment");
    seen.certificate.as_mut().unwrap().not_after = Some(end);
    seen
}

#[test]
fn a_first_certificate_that_is_on_its_way_to_the_edge_serves_nobody() {
    let given = pointing(seen(hostname(), deploying(NOW + Span::days(90))));
    assert_eq!(given.ready(), Ready::False(Reason::AwaitingCertificate));
    let given = then(given, "active", "active");
    assert_eq!(given.ready(), Ready::True(Reason::Active));
}

#[test]
fn while_a_renewed_certificate_is_on_its_way_the_old_one_serves_until_it_ends() {
    let mut served = hostname_seen("active", "active");
    served.certificate.as_mut().unwrap().not_after = Some(NOW + Span::days(30));
    let given = pointing(seen(hostname(), served)).rested();
    let mut given = pointing(seen(given, deploying(NOW + Span::days(90))));
    assert_eq!(given.ready(), Ready::True(Reason::Active));
    given.now = NOW + Span::days(31);
    assert_eq!(given.ready(), Ready::False(Reason::EdgeStuck));
}

#[test]
fn a_missing_name_is_looked_for_by_name_and_then_created() {
    let given = hostname();
    assert!(matches!(given.look(), Query::Hostname { hostname, id: None } if hostname.as_str() == NAME));
    assert_eq!(given.ready(), Ready::Unknown(Reason::NotObserved));
    let given = given.hears(News::Hostname(None));
    let Effect::Edge(EdgeEffect::Create { settings, .. }) = given.act() else { panic!("it is created next") };
    assert_eq!(settings.validation, Validation::Http);
    assert_eq!((given.reason(), given.ready()), (Reason::Missing, Ready::False(Reason::Missing)));
    let given = seen(given, hostname_seen("pending", "pending_validation"));
    assert_eq!(origin(&given), EdgeOrigin::Created);
}

#[test]
fn a_name_whose_answer_was_lost_is_found_again_as_created() {
    let lost = Failure::new(Reason::EdgeUnreachable, "lost").maybe_done();
    let given = hostname().hears(News::Hostname(None)).fails(lost).restarted().rested();
    assert!(matches!(given.step(), Step::Recall(_)));
    let given = pointing(seen(given, hostname_seen("active", "active"))).noted();
    assert_eq!((origin(&given), given.reason()), (EdgeOrigin::Created, Reason::Active));
    assert_eq!(given.seen.record.intents, 1, "it was created once");
    let given = given.restarted();
    assert_eq!(origin(&pointing(seen(given, hostname_seen("active", "active")))), EdgeOrigin::Created);
}

#[test]
fn a_lost_record_takes_over_what_is_there() {
    let given = active().noted();
    assert_eq!((origin(&given), given.seen.record.intents), (EdgeOrigin::Adopted, 0));
    assert_eq!((given.reason(), given.ready()), (Reason::Active, Ready::True(Reason::Active)));
}

#[test]
fn a_create_that_failed_and_a_name_that_appears_then_is_adopted() {
    let no = Failure::new(Reason::EdgeUnreachable, "not sent");
    let given = hostname().hears(News::Hostname(None)).fails(no).rested();
    assert_eq!(origin(&seen(given, hostname_seen("active", "active"))), EdgeOrigin::Adopted);
}

#[test]
fn it_is_watched_until_both_machines_are_active_and_the_name_points_at_us() {
    let given = seen(hostname(), hostname_seen("pending", "pending_validation"));
    let given = dns(given, &[]);
    let plan = given.plan();
    assert_eq!((plan.reason, plan.reason.turn()), (Reason::AwaitingCustomerDns, Turn::Customer));
    assert!(plan.fix[0].contains(&format!("{NAME} CNAME {TARGET}")));
    assert_eq!(given.rest().1.map(|next| next.since(NOW) < Span::seconds(23)), Some(true), "often at first");
    let given = then(given, "active", "pending_issuance");
    assert_eq!(
        (given.reason(), given.ready()),
        (Reason::AwaitingCertificate, Ready::False(Reason::AwaitingCertificate))
    );
    let given = then(given, "pending", "active");
    assert_eq!(given.ready(), Ready::False(Reason::AwaitingCertificate), "both machines count");
    let given = then(given, "active", "active");
    assert_eq!((given.reason(), given.ready()), (Reason::Active, Ready::True(Reason::Active)));
    assert!(given.rest().1.unwrap().since(given.now) >= Span::hours(6), "rarely once it serves");
}

#[test]
fn it_is_looked_at_more_rarely_the_longer_nothing_moves() {
    let mut given = dns(seen(hostname(), hostname_seen("pending", "pending_validation")), &[]);
    let mut looks = 0;
    while given.now < NOW + Span::days(1) {
        given = dns(seen(given.rested(), hostname_seen("pending", "pending_validation")), &[]);
        looks += 1;
    }
    assert!((50..80).contains(&looks), "{looks} looks on the first day");
}

#[test]
fn what_cannot_be_asked_of_dns_is_unknown_and_not_missing() {
    let given = seen(hostname(), hostname_seen("active", "active"));
    let given = given.fails(Failure::new(Reason::Refused, "no server answers")).noted();
    assert_eq!((given.reason(), given.ready()), (Reason::Active, Ready::True(Reason::Active)));
    assert!(given.seen.record.trouble.is_none());
}

#[test]
fn only_owned_fields_are_compared_and_equal_ones_cause_no_write() {
    let odd = HostnameSeen {
        errors: vec!["a warning".to_owned()],
        ownership: Some(("_cf-custom-hostname".to_owned(), "token".to_owned())),
        ..hostname_seen("active", "active")
    };
    assert_eq!(pointing(seen(hostname(), odd)).reason(), Reason::Active);
}

#[test]
fn an_owned_field_that_differs_is_made_equal() {
    let mut differs = hostname_seen("active", "active");
    differs.certificate.as_mut().unwrap().min_tls_version = Some("1.0".to_owned());
    let given = seen(hostname(), differs);
    assert_eq!(given.reason(), Reason::EdgeDiffers);
    assert!(matches!(given.act(), Effect::Edge(EdgeEffect::Update { id, .. }) if id == "id-1"));
    let given = pointing(seen(given, hostname_seen("active", "active")));
    assert_eq!(given.reason(), Reason::Active);
}

#[test]
fn a_zone_that_sets_no_oldest_version_leaves_it_alone() {
    let mut other = hostname_seen("active", "active");
    other.certificate.as_mut().unwrap().min_tls_version = None;
    let given = hostname().surrounded(|at| at.spec.edge.as_mut().unwrap().cloudflare.defaults.min_tls_version = None);
    assert_eq!(pointing(seen(given, other)).reason(), Reason::Active);
}

#[test]
fn a_change_that_is_accepted_and_not_made_is_shown_and_not_repeated() {
    let mut stubborn = hostname_seen("active", "active");
    stubborn.certificate.as_mut().unwrap().method = Some("txt".to_owned());
    let given = seen(seen(hostname(), stubborn.clone()), stubborn.clone());
    let (reason, next) = given.rest();
    assert_eq!((reason, next.is_some_and(|next| next > NOW + Span::seconds(59))), (Reason::EdgeUnchanged, true));
    assert!(matches!(given.rested().act(), Effect::Edge(EdgeEffect::Update { .. })), "once more after the back-off");
}

#[test]
fn validation_that_has_stopped_is_started_again_at_growing_distances() {
    let given = pointing(seen(hostname(), hostname_seen("pending", "validation_timed_out")));
    assert_eq!(given.reason(), Reason::EdgeStuck);
    assert!(matches!(given.act(), Effect::Edge(EdgeEffect::Refresh { .. })));
    let (times, given) = refreshes(given, NOW + Span::days(7));
    assert!((6..=12).contains(&times), "started again {times} times in a week");
    assert_eq!(given.seen.record.memory.refreshed.unwrap().1 as usize, times, "each is counted once");
    let given = then(given, "active", "active");
    assert_eq!((given.reason(), given.seen.record.memory.refreshed), (Reason::Active, None));
}

#[test]
fn what_should_long_be_through_although_dns_is_right_is_started_again() {
    let mut given = pointing(seen(hostname(), hostname_seen("pending", "pending_validation")));
    while given.reason() == Reason::AwaitingCertificate {
        given = then(given, "pending", "pending_validation");
    }
    assert_eq!(given.reason(), Reason::EdgeStuck);
    assert!((Span::hours(1)..Span::minutes(75)).contains(&given.now.since(NOW)));
}

#[test]
fn nothing_is_started_again_while_the_customer_has_no_record_and_at_once_when_it_is_there() {
    let given = dns(seen(hostname(), hostname_seen("pending", "validation_timed_out")), &[]);
    assert_eq!(given.reason(), Reason::AwaitingCustomerDns);
    let given = pointing(seen(given.rested(), hostname_seen("pending", "validation_timed_out")));
    assert!(matches!(given.act(), Effect::Edge(EdgeEffect::Refresh { .. })));
}

#[test]
fn a_refresh_that_fails_is_not_counted() {
    let given = pointing(seen(hostname(), hostname_seen("pending", "validation_timed_out")));
    let given = given.fails(Failure::new(Reason::EdgeUnreachable, "no answer"));
    assert_eq!(given.seen.record.memory.refreshed, None);
}

#[test]
fn a_name_that_went_away_is_shown_and_started_again_when_it_is_back() {
    let given = dns(seen(hostname(), hostname_seen("moved", "active")), &[(NAME, RecordType::Cname, "other.example")]);
    let plan = given.plan();
    assert_eq!((plan.reason, plan.reason.turn()), (Reason::HostnameMoved, Turn::Customer));
    assert!(plan.message.contains("points at other.example"));
    let given = pointing(seen(given.rested(), hostname_seen("moved", "active")));
    assert!(matches!(given.act(), Effect::Edge(EdgeEffect::Refresh { .. })));
    let given = dns(seen(hostname(), hostname_seen("deleted", "deleted")), &[]);
    assert_eq!(given.reason(), Reason::HostnameMoved);
}

#[test]
fn an_active_name_that_points_elsewhere_is_not_ready() {
    let given = dns(seen(hostname(), hostname_seen("active", "active")), &[]);
    assert_eq!((given.reason(), given.ready()), (Reason::HostnameMoved, Ready::False(Reason::HostnameMoved)));
}

#[test]
fn a_blocked_name_waits_for_cloudflare_and_nothing_is_written() {
    let mut blocked = hostname_seen("blocked", "active");
    blocked.certificate.as_mut().unwrap().method = Some("txt".to_owned());
    let given = pointing(seen(hostname(), blocked));
    assert_eq!((given.reason(), given.ready()), (Reason::EdgeBlocked, Ready::False(Reason::EdgeBlocked)));
    assert_eq!(given.step(), Step::Rest);
}

#[test]
fn a_caa_record_of_the_customer_that_forbids_every_ca_is_theirs_to_change() {
    let records =
        [(NAME, RecordType::Cname, TARGET), ("customer.example", RecordType::Caa, "0 issue \"digicert.com\"")];
    let given = dns(seen(hostname(), hostname_seen("active", "validation_timed_out")), &records);
    let plan = given.plan();
    assert_eq!((&plan.step, plan.reason), (&Step::Rest, Reason::CustomerCaaForbids));
    assert!(plan.message.contains("customer.example") && plan.fix[0].contains("letsencrypt.org"));
}

#[test]
fn a_record_that_stands_in_the_way_is_a_conflict() {
    let given =
        dns(seen(hostname(), hostname_seen("pending", "pending_validation")), &[(NAME, RecordType::A, "192.0.2.1")]);
    assert_eq!(given.reason(), Reason::CustomerDnsConflict);
    assert!(given.plan().fix[0].starts_with("ask the customer to replace it"));
}

#[test]
fn at_renewal_the_old_certificate_counts_until_it_ends() {
    let mut renewing = hostname_seen("active", "pending_validation");
    renewing.certificate.as_mut().unwrap().not_after = Some(NOW + Span::days(20));
    let given = pointing(seen(hostname(), renewing.clone()));
    assert_eq!((given.reason(), given.ready()), (Reason::Active, Ready::True(Reason::Active)));
    assert_eq!(given.plan().hurts, Some(NOW + Span::days(20)));
    renewing.certificate.as_mut().unwrap().not_after = Some(NOW - Span::days(1));
    let given = pointing(seen(hostname(), renewing)).noted();
    assert_eq!(given.ready(), Ready::False(Reason::AwaitingCertificate), "never true past its end");
    assert_eq!(given.seen.record.said.on_schedule.status, ConditionStatus::False);
}

#[test]
fn a_person_who_asks_gets_a_fresh_look_and_nothing_more() {
    let given = active().noted().later(Span::hours(1)).asked();
    assert!(matches!(given.look(), Query::Hostname { .. }));
    let given = pointing(seen(given, hostname_seen("active", "active")));
    assert_eq!((given.reason(), given.seen.record.ask.is_none()), (Reason::Active, true));
}

#[test]
fn an_ask_does_not_ask_for_ever_what_cannot_be_answered() {
    let down = Failure::new(Reason::EdgeUnreachable, "no answer");
    let given = active().noted().asked().fails(down);
    assert_eq!(given.rest().0, Reason::EdgeUnreachable);
}

#[test]
fn an_environment_without_an_edge_says_so() {
    let given = hostname().surrounded(|at| at.spec.edge = None);
    assert_eq!(given.rest(), (Reason::SettingMissing, None));
    assert!(!given.plan().fix.is_empty());
}

#[test]
fn the_document_may_ask_for_another_validation() {
    let given = active().changed(|spec| {
        let Spec::CustomHostname(spec) = spec else { panic!("a host name") };
        spec.validation = Some(Validation::Txt);
    });
    assert_eq!(given.reason(), Reason::EdgeDiffers);
    assert_eq!(Hostname::claims(&given.view()), [("hostname", NAME.to_owned())]);
}
