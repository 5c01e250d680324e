//! The CA as a client that nobody here wrote sees it, and as one that breaks the rules does.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeType, Identifier, NewAccount, NewOrder, OrderStatus,
    RetryPolicy,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::fault::{Fault, RetryAfter, Rule, Service};
use crate::http::trial::{Clock, client};
use crate::{Options, Running, World};

/// Files that answer http-01, by token; every request is noted as Host and path.
#[derive(Clone, Default)]
struct Files(Arc<Mutex<Shelf>>);

#[derive(Default)]
struct Shelf {
    files: Vec<(String, String)>,
    asked: Vec<String>,
}

impl Files {
    fn put(&self, token: &str, content: &str) {
        self.0.lock().unwrap().files.push((token.into(), content.into()));
    }

    async fn serve(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let files = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let files = files.clone();
                let answer = service_fn(move |request| {
                    let answer = files.answer(&request);
                    async { answer }
                });
                tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
            }
        });
        address
    }

    fn answer(&self, request: &hyper::Request<hyper::body::Incoming>) -> http::Result<hyper::Response<Full<Bytes>>> {
        let Shelf { files, asked } = &mut *self.0.lock().unwrap();
        let path = request.uri().path();
        asked.push(format!("{}{path}", request.headers()["host"].to_str().unwrap()));
        let token = path.strip_prefix("/.well-known/acme-challenge/").unwrap_or_default();
        match files.iter().find(|(known, _)| known == token) {
            Some((_, content)) => hyper::Response::builder().body(Full::from(content.clone())),
            None => hyper::Response::builder().status(404).body(Full::default()),
        }
    }
}

async fn world(unkind: bool) -> (Running, Clock, Files) {
    let (clock, files) = (Clock::new(), Files::default());
    let http01 = Some(files.serve().await);
    let world = World::start(Options { http01, unkind, ..clock.options() }).await.unwrap();
    world.acme().steering.poll_seconds = None;
    (world, clock, files)
}

async fn account(world: &Running) -> Account {
    let http = Client::builder(TokioExecutor::new()).build_http();
    let wish = NewAccount { contact: &[], terms_of_service_agreed: true, only_return_existing: false };
    let builder = Account::builder_with_http(Box::new(http));
    builder.create(&wish, world.addresses().acme.clone(), None).await.unwrap().0
}

async fn issue(account: &Account, files: &Files, wish: &NewOrder<'_>) -> String {
    let mut order = account.new_order(wish).await.unwrap();
    let mut authorizations = order.authorizations();
    while let Some(one) = authorizations.next().await {
        let mut one = one.unwrap();
        if one.status == AuthorizationStatus::Valid {
            continue;
        }
        let mut challenge = one.challenge(ChallengeType::Http01).unwrap();
        files.put(&challenge.token, challenge.key_authorization().as_str());
        challenge.set_ready().await.unwrap();
    }
    assert_eq!(order.poll_ready(&QUICK).await.unwrap(), OrderStatus::Ready);
    order.finalize().await.unwrap();
    order.poll_certificate(&QUICK).await.unwrap()
}

const QUICK: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(10)).backoff(1.0).timeout(Duration::from_secs(10));

fn dns(name: &str) -> Identifier {
    Identifier::Dns(name.into())
}

#[tokio::test]
async fn instant_acme_gets_renews_and_revokes_a_certificate() {
    let (world, clock, files) = world(false).await;
    let account = account(&world).await;
    let names = [dns("www.example.com"), dns("api.example.com")];
    let wish = NewOrder::new(&names).profile("tlsserver");
    let chain = issue(&account, &files, &wish).await;
    assert_eq!(chain.matches("BEGIN CERTIFICATE").count(), 2);
    let seen = files.0.lock().unwrap().asked.clone();
    assert!(seen.iter().any(|ask| ask.starts_with("www.example.com/")), "{seen:?}");

    let leaf = x509_parser::pem::parse_x509_pem(chain.as_bytes()).unwrap().1.contents;
    let leaf = rustls_pki_types::CertificateDer::from(leaf);
    let id = CertificateIdentifier::try_from(&leaf).unwrap().into_owned();
    let (window, _) = account.renewal_info(&id).await.unwrap();
    clock.pass(window.suggested_window.start.unix_timestamp() * 1000 - clock.now() + 1);
    let wish = NewOrder::new(&names).profile("tlsserver").replaces(id);
    issue(&account, &files, &wish).await;
    let counts = world.acme().counts().clone();
    assert_eq!((counts.orders, counts.of(&["api.example.com", "www.example.com"])), (2, 2));

    let revocation = instant_acme::RevocationRequest { certificate: &leaf, reason: None };
    account.revoke(&revocation).await.unwrap();
    assert!(world.acme().certificates().any(|one| one.revoked.is_some()));
}

#[tokio::test]
async fn an_unkind_ca_is_still_one_that_certificates_can_be_had_from() {
    let (world, clock, files) = world(true).await;
    let mover = clock.clone();
    let moving = tokio::spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_millis(5));
        loop {
            tick.tick().await;
            mover.pass(20);
        }
    });
    world.acme().steering.limits = None;
    let account = account(&world).await;
    for at in 0..5 {
        let names = [dns(&format!("h{at}.example.com"))];
        issue(&account, &files, &NewOrder::new(&names)).await;
    }
    assert_eq!(world.acme().counts().certificates, 5);
    moving.abort();
}

#[tokio::test]
async fn an_account_changes_its_key_and_ends() {
    let (world, ..) = world(false).await;
    let mut account = account(&world).await;
    let before = world.acme().accounts().next().unwrap().key.clone();
    let _ = account.update_key().await.unwrap();
    assert_ne!(world.acme().accounts().next().unwrap().key, before);
    let names = [dns("www.example.com")];
    account.new_order(&NewOrder::new(&names)).await.unwrap();
    account.deactivate().await.unwrap();
    assert_eq!(world.acme().accounts().next().unwrap().status, crate::model::acme::AccountStatus::Deactivated);
}

#[tokio::test]
async fn a_name_that_does_not_answer_fails_for_good() {
    let (world, ..) = world(false).await;
    let account = account(&world).await;
    let names = [dns("www.example.com")];
    let mut order = account.new_order(&NewOrder::new(&names)).await.unwrap();
    let mut authorizations = order.authorizations();
    let mut one = authorizations.next().await.unwrap().unwrap();
    one.challenge(ChallengeType::Http01).unwrap().set_ready().await.unwrap();
    let failed = order.poll_ready(&QUICK).await.unwrap_err();
    assert!(failed.to_string().contains("404"), "{failed}");
    assert_eq!(order.state().status, OrderStatus::Invalid);
}

/// A client that does what it is told, right or wrong.
struct Hand {
    key: EcdsaKeyPair,
    client: reqwest::Client,
    base: String,
}

impl Hand {
    fn new(world: &Running) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self { key, client: client(), base: world.addresses().acme.trim_end_matches("/dir").to_owned() }
    }

    async fn nonce(&self) -> String {
        let head = self.client.head(format!("{}/nonce", self.base)).send().await.unwrap();
        head.headers()["replay-nonce"].to_str().unwrap().to_owned()
    }

    fn jwk(&self) -> Value {
        let point = self.key.public_key().as_ref();
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({ "kty": "EC", "crv": "P-256", "x": text(&point[1..33]), "y": text(&point[33..]) })
    }

    fn sign(&self, header: &Value, payload: &str) -> Value {
        let (protected, payload) = (URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(payload));
        let signature = self.key.sign(&SystemRandom::new(), format!("{protected}.{payload}").as_bytes()).unwrap();
        json!({ "protected": protected, "payload": payload, "signature": URL_SAFE_NO_PAD.encode(signature.as_ref()) })
    }

    async fn send(&self, path: &str, body: &Value) -> (u16, String, Value, reqwest::header::HeaderMap) {
        let request = self.client.post(format!("{}{path}", self.base)).header("content-type", "application/jose+json");
        let answer = request.body(body.to_string()).send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default();
        let kind = body["type"].as_str().and_then(|kind| kind.rsplit(':').next()).unwrap_or_default().to_owned();
        (status, kind, body, headers)
    }

    async fn post(&self, path: &str, who: Value, payload: &str) -> (u16, String, Value, reqwest::header::HeaderMap) {
        let mut header = json!({ "alg": "ES256", "nonce": self.nonce().await, "url": format!("{}{path}", self.base) });
        header.as_object_mut().unwrap().extend(who.as_object().unwrap().clone());
        self.send(path, &self.sign(&header, payload)).await
    }

    async fn account(&self) -> Value {
        let agreed = json!({ "termsOfServiceAgreed": true }).to_string();
        let (status, _, _, headers) = self.post("/new-acct", json!({ "jwk": self.jwk() }), &agreed).await;
        assert!(status < 300, "{status}");
        json!({ "kid": headers["location"].to_str().unwrap() })
    }
}

#[tokio::test]
async fn a_request_that_breaks_a_rule_is_refused_by_that_rule() {
    let (world, ..) = world(false).await;
    let hand = Hand::new(&world);
    let (url, jwk) = (format!("{}/new-acct", hand.base), hand.jwk());
    let good = json!({ "alg": "ES256", "nonce": hand.nonce().await, "url": url, "jwk": jwk });
    let with = |name: &str, value: Value| {
        let mut header = good.clone();
        header[name] = value;
        header
    };
    let body = json!({ "termsOfServiceAgreed": true }).to_string();
    let refusals = [
        ("unauthorized", with("url", json!(format!("{}/new-order", hand.base)))),
        ("badSignatureAlgorithm", with("alg", json!("RS256"))),
        ("malformed", with("kid", json!(format!("{}/acct/1", hand.base)))),
        ("malformed", with("jwk", Value::Null)),
        ("badPublicKey", with("jwk", json!({ "kty": "OKP" }))),
        ("badNonce", with("nonce", json!("never given"))),
    ];
    for (expected, mut header) in refusals {
        if header["nonce"] != "never given" {
            header["nonce"] = json!(hand.nonce().await);
        }
        let (_, kind, document, headers) = hand.send("/new-acct", &hand.sign(&header, &body)).await;
        assert_eq!(kind, expected, "{document}");
        assert!(headers.contains_key("replay-nonce"));
    }
    let mut forged = hand.sign(&with("nonce", json!(hand.nonce().await)), &body);
    forged["payload"] = json!(URL_SAFE_NO_PAD.encode("{}"));
    assert_eq!(hand.send("/new-acct", &forged).await.1, "malformed");
    assert_eq!(world.acme().counts().accounts, 0);
}

#[tokio::test]
async fn only_signed_requests_see_more_than_the_directory() {
    let (world, ..) = world(false).await;
    let hand = Hand::new(&world);
    let who = hand.account().await;
    let names = json!({ "identifiers": [{ "type": "dns", "value": "www.example.com" }] }).to_string();
    let (status, _, order, headers) = hand.post("/new-order", who.clone(), &names).await;
    assert_eq!((status, &order["status"]), (201, &json!("pending")));
    let place = headers["location"].to_str().unwrap();
    assert_eq!(hand.client.get(place).send().await.unwrap().status(), 405);
    let path = place.strip_prefix(&hand.base).unwrap();
    assert_eq!(hand.post(path, who, "").await.0, 200);
    let stranger = Hand::new(&world);
    let who = stranger.account().await;
    assert_eq!(stranger.post(path, who, "").await.0, 404);
}

#[tokio::test]
async fn a_second_account_for_a_key_is_the_first_one() {
    let (world, ..) = world(false).await;
    let hand = Hand::new(&world);
    assert_eq!(hand.account().await, hand.account().await);
    assert_eq!(world.acme().counts().accounts, 1);
}

#[tokio::test]
async fn a_lost_order_is_handed_out_again() {
    let (world, ..) = world(false).await;
    let hand = Hand::new(&world);
    let who = hand.account().await;
    world.faults().add(Rule::once(Service::Acme, "newOrder", Fault::AnswerLost));
    let names = json!({ "identifiers": [{ "type": "dns", "value": "www.example.com" }] }).to_string();
    let header = json!({ "alg": "ES256", "nonce": hand.nonce().await, "url": format!("{}/new-order", hand.base), "kid": who["kid"] });
    let lost = hand.client.post(format!("{}/new-order", hand.base)).header("content-type", "application/jose+json");
    assert!(lost.body(hand.sign(&header, &names).to_string()).send().await.is_err());
    assert_eq!(hand.post("/new-order", who, &names).await.0, 201);
    assert_eq!(world.acme().counts().orders, 1);
}

#[tokio::test]
async fn a_throttled_call_is_a_problem_with_a_time() {
    let (world, ..) = world(false).await;
    let hand = Hand::new(&world);
    world.faults().add(Rule::once(Service::Acme, "newAccount", Fault::Throttle(RetryAfter::Seconds(90))));
    let (status, kind, _, headers) = hand.post("/new-acct", json!({ "jwk": hand.jwk() }), "{}").await;
    assert_eq!((status, kind.as_str(), &headers["retry-after"]), (429, "rateLimited", &"90".parse().unwrap()));
}

#[tokio::test]
async fn a_client_without_a_name_is_refused() {
    let (world, ..) = world(false).await;
    let hand = Hand::new(&world);
    let nameless = Hand { client: reqwest::Client::builder().no_proxy().build().unwrap(), ..Hand::new(&world) };
    assert_eq!(nameless.post("/new-acct", json!({ "jwk": hand.jwk() }), "{}").await.1, "malformed");
}
