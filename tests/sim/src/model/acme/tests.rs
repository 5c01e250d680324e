use aws_lc_rs::signature::{EcdsaKeyPair, KeyPair as _};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use x509_parser::parse_x509_certificate;

use super::steering::{DAY, HOUR};
use super::*;
use crate::model::dns::Dns;
use crate::model::elliptic::Curve;

const START: i64 = 1_795_521_600_000;

/// A CA, its clock, and an account.
struct Tale {
    acme: Acme,
    dns: Dns,
    now: i64,
    account: String,
}

impl Tale {
    fn new(unkind: bool) -> Self {
        let mut acme = Acme::new(1, START, unkind);
        let (account, _) = acme.new_account(START, key(1), false, true).unwrap();
        Self { acme, dns: Dns::new(false), now: START, account: account.id }
    }

    fn order(&mut self, wish: &NewOrder) -> Result<Order, Problem> {
        self.acme.new_order(self.now, &self.account.clone(), wish)
    }

    /// Proves every name of an order; the validator saw what it should.
    fn prove(&mut self, order: &Order) {
        for id in &order.authorizations {
            let one = self.acme.authorization(self.now, &self.account, id).unwrap();
            if one.status_at(self.now) == AuthorizationStatus::Valid {
                continue;
            }
            let place = one.challenges.iter().position(|challenge| challenge.method == Method::Http01).unwrap();
            self.acme.answer_challenge(self.now, &self.account.clone(), id, place).unwrap();
            self.validate(Ok(()));
        }
    }

    fn validate(&mut self, seen: Result<(), Problem>) {
        self.now += self.acme.steering.validation_millis;
        for probe in self.acme.take_probes(self.now) {
            self.acme.conclude(self.now, &self.dns, "https://ca/acct/1", &probe, seen.clone());
        }
    }

    fn status(&self, order: &Order) -> OrderStatus {
        self.acme.order_status(self.now, self.acme.order(&self.account, &order.id).unwrap())
    }

    fn issue(&mut self, wish: &NewOrder) -> Result<Certificate, Problem> {
        let order = self.order(wish)?;
        self.prove(&order);
        let names: Vec<&str> = order.names.iter().map(String::as_str).collect();
        self.acme.finalize(self.now, &self.account.clone(), &order.id, &request(&names))?;
        self.now += self.acme.steering.processing_millis;
        self.acme.advance(self.now);
        let serial = self.acme.order(&self.account, &order.id)?.certificate.clone().unwrap();
        Ok(self.acme.certificates[&serial].clone())
    }
}

fn key(seed: u64) -> Jwk {
    Jwk::P256(pair(seed).public_key().as_ref().to_vec())
}

fn pair(seed: u64) -> EcdsaKeyPair {
    Curve::P256.open(&Curve::P256.draw(&mut Dice::new(seed, "account"))).unwrap()
}

fn request(names: &[&str]) -> Vec<u8> {
    request_by(&KeyPair::generate().unwrap(), names)
}

fn request_by(key: &KeyPair, names: &[&str]) -> Vec<u8> {
    let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.serialize_request(key).unwrap().der().to_vec()
}

fn wish(names: &[&str]) -> NewOrder {
    NewOrder { names: names.iter().map(|name| (*name).to_owned()).collect(), ..NewOrder::default() }
}

fn kind<T: std::fmt::Debug>(outcome: Result<T, Problem>) -> String {
    outcome.unwrap_err().kind
}

#[test]
fn an_order_becomes_a_certificate_for_its_names_and_its_profile_s_life() {
    for (profile, life) in [("classic", 90 * DAY), ("tlsserver", 45 * DAY), ("shortlived", 160 * HOUR)] {
        let mut tale = Tale::new(false);
        let ask = NewOrder { profile: Some(profile.into()), ..wish(&["b.example.com", "A.example.com"]) };
        let order = tale.order(&ask).unwrap();
        assert_eq!(tale.status(&order), OrderStatus::Pending);
        let early =
            tale.acme.finalize(START, &tale.account.clone(), &order.id, &request(&["a.example.com", "b.example.com"]));
        assert_eq!(kind(early), "orderNotReady");
        let made = tale.issue(&ask).unwrap();
        assert_eq!(made.order, order.id, "the open order was used again");
        let (_, parsed) = parse_x509_certificate(made.der()).unwrap();
        let names = parsed.subject_alternative_name().unwrap().unwrap().value.general_names.len();
        let lasts = parsed.validity().not_after.timestamp() - parsed.validity().not_before.timestamp() + 1;
        assert_eq!((names, lasts * 1000), (2, life), "{profile}");
        assert_eq!(tale.acme.counts().of(&["a.example.com", "b.example.com"]), 1);
    }
}

#[test]
fn a_chain_leads_to_the_root_and_the_alternate_one_to_the_other() {
    let mut tale = Tale::new(true);
    let made = tale.issue(&wish(&["www.example.com"])).unwrap();
    let roots = tale.acme.roots();
    for alternate in [false, true] {
        let chain = tale.acme.chain(&tale.account, &made.serial, alternate).unwrap();
        let blocks: Vec<Vec<u8>> =
            x509_parser::pem::Pem::iter_from_buffer(chain.as_bytes()).map(|pem| pem.unwrap().contents).collect();
        let root = x509_parser::pem::parse_x509_pem(roots[usize::from(alternate)].as_bytes()).unwrap().1;
        assert_eq!(blocks.len(), 2);
        let (leaf, middle) =
            (parse_x509_certificate(&blocks[0]).unwrap().1, parse_x509_certificate(&blocks[1]).unwrap().1);
        leaf.verify_signature(Some(middle.public_key())).unwrap();
        middle.verify_signature(Some(root.parse_x509().unwrap().public_key())).unwrap();
    }
}

#[test]
fn a_failed_challenge_kills_its_authorization_and_its_order() {
    let mut tale = Tale::new(false);
    let order = tale.order(&wish(&["a.example.com", "b.example.com"])).unwrap();
    let id = order.authorizations[0].clone();
    tale.acme.answer_challenge(START, &tale.account.clone(), &id, 0).unwrap();
    tale.validate(Err(Problem::new("connection", "refused")));
    assert_eq!(tale.status(&order), OrderStatus::Invalid);
    assert_eq!(tale.acme.order_problem(&order).unwrap().kind, "connection");
    tale.acme.answer_challenge(START, &tale.account.clone(), &id, 0).unwrap();
    assert!(tale.acme.take_probes(tale.now).is_empty(), "it is never looked at again");
    assert_ne!(tale.order(&wish(&["a.example.com", "b.example.com"])).unwrap().id, order.id);
}

#[test]
fn a_steered_refusal_strikes_the_name_it_is_for() {
    let mut tale = Tale::new(false);
    let problem = Problem::new("unauthorized", "no").about("a.example.com", Problem::new("caa", "CAA"));
    tale.acme.steering.refuse.insert("a.example.com".into(), Refusal { problem, times: Some(1) });
    let order = tale.order(&wish(&["a.example.com"])).unwrap();
    tale.prove(&order);
    assert_eq!(tale.status(&order), OrderStatus::Invalid);
    assert_eq!(tale.acme.order_problem(&order).unwrap().subproblems.len(), 1);
    assert!(tale.issue(&wish(&["a.example.com"])).is_ok(), "once");
    tale.acme.steering.reject.insert("b.example.com".into(), Problem::new("rejectedIdentifier", "policy"));
    assert_eq!(kind(tale.order(&wish(&["a.example.com", "b.example.com"]))), "rejectedIdentifier");
}

#[test]
fn dns_01_wants_the_value_on_every_name_server() {
    let mut tale = Tale::new(false);
    let order = tale.order(&wish(&["*.example.com"])).unwrap();
    let id = order.authorizations[0].clone();
    let one = tale.acme.authorization(START, &tale.account, &id).unwrap();
    assert_eq!((one.challenges.len(), one.challenges[0].method), (1, Method::Dns01), "a wildcard has no other way");
    tale.acme.answer_challenge(START, &tale.account.clone(), &id, 0).unwrap();
    let probe = tale.acme.take_probes(START).remove(0);
    tale.dns.add(START, "_acme-challenge.example.com", crate::model::dns::Kind::Txt, "of somebody else");
    tale.dns.add(START, "_acme-challenge.example.com", crate::model::dns::Kind::Txt, &probe.txt_value());
    tale.dns.servers[1].lag_millis = 1_000;
    let mut early = tale.acme.clone();
    early.conclude(START, &tale.dns, "", &probe, Ok(()));
    assert_eq!(early.authorizations().next().unwrap().problem().unwrap().kind, "dns");
    tale.acme.conclude(START + 1_000, &tale.dns, "", &probe, Ok(()));
    assert_eq!(tale.status(&order), OrderStatus::Ready);
}

#[test]
fn caa_that_forbids_is_a_failed_challenge() {
    let mut tale = Tale::new(false);
    tale.dns.add(0, "example.com", crate::model::dns::Kind::Caa, "0 issue \"pki.goog\"");
    let order = tale.order(&wish(&["www.example.com"])).unwrap();
    tale.prove(&order);
    assert_eq!(tale.acme.order_problem(&order).unwrap().kind, "caa");
}

#[test]
fn a_valid_authorization_is_used_again_as_long_as_the_profile_lets() {
    let mut tale = Tale::new(false);
    tale.issue(&wish(&["www.example.com"])).unwrap();
    let again = tale.order(&wish(&["www.example.com"])).unwrap();
    assert_eq!(tale.status(&again), OrderStatus::Ready);
    tale.now += 8 * HOUR;
    let short = NewOrder { profile: Some("tlsserver".into()), ..wish(&["www.example.com"]) };
    let short = tale.order(&short).unwrap();
    assert_eq!(tale.status(&short), OrderStatus::Pending);
    tale.now += 8 * HOUR;
    assert_eq!(tale.status(&short), OrderStatus::Invalid, "its time is over");
}

#[test]
fn requests_that_do_not_fit_are_refused() {
    let mut tale = Tale::new(false);
    let order = tale.order(&wish(&["www.example.com"])).unwrap();
    tale.prove(&order);
    let account = tale.account.clone();
    let pkcs8 = Curve::P256.draw(&mut Dice::new(1, "account"));
    let own = request_by(&KeyPair::try_from(pkcs8.as_slice()).unwrap(), &["www.example.com"]);
    let mut broken = request(&["www.example.com"]);
    *broken.last_mut().unwrap() ^= 1;
    for (what, csr) in [("names", request(&["other.example.com"])), ("own", own), ("broken", broken), ("empty", vec![])]
    {
        assert_eq!(kind(tale.acme.finalize(START, &account, &order.id, &csr)), "badCSR", "{what}");
    }
    assert_eq!(tale.status(&order), OrderStatus::Ready, "a refused request changes nothing");
}

#[test]
fn a_stuck_order_stays_processing_until_it_is_let_go() {
    let mut tale = Tale::new(false);
    tale.acme.steering.stuck = true;
    let order = tale.order(&wish(&["www.example.com"])).unwrap();
    tale.prove(&order);
    tale.acme.finalize(START, &tale.account.clone(), &order.id, &request(&["www.example.com"])).unwrap();
    tale.acme.advance(START + 5 * DAY);
    assert_eq!(tale.status(&order), OrderStatus::Processing);
    tale.acme.unstick(START + 5 * DAY);
    tale.acme.advance(START + 5 * DAY);
    assert_eq!(tale.status(&order), OrderStatus::Valid);
}

#[test]
fn a_wrong_certificate_is_wrong_in_one_thing_only() {
    let mut tale = Tale::new(false);
    tale.acme.steering.next_certificates = vec![Wrong::Expired, Wrong::NotYetValid, Wrong::OtherNames, Wrong::Nothing];
    let mut made = || tale.issue(&wish(&["www.example.com"])).unwrap();
    assert!(made().not_after < START);
    assert!(made().not_before > START);
    let other = made();
    let names =
        format!("{:?}", parse_x509_certificate(other.der()).unwrap().1.subject_alternative_name().unwrap().unwrap());
    assert!(names.contains("wrong.example"), "{names}");
    assert!(made().not_after > START);
}

#[test]
fn the_window_lies_at_two_thirds_and_in_the_past_after_a_revocation() {
    let mut tale = Tale::new(false);
    let made = tale.issue(&wish(&["www.example.com"])).unwrap();
    let ask = |acme: &mut Acme, now| acme.renewal_info(now, &made.renewal_id).unwrap().unwrap();
    let info = ask(&mut tale.acme, START);
    assert!(info.start > START + 58 * DAY && info.end < START + 62 * DAY && info.start < info.end);
    let retry = info.retry_after.unwrap();
    assert!((6 * 3600 * 8 / 10..=6 * 3600 * 12 / 10).contains(&retry), "{retry}");
    let der = made.der().to_vec();
    tale.acme.revoke(START, Revoker::Account(&tale.account.clone()), &der, 4).unwrap();
    assert!(ask(&mut tale.acme, START).end < START);
    assert_eq!(kind(tale.acme.revoke(START, Revoker::Account(&tale.account.clone()), &der, 4)), "alreadyRevoked");
    let window =
        Advice::Window { start: 5, end: 3, explanation: Some("https://ca/incident".into()), retry_after: None };
    tale.acme.steering.renewal_info.insert("*".into(), window);
    assert_eq!(ask(&mut tale.acme, START).explanation.as_deref(), Some("https://ca/incident"));
}

#[test]
fn a_certificate_is_replaced_once_and_by_its_owner() {
    let mut tale = Tale::new(false);
    let made = tale.issue(&wish(&["www.example.com"])).unwrap();
    let renewal = NewOrder { replaces: Some(made.renewal_id.clone()), ..wish(&["www.example.com"]) };
    let (other, _) = tale.acme.new_account(START, key(2), false, true).unwrap();
    assert_eq!(kind(tale.acme.new_order(START, &other.id, &renewal)), "unauthorized");
    let strange = NewOrder { names: vec!["x.example.com".into()], ..renewal.clone() };
    assert_eq!(kind(tale.order(&strange)), "malformed");
    let nobody = NewOrder { replaces: Some("AAAA.BBBB".into()), ..renewal.clone() };
    assert_eq!(tale.order(&nobody).unwrap_err().status, 404);
    let order = tale.order(&renewal).unwrap();
    let refused = tale.order(&renewal).unwrap_err();
    assert_eq!((refused.kind.as_str(), refused.status), ("alreadyReplaced", 409), "also while it is worked on");
    assert_eq!(
        tale.order(&wish(&["www.example.com"])).unwrap().id,
        order.id,
        "without it the order is handed out again"
    );
}

#[test]
fn rate_limits_refuse_with_the_time_to_wait_and_let_renewals_pass() {
    let mut tale = Tale::new(false);
    tale.acme.steering.limits = Some(Limits::lets_encrypt());
    let mut made = None;
    for _ in 0..5 {
        made = Some(tale.issue(&wish(&["www.example.com"])).unwrap());
    }
    let refused = tale.order(&wish(&["www.example.com"])).unwrap_err();
    assert_eq!((refused.kind.as_str(), refused.status), ("rateLimited", 429));
    assert!(refused.retry_after.unwrap() > DAY);
    let made = made.unwrap();
    let renewal = NewOrder { replaces: Some(made.renewal_id.clone()), ..wish(&["www.example.com"]) };
    assert_eq!(kind(tale.order(&renewal)), "rateLimited", "too early to be a renewal");
    let window = Advice::Window { start: tale.now - 1, end: tale.now + DAY, explanation: None, retry_after: None };
    tale.acme.steering.renewal_info.insert(made.serial, window);
    assert!(tale.order(&renewal).is_ok());
}

#[test]
fn a_registered_domain_has_fifty_new_certificates_a_week() {
    let mut tale = Tale::new(false);
    tale.acme.steering.limits = Some(Limits::lets_encrypt());
    for at in 0..50 {
        tale.issue(&wish(&[&format!("h{at}.example.com")])).unwrap();
    }
    assert_eq!(kind(tale.order(&wish(&["h50.example.com"]))), "rateLimited");
    assert!(tale.issue(&wish(&["h7.example.com"])).is_ok(), "the same names again are a renewal");
    assert!(tale.issue(&wish(&["h50.example.net"])).is_ok());
}

#[test]
fn failures_are_limited_and_a_paused_name_waits_for_a_person() {
    let mut tale = Tale::new(false);
    tale.acme.steering.limits = Some(Limits::lets_encrypt());
    let problem = Problem::new("connection", "refused");
    tale.acme.steering.refuse.insert("www.example.com".into(), Refusal { problem, times: None });
    for _ in 0..5 {
        let order = tale.order(&wish(&["www.example.com"])).unwrap();
        tale.prove(&order);
    }
    assert!(tale.order(&wish(&["www.example.com"])).unwrap_err().retry_after.is_some());
    tale.now += HOUR;
    tale.acme.pause(&tale.account.clone(), "www.example.com");
    let paused = tale.order(&wish(&["www.example.com"])).unwrap_err();
    assert!(paused.detail.contains("https://") && paused.retry_after.is_none());
    tale.acme.unpause(&tale.account.clone());
    assert!(tale.order(&wish(&["www.example.com"])).is_ok());
}

#[test]
fn an_account_can_be_ended_forgotten_and_found_again() {
    let mut tale = Tale::new(false);
    let (again, fresh) = tale.acme.new_account(START, key(1), true, false).unwrap();
    assert_eq!((again.id == tale.account, fresh), (true, false));
    assert_eq!(kind(tale.acme.new_account(START, key(9), true, false)), "accountDoesNotExist");
    tale.acme.forget_account(&again.id);
    assert_eq!(kind(tale.order(&wish(&["www.example.com"]))), "accountDoesNotExist");
    let (fresh, _) = tale.acme.new_account(START, key(1), false, true).unwrap();
    tale.acme.deactivate_account(&fresh.id).unwrap();
    assert_eq!(kind(tale.acme.new_account(START, key(1), true, false)), "unauthorized");
    assert_eq!(tale.acme.counts().accounts, 2);
}

#[test]
fn a_key_revoked_by_itself_is_never_certified_again() {
    let mut tale = Tale::new(false);
    let pkcs8 = Curve::P256.draw(&mut Dice::new(5, "leaf"));
    let leaf = KeyPair::try_from(pkcs8.as_slice()).unwrap();
    let jwk = Jwk::P256(Curve::P256.open(&pkcs8).unwrap().public_key().as_ref().to_vec());
    let order = tale.order(&wish(&["www.example.com"])).unwrap();
    tale.prove(&order);
    let account = tale.account.clone();
    tale.acme.finalize(START, &account, &order.id, &request_by(&leaf, &["www.example.com"])).unwrap();
    let der = tale.acme.certificates().next().unwrap().der().to_vec();
    assert_eq!(kind(tale.acme.revoke(START, Revoker::Key(&key(3)), &der, 1)), "unauthorized");
    tale.acme.revoke(START, Revoker::Key(&jwk), &der, 1).unwrap();
    let order = tale.order(&wish(&["www.example.com"])).unwrap();
    let again = tale.acme.finalize(START, &account, &order.id, &request_by(&leaf, &["www.example.com"]));
    assert_eq!(kind(again), "badPublicKey");
}

#[test]
fn names_that_no_public_ca_takes_are_named_one_by_one() {
    let mut tale = Tale::new(false);
    let refused = tale.order(&wish(&["ok.example.com", "192.0.2.1", "host.internal", "a_b.example.com"])).unwrap_err();
    assert_eq!((refused.kind.as_str(), refused.subproblems.len()), ("rejectedIdentifier", 3));
    let many: Vec<String> = (0..26).map(|at| format!("h{at}.example.com")).collect();
    let many = NewOrder { names: many, profile: Some("tlsserver".into()), replaces: None };
    assert_eq!(kind(tale.order(&many)), "malformed");
    let unknown = NewOrder { profile: Some("tlsclient".into()), ..wish(&["ok.example.com"]) };
    assert_eq!(kind(tale.order(&unknown)), "invalidProfile");
}

#[test]
fn a_nonce_is_good_once_and_good_ones_are_refused_at_times() {
    let mut acme = Acme::new(1, START, true);
    let refused = (0..1000).filter(|_| {
        let nonce = acme.nonce();
        acme.spend_nonce(&nonce).is_err()
    });
    let refused = refused.count();
    assert!((20..90).contains(&refused), "{refused}");
    acme.steering.bad_nonces_per_mille = 0;
    let nonce = acme.nonce();
    assert!(acme.spend_nonce(&nonce).is_ok());
    assert_eq!(kind(acme.spend_nonce(&nonce)), "badNonce");
}

#[test]
fn a_ca_that_was_written_down_goes_on() {
    let mut tale = Tale::new(true);
    let order = tale.order(&wish(&["www.example.com"])).unwrap();
    tale.acme.answer_challenge(tale.now, &tale.account.clone(), &order.authorizations[0], 0).unwrap();
    tale.now += 500;
    assert_eq!(tale.acme.take_probes(tale.now).len(), 1);
    let written = serde_json::to_string(&tale.acme).unwrap();
    let mut again: Acme = serde_json::from_str(&written).unwrap();
    assert_eq!(again.take_probes(tale.now).len(), 1, "a validation that was cut off is done again");
    assert_eq!(again.roots(), tale.acme.roots());
    assert_eq!(again.order(&tale.account, &order.id).unwrap().authorizations, order.authorizations);
}

#[test]
fn what_ended_long_ago_is_forgotten_and_still_counted() {
    let mut tale = Tale::new(false);
    let made = tale.issue(&wish(&["www.example.com"])).unwrap();
    tale.acme.advance(START + 100 * DAY);
    assert!(tale.acme.renewal_info(START + 100 * DAY, &made.renewal_id).is_ok());
    tale.acme.advance(START + 130 * DAY);
    assert_eq!(tale.acme.renewal_info(START + 130 * DAY, &made.renewal_id).unwrap_err().status, 404);
    assert_eq!((tale.acme.orders().count(), tale.acme.counts().orders), (0, 1));
}
