//! The adapter against a CA that answers badly.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use claviger_config::{Moment, Reason, Span, environment::SecretReference};
use claviger_core::{
    domain::{
        budget::Class,
        effect::{Account as AccountRecord, Sealed, Stage},
        failure::{Done, Retry, Stops},
    },
    ports::Acme,
};
use rustls_pki_types::PrivateKeyDer;
use serde_json::{Value, json};

use super::{
    script::{Line, Script, problem, say},
    *,
};

const NOW: &str = "2026-11-24T08:00:00Z";

struct Hands(AtomicI64);

impl Clock for Hands {
    fn now(&self) -> Moment {
        Moment(self.0.load(Ordering::SeqCst))
    }
    fn draw(&self) -> u64 {
        0
    }
}

struct World {
    script: Script,
    acme: AcmeCa,
    hands: Arc<Hands>,
    at: Surroundings,
    account: AccountRecord,
    key: Vec<u8>,
    opened: AtomicUsize,
    counted: Counted,
}

/// What the observer heard.
type Counted = Arc<Mutex<Vec<(String, String)>>>;

impl World {
    async fn new() -> Self {
        Self::waiting(Patience::default()).await
    }

    /// One that waits for a second only, for a CA that says nothing.
    async fn hasty() -> Self {
        Self::waiting(Patience { read: Duration::from_secs(1), ..Patience::default() }).await
    }

    async fn waiting(patience: Patience) -> Self {
        let script = Script::start().await;
        let hands = Arc::new(Hands(AtomicI64::new(now().0)));
        let counted = Counted::default();
        let counter = counted.clone();
        let observer = move |seen: &Observed<'_>| {
            counter.lock().unwrap().push((seen.operation.to_owned(), seen.code.to_owned()));
        };
        let acme = AcmeCa::patient(hands.clone(), Files::default(), Arc::new(observer), patience);
        let key = rcgen::KeyPair::generate().unwrap().serialize_der();
        let directory = format!("{}/dir", script.base);
        let at = surroundings(&directory);
        script.on("/account", [say(201, json!({})).with("location", format!("{}/acct/1", script.base))]);
        let registered = acme.register(&at, &issuer(), &secret(&key)).await.unwrap();
        let account = AccountRecord {
            issuer: issuer(),
            directory,
            url: registered.url,
            key: Sealed(String::new()),
            thumbprint: registered.thumbprint,
        };
        Self { script, acme, hands, at, account, key, opened: AtomicUsize::new(0), counted }
    }

    async fn open(&self, replaces: Option<&str>) -> Result<OrderSeen, Failure> {
        let names = [name("shop.dev.example.com")];
        let key = || self.open_key();
        let with = Session { at: &self.at, account: &self.account, key: &key };
        self.acme.open_order(with, &names, None, replaces).await
    }

    async fn look(&self) -> Result<OrderSeen, Failure> {
        let url = self.url("order");
        let key = || self.open_key();
        self.acme.order(Session { at: &self.at, account: &self.account, key: &key }, &url).await
    }

    async fn answer(&self) -> Result<(), Failure> {
        let url = self.url("order");
        let key = || self.open_key();
        self.acme.answer(Session { at: &self.at, account: &self.account, key: &key }, &url).await
    }

    async fn finalize(&self) -> Result<OrderSeen, Failure> {
        let url = self.url("order");
        let key = || self.open_key();
        self.acme.finalize(Session { at: &self.at, account: &self.account, key: &key }, &url, b"csr").await
    }

    async fn certificate(&self) -> Result<String, Failure> {
        let url = self.url("order");
        let key = || self.open_key();
        self.acme.certificate(Session { at: &self.at, account: &self.account, key: &key }, &url).await
    }

    fn open_key(&self) -> Answer<'_, Secret> {
        self.opened.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Ok(secret(&self.key)) })
    }

    fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.script.base)
    }

    fn order(&self, status: &str) -> Value {
        json!({ "status": status, "authorizations": [self.url("authz/1"), self.url("authz/2")],
            "finalize": self.url("finalize"), "certificate": self.url("cert") })
    }

    fn made(&self, status: &str) -> Line {
        say(201, self.order(status)).with("location", self.url("order"))
    }

    fn proof(&self, number: u32, status: &str, challenge: Value) -> Line {
        let mut challenge = challenge;
        challenge["url"] = json!(self.url(&format!("chall/{number}")));
        challenge["token"] = json!("token");
        let identifier = json!({ "type": "dns", "value": format!("{number}.dev.example.com") });
        say(200, json!({ "status": status, "identifier": identifier, "challenges": [challenge] }))
    }
}

fn now() -> Moment {
    NOW.parse().unwrap()
}

fn issuer() -> IssuerName {
    "pebble".parse().unwrap()
}

fn name(text: &str) -> DnsName {
    text.parse().unwrap()
}

fn secret(pkcs8: &[u8]) -> Secret {
    Secret::new(pkcs8.to_vec().into())
}

fn surroundings(directory: &str) -> Surroundings {
    let spec = json!({ "class": "non-production", "owner": "itops",
        "kms": { "accountId": "123456789012", "region": "eu-central-1", "aliasPrefix": "dev", "wrappingKey": "wrap" },
        "issuers": [{ "name": "pebble", "trust": "test", "acme": { "directory": directory } }] });
    Surroundings { name: "dev".parse().unwrap(), spec: serde_json::from_value(spec).unwrap() }
}

#[tokio::test]
async fn every_request_is_counted_by_what_it_is_for_and_how_it_ended() {
    let world = World::hasty().await;
    world.counted.lock().unwrap().clear();
    world.script.on("/order", [Line::Mute, problem(404, "malformed", "no order")]);
    world.look().await.unwrap_err();
    world.look().await.unwrap();
    let counted = world.counted.lock().unwrap().clone();
    let expected = [("new_nonce", "200"), ("read_order", "timeout"), ("new_nonce", "200"), ("read_order", "404")];
    assert_eq!(counted, expected.map(|(what, code)| (what.to_owned(), code.to_owned())));
}

#[tokio::test]
async fn exactly_the_roots_that_the_document_names_are_trusted() {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let folder = tempfile::tempdir().unwrap();
    let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let script = serve_tls(&certified).await;
    let (hands, files) =
        (Arc::new(Hands(AtomicI64::new(now().0))), Files { read: Some(folder.path().to_owned()), secrets: None });
    let acme = AcmeCa::patient(hands, files, Arc::new(|_| {}), Patience::default());
    let mut at = surroundings(&format!("{}/dir", script.base));
    at.spec.issuers[0].acme.as_mut().unwrap().trusted_roots =
        Some(SecretReference { file: Some("roots.pem".to_owned()), secret: None });
    let key = secret(&rcgen::KeyPair::generate().unwrap().serialize_der());
    let cases = [
        (other.cert.pem(), Err(Reason::AcmeUnreachable)),
        ("no certificate".to_owned(), Err(Reason::SettingMissing)),
        (format!("{}{}", other.cert.pem(), certified.cert.pem()), Ok(())),
        (other.cert.pem(), Err(Reason::AcmeUnreachable)),
    ];
    for (pem, expected) in cases {
        std::fs::write(folder.path().join("roots.pem"), pem).unwrap();
        let registered = acme.register(&at, &issuer(), &key).await;
        assert_eq!(registered.map(drop).map_err(|failure| failure.reason), expected);
    }
    at.spec.issuers[0].acme.as_mut().unwrap().trusted_roots = None;
    let failure = acme.register(&at, &issuer(), &key).await.unwrap_err();
    assert!(failure.fix[0].contains("roots"), "not the system's: {failure:?}");
}

async fn serve_tls(certified: &rcgen::CertifiedKey<rcgen::KeyPair>) -> Script {
    let key = PrivateKeyDer::Pkcs8(certified.signing_key.serialize_der().into());
    let chain = vec![certified.cert.der().clone()];
    let settings = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(settings));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let script = Script::at(format!("https://{}", listener.local_addr().unwrap()));
    script.on("/account", [say(201, json!({})).with("location", format!("{}/acct/1", script.base))]);
    let server = script.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                server.serve(stream).await;
            }
        }
    });
    script
}

#[tokio::test]
async fn an_account_is_kept_alive_until_the_directory_changes() {
    let world = World::new().await;
    world.script.on("/order", [say(200, world.order("ready"))]);
    for _ in 0..3 {
        assert_eq!(world.look().await.unwrap().stage, Stage::Ready);
    }
    assert_eq!((world.opened.load(Ordering::SeqCst), world.script.heard("/dir").len()), (0, 1), "registered, so alive");

    world.hands.0.fetch_add(Span::days(2).0, Ordering::SeqCst);
    world.look().await.unwrap();
    assert_eq!(
        (world.opened.load(Ordering::SeqCst), world.script.heard("/dir").len()),
        (0, 2),
        "read again, and the same"
    );

    let mut moved = world.script.directory();
    moved["newNonce"] = json!(world.url("other-nonce"));
    world.script.on("/other-nonce", [say(200, json!({}))]);
    world.script.on("/nonce", [problem(404, "malformed", "gone")]);
    world.script.on("/dir", [say(200, moved)]);
    assert_eq!(world.look().await.unwrap_err().reason, Reason::AcmeUnreachable);
    assert_eq!(world.look().await.unwrap().stage, Stage::Ready, "the directory was read again after the 404");
    assert_eq!(world.opened.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_account_that_the_ca_no_longer_takes_is_dropped() {
    let world = World::new().await;
    let gone = problem(400, "accountDoesNotExist", "no such account");
    world.script.on("/order", [gone, say(200, world.order("ready"))]);
    let failure = world.look().await.unwrap_err();
    assert_eq!((failure.reason, failure.done), (Reason::AccountRefused, Done::No));
    world.look().await.unwrap();
    assert_eq!(world.opened.load(Ordering::SeqCst), 1, "built again from its key");
}

#[tokio::test]
async fn a_limit_on_the_account_stops_all_orders_and_one_on_a_name_only_its_own() {
    let world = World::new().await;
    let cases = [
        ("too many new orders (300) from this account in the last 3h0m0s", Stops::Budget(Class::AcmeOrders)),
        ("too many certificates (50) already issued for \"example.com\" in the last 168h0m0s", Stops::Object),
        ("too many certificates (5) already issued for this exact set of identifiers", Stops::Object),
        ("too many failed authorizations (5) for \"shop.dev.example.com\" in the last 1h0m0s", Stops::Object),
        ("too many certificates already issued for my-example.com", Stops::Budget(Class::AcmeOrders)),
    ];
    for (words, stops) in cases {
        world.script.on("/new", [problem(429, "rateLimited", words).with("retry-after", "600")]);
        let failure = world.open(None).await.unwrap_err();
        assert_eq!((failure.reason, failure.stops, failure.done), (Reason::RateLimited, stops, Done::No), "{words}");
        assert_eq!(failure.retry, Retry::At(now() + Span::minutes(10)));
        assert!(failure.message.contains("limited until 2026-11-24T08:10:00Z"), "{}", failure.message);
    }
    world.script.on("/new", [problem(429, "rateLimited", "slow down").with("retry-after", "-1")]);
    assert_eq!(world.open(None).await.unwrap_err().retry, Retry::Later);
}

#[tokio::test]
async fn a_pause_hands_the_whole_link_to_a_person() {
    let world = World::new().await;
    let link = format!("https://portal.ca.example/unpause?jwt={}", "a".repeat(900));
    let words = format!("Your account is temporarily prevented from requesting certificates. Please visit: {link}.");
    world.script.on("/new", [problem(429, "rateLimited", &words)]);
    let failure = world.open(None).await.unwrap_err();
    assert_eq!((failure.reason, failure.retry, failure.stops), (Reason::AccountPaused, Retry::Never, Stops::Object));
    assert!(failure.fix[0].ends_with(&link), "{:?}", failure.fix);
}

#[tokio::test]
async fn each_refusal_has_its_reason_and_only_hopeless_ones_end_the_trying() {
    let world = World::new().await;
    let cases = [
        (400, "accountDoesNotExist", Reason::AccountRefused, Retry::Later),
        (403, "externalAccountRequired", Reason::AccountRefused, Retry::Never),
        (403, "userActionRequired", Reason::AccountRefused, Retry::Never),
        (403, "caa", Reason::CaaForbids, Retry::Later),
        (400, "dns", Reason::ChallengeFailed, Retry::Later),
        (400, "invalidProfile", Reason::ProfileUnknown, Retry::Later),
        (400, "rejectedIdentifier", Reason::Refused, Retry::Later),
        (400, "unsupportedIdentifier", Reason::Refused, Retry::Never),
        (400, "inventedTomorrow", Reason::Refused, Retry::Later),
    ];
    for (status, word, reason, retry) in cases {
        world.script.on("/new", [problem(status, word, "The CA's own words")]);
        let failure = world.open(None).await.unwrap_err();
        assert_eq!((failure.reason, failure.retry, failure.done), (reason, retry, Done::No), "{word}");
        let said = format!("cannot open an order at `pebble`: the CA says: The CA's own words ({word})");
        assert_eq!(failure.message, said);
    }
    let terms =
        problem(403, "userActionRequired", "new terms").with("link", "<https://ca.example/terms>;rel=terms-of-service");
    world.script.on("/new", [terms]);
    assert!(world.open(None).await.unwrap_err().fix.contains(&"read https://ca.example/terms".to_owned()));
}

#[tokio::test]
async fn a_busy_ca_is_left_alone_for_as_long_as_it_asks() {
    let world = World::new().await;
    let html =
        Line::Say(503, vec![("retry-after", "Tue, 24 Nov 2026 08:30:00 GMT".to_owned())], "<html>busy".to_owned());
    world.script.on("/new", [html.clone()]);
    let failure = world.open(None).await.unwrap_err();
    assert_eq!((failure.reason, failure.done), (Reason::AcmeUnreachable, Done::No));
    assert_eq!(
        (failure.retry, failure.stops),
        (Retry::At(now() + Span::minutes(30)), Stops::Budget(Class::AcmeRequests))
    );

    world.script.on("/nonce", [html]);
    assert_eq!(
        world.look().await.unwrap_err().retry,
        Retry::At(now() + Span::minutes(30)),
        "also where only a nonce was asked"
    );
}

#[tokio::test]
async fn a_request_that_may_have_arrived_may_have_been_done() {
    let world = World::hasty().await;
    world.script.on("/order", [say(200, world.order("ready"))]);
    for line in [Line::Cut, Line::Mute, problem(500, "serverInternal", "oops"), say(200, json!("no order"))] {
        world.script.on("/finalize", [line.clone()]);
        assert_eq!(world.finalize().await.unwrap_err().done, Done::Unknown);
        world.script.on("/new", [line]);
        assert_eq!(world.open(None).await.unwrap_err().done, Done::Unknown);
    }
}

#[tokio::test]
async fn a_request_that_never_left_was_not_done() {
    let world = World::hasty().await;
    // A HEAD has no body that could be cut: that is an answer without a nonce.
    world.script.on("/nonce", [Line::Cut]);
    assert_eq!(world.open(None).await.unwrap_err().done, Done::No);
    for line in [Line::Mute, problem(500, "serverInternal", "oops")] {
        world.script.on("/nonce", [line]);
        let failure = world.open(None).await.unwrap_err();
        assert_eq!((failure.reason, failure.done), (Reason::AcmeUnreachable, Done::No), "{}", failure.message);
    }
    let nobody = surroundings("http://127.0.0.1:1/dir");
    let failure = world.acme.register(&nobody, &issuer(), &secret(&world.key)).await.unwrap_err();
    assert_eq!((failure.reason, failure.done), (Reason::AcmeUnreachable, Done::No));
}

#[tokio::test]
async fn nothing_is_sent_in_the_clear_but_to_loopback_and_no_redirect_is_followed() {
    let world = World::new().await;
    let mut evil = world.script.directory();
    evil["newNonce"] = json!("http://198.51.100.1/nonce");
    world.script.on("/order", [say(200, world.order("ready"))]);
    world.script.on("/dir", [say(200, evil)]);
    world.hands.0.fetch_add(Span::days(2).0, Ordering::SeqCst);
    let failure = world.look().await.unwrap_err();
    assert_eq!((failure.reason, failure.done), (Reason::AnswerNotUnderstood, Done::No), "{}", failure.message);

    let world = World::new().await;
    world.script.on("/order", [Line::Say(302, vec![("location", world.url("elsewhere"))], String::new())]);
    assert_eq!(world.look().await.unwrap_err().reason, Reason::AnswerNotUnderstood);
    assert!(world.script.heard("/elsewhere").is_empty());
}

#[tokio::test]
async fn answers_that_are_none_are_not_understood() {
    let world = World::new().await;
    let html = |status| Line::Say(status, Vec::new(), "<html>hello</html>".to_owned());
    let empty = |status| Line::Say(status, Vec::new(), String::new());
    let odd = say(200, json!({ "status": "unheard-of", "authorizations": [], "finalize": "x" }));
    for line in [html(200), empty(200), html(403), empty(400), Line::Endless, odd] {
        world.script.on("/order", [line]);
        let failure = world.look().await.unwrap_err();
        assert_eq!((failure.reason, failure.done), (Reason::AnswerNotUnderstood, Done::No), "{}", failure.message);
    }
}

#[tokio::test]
async fn refused_nonces_are_borne_for_a_while() {
    let world = World::new().await;
    let refused = || problem(400, "badNonce", "again");
    world.script.on("/order", (0..9).map(|_| refused()).chain([say(200, world.order("ready"))]));
    assert_eq!(world.look().await.unwrap().stage, Stage::Ready);

    world.script.on("/order", [refused()]);
    let asked = world.script.heard("/order").len();
    let failure = world.look().await.unwrap_err();
    assert_eq!((failure.reason, failure.retry, failure.done), (Reason::AcmeUnreachable, Retry::Later, Done::No));
    assert_eq!(world.script.heard("/order").len() - asked, 18, "three attempts, and three more for each of five");
}

#[tokio::test]
async fn a_replacement_that_is_not_wanted_costs_nothing_but_the_favour() {
    let world = World::new().await;
    let refusals = [
        problem(409, "alreadyReplaced", "replaced before"),
        problem(403, "unauthorized", "not yours"),
        problem(404, "malformed", "unknown"),
        problem(400, "malformed", "no shared name"),
    ];
    for refusal in refusals {
        world.script.on("/new", [refusal, world.made("pending")]);
        let asked = world.script.heard("/new").len();
        let order = world.open(Some("aki.serial")).await.unwrap();
        assert!(!order.replaces);
        let heard = world.script.heard("/new").split_off(asked);
        let sent: Vec<Option<&str>> = heard.iter().map(|heard| heard.payload["replaces"].as_str()).collect();
        assert_eq!(sent, [Some("aki.serial"), None]);
    }
    world.script.on("/new", [problem(429, "rateLimited", "too many new orders")]);
    world.open(Some("aki.serial")).await.unwrap_err();
    assert_eq!(world.script.heard("/new").len(), 9, "another refusal has nothing to do with it");
}

#[tokio::test]
async fn an_order_is_not_lost_when_the_ca_does_not_repeat_what_it_replaces() {
    let world = World::new().await;
    world.script.on("/new", [world.made("ready")]);
    let order = world.open(Some("aki.serial")).await.unwrap();
    assert_eq!((order.url, order.stage, order.replaces), (world.url("order"), Stage::Ready, false));
    assert_eq!(world.script.heard("/new").len(), 1, "no second order");

    let mut taken = world.order("pending");
    taken["replaces"] = json!("aki.serial");
    world.script.on("/new", [say(201, taken).with("location", world.url("order"))]);
    assert!(world.open(Some("aki.serial")).await.unwrap().replaces);
}

#[tokio::test]
async fn nothing_is_replaced_at_a_ca_without_renewal_information() {
    let world = World::new().await;
    let mut plain = world.script.directory();
    plain["renewalInfo"] = Value::Null;
    world.script.on("/dir", [say(200, plain)]);
    world.hands.0.fetch_add(Span::days(2).0, Ordering::SeqCst);
    world.script.on("/new", [world.made("pending")]);
    assert!(!world.open(Some("aki.serial")).await.unwrap().replaces);
    assert_eq!(world.script.heard("/new")[0].payload["replaces"], Value::Null);
    let key = || world.open_key();
    let with = Session { at: &world.at, account: &world.account, key: &key };
    assert_eq!(world.acme.window(with, "aki.serial").await.unwrap(), None);
}

#[tokio::test]
async fn an_order_that_the_ca_does_not_know_is_gone() {
    let world = World::new().await;
    let mut expired = world.order("pending");
    expired["expires"] = json!("2026-11-24T07:59:59Z");
    for line in [problem(404, "malformed", "no order"), problem(400, "malformed", "no order"), say(200, expired)] {
        world.script.on("/order", [line]);
        assert_eq!(world.look().await.unwrap().stage, Stage::Gone);
    }
    world.script.on("/order", [problem(404, "malformed", "no order")]);
    assert_eq!(world.answer().await.unwrap_err().reason, Reason::OrderLost);
    assert_eq!(world.certificate().await.unwrap_err().reason, Reason::OrderLost);
    assert_eq!(world.finalize().await.unwrap().stage, Stage::Gone);
}

#[tokio::test]
async fn challenges_that_wait_are_counted_and_answered_once() {
    let world = World::new().await;
    world.script.on("/order", [say(200, world.order("pending")).with("retry-after", "0")]);
    world.script.on("/authz/1", [world.proof(1, "pending", json!({ "type": "http-01", "status": "pending" }))]);
    world.script.on("/authz/2", [world.proof(2, "pending", json!({ "type": "http-01", "status": "processing" }))]);
    world
        .script
        .on("/chall/1", [say(200, json!({ "type": "http-01", "status": "processing", "url": "u", "token": "t" }))]);
    let order = world.look().await.unwrap();
    assert_eq!(order.stage, Stage::Pending { unanswered: 1 });
    assert_eq!(order.ask_again, Some(now() + Span::seconds(1)));
    world.answer().await.unwrap();
    assert_eq!((world.script.heard("/chall/1").len(), world.script.heard("/chall/2").len()), (1, 0));
}

#[tokio::test]
async fn an_answer_that_came_twice_is_fine_where_the_challenge_no_longer_waits() {
    let world = World::new().await;
    world.script.on("/order", [say(200, world.order("pending"))]);
    let waiting = world.proof(1, "pending", json!({ "type": "http-01", "status": "pending" }));
    let done = world.proof(1, "valid", json!({ "type": "http-01", "status": "valid" }));
    world.script.on("/authz/2", [done.clone()]);
    world.script.on("/chall/1", [problem(400, "malformed", "not pending")]);
    world.script.on("/authz/1", [waiting.clone(), done]);
    world.answer().await.unwrap();
    world.script.on("/authz/1", [waiting]);
    assert_eq!(world.answer().await.unwrap_err().reason, Reason::Refused);
}

#[tokio::test]
async fn a_failed_order_tells_of_each_name_what_the_ca_said() {
    let world = World::new().await;
    let failed = |word: &str, detail: &str| json!({ "type": "http-01", "status": "invalid", "error": { "type": format!("urn:ietf:params:acme:error:{word}"), "detail": detail } });
    world.script.on("/order", [say(200, world.order("invalid"))]);
    world.script.on("/authz/1", [world.proof(1, "invalid", failed("caa", "CAA forbids it"))]);
    world.script.on("/authz/2", [world.proof(2, "invalid", failed("connection", "timed out\u{1b}[2J"))]);
    let Stage::Invalid(failure) = world.look().await.unwrap().stage else { panic!("the order is invalid") };
    assert_eq!(failure.reason, Reason::ChallengeFailed);
    assert_eq!(
        failure.message,
        "`pebble` could not verify `1.dev.example.com`: CAA forbids it (caa); `2.dev.example.com`: timed out [2J (connection)"
    );
    assert_eq!(failure.fix.len(), 2);

    world.script.on("/authz/2", [world.proof(2, "valid", json!({ "type": "http-01", "status": "valid" }))]);
    let Stage::Invalid(failure) = world.look().await.unwrap().stage else { panic!("the order is invalid") };
    assert_eq!(failure.reason, Reason::CaaForbids);
}

#[tokio::test]
async fn an_order_that_failed_while_it_was_issued_tells_why() {
    let world = World::new().await;
    let mut order = world.order("invalid");
    order["error"] = json!({ "type": "urn:ietf:params:acme:error:caa", "detail": "rechecked", "subproblems": [
        { "type": "urn:ietf:params:acme:error:caa", "detail": "no", "identifier": { "type": "dns", "value": "1.dev.example.com" } }] });
    world.script.on("/order", [say(200, order)]);
    let Stage::Invalid(failure) = world.look().await.unwrap().stage else { panic!("the order is invalid") };
    assert_eq!(failure.reason, Reason::CaaForbids, "although its authorizations can no longer be read");
    assert!(failure.message.contains("`1.dev.example.com`: no (caa)"), "{}", failure.message);
}

#[tokio::test]
async fn an_order_that_cannot_be_proven_by_http_says_what_is_offered() {
    let world = World::new().await;
    world.script.on("/order", [say(200, world.order("pending"))]);
    for number in [1, 2] {
        world.script.on(
            &format!("/authz/{number}"),
            [world.proof(number, "pending", json!({ "type": "dns-99", "status": "pending" }))],
        );
    }
    let Stage::Invalid(failure) = world.look().await.unwrap().stage else { panic!("it cannot be proven") };
    assert_eq!(failure.reason, Reason::ChallengeFailed);
    assert!(failure.message.contains("offers `dns-99`"), "{}", failure.message);
    assert_eq!(world.answer().await.unwrap_err().reason, Reason::ChallengeFailed);
}

#[tokio::test]
async fn a_request_is_handed_in_only_when_the_order_is_ready() {
    let world = World::new().await;
    for (status, stage) in [("processing", Stage::Processing), ("valid", Stage::Valid)] {
        world.script.on("/order", [say(200, world.order(status))]);
        assert_eq!(world.finalize().await.unwrap().stage, stage);
    }
    assert!(world.script.heard("/finalize").is_empty());

    world.script.on("/order", [say(200, world.order("ready")), say(200, world.order("valid"))]);
    world.script.on("/finalize", [problem(403, "orderNotReady", "another was quicker")]);
    assert_eq!(world.finalize().await.unwrap().stage, Stage::Valid);

    world.script.on("/order", [say(200, world.order("ready"))]);
    world.script.on("/finalize", [say(200, world.order("processing")).with("retry-after", "9999999")]);
    let order = world.finalize().await.unwrap();
    assert_eq!((order.stage, order.ask_again), (Stage::Processing, Some(now() + Span::hours(1))));
}

#[tokio::test]
async fn only_a_chain_of_a_sane_size_is_taken() {
    let world = World::new().await;
    world.script.on("/order", [say(200, world.order("valid"))]);
    let chain = |length| Line::Say(200, Vec::new(), format!("-----BEGIN CERTIFICATE-----\n{}", "A".repeat(length)));
    world.script.on("/cert", [chain(4_000)]);
    assert_eq!(world.certificate().await.unwrap().len(), 4_028);
    world.script.on("/cert", [chain(300_000)]);
    assert_eq!(world.certificate().await.unwrap_err().reason, Reason::WrongCertificate);
    world.script.on("/cert", [Line::Say(200, Vec::new(), "soon".to_owned())]);
    assert_eq!(world.certificate().await.unwrap_err().reason, Reason::AnswerNotUnderstood);
    world.script.on("/order", [say(200, world.order("invalid"))]);
    assert_eq!(world.certificate().await.unwrap_err().reason, Reason::OrderLost);
}

#[tokio::test]
async fn a_profile_is_looked_up_before_anything_is_ordered() {
    let world = World::new().await;
    world.script.on("/new", [world.made("pending")]);
    let names = [name("shop.dev.example.com")];
    let key = || world.open_key();
    let with = Session { at: &world.at, account: &world.account, key: &key };
    let failure = world.acme.open_order(with, &names, Some("shortlived"), None).await.unwrap_err();
    assert_eq!(failure.reason, Reason::ProfileUnknown);
    assert!(failure.message.contains("it offers `classic`"), "{}", failure.message);
    assert!(world.script.heard("/new").is_empty());

    let mut grown = world.script.directory();
    grown["meta"]["profiles"]["shortlived"] = json!("Six days");
    world.script.on("/dir", [say(200, grown)]);
    world.acme.open_order(with, &names, Some("shortlived"), None).await.unwrap();
    assert_eq!(world.script.heard("/new")[0].payload["profile"], "shortlived");
}

#[tokio::test]
async fn renewal_information_that_does_not_exist_is_none() {
    let world = World::new().await;
    let key = || world.open_key();
    let with = Session { at: &world.at, account: &world.account, key: &key };
    assert_eq!(world.acme.window(with, "aki.serial").await.unwrap(), None);
    world.script.on("/ari/aki.serial", [problem(500, "serverInternal", "oops")]);
    assert_eq!(world.acme.window(with, "aki.serial").await.unwrap_err().reason, Reason::AcmeUnreachable);
    let window = json!({ "suggestedWindow": { "start": "2026-12-01T00:00:00Z", "end": "2026-12-02T00:00:00Z" } });
    world.script.on("/ari/aki.serial", [say(200, window)]);
    assert!(world.acme.window(with, "aki.serial").await.unwrap().is_some());
    assert_eq!(world.opened.load(Ordering::SeqCst), 0, "no key is needed");
}

#[tokio::test]
async fn contacts_follow_the_registration_and_every_request_says_who_asks() {
    let world = World::new().await;
    let mut at = world.at.clone();
    at.spec.issuers[0].acme.as_mut().unwrap().contacts = vec!["mailto:itops@example.com".to_owned()];
    world.script.on("/acct/1", [say(200, json!({ "status": "valid" }))]);
    for _ in 0..2 {
        let registered = world.acme.register(&at, &issuer(), &secret(&world.key)).await.unwrap();
        assert_eq!(
            (registered.url.as_str(), registered.thumbprint.as_str()),
            (&*world.account.url, &*world.account.thumbprint)
        );
    }
    assert_eq!(world.script.heard("/account")[0].payload["termsOfServiceAgreed"], true);
    let told = &world.script.heard("/acct/1")[1];
    assert_eq!(told.payload["contact"], json!(["mailto:itops@example.com"]));
    assert!(told.head.contains(concat!("user-agent: claviger/", env!("CARGO_PKG_VERSION"), "\r\n")), "{}", told.head);
}

#[tokio::test]
async fn a_key_or_directory_that_is_not_the_accounts_is_refused() {
    let world = World::new().await;
    let key = || world.open_key();
    let mut account = world.account.clone();
    account.thumbprint = "another".to_owned();
    let with = Session { at: &world.at, account: &account, key: &key };
    assert_eq!(world.acme.order(with, "http://127.0.0.1:1/order").await.unwrap_err().reason, Reason::AccountRefused);

    let mut account = world.account.clone();
    account.directory = "https://ca.example/directory".to_owned();
    let with = Session { at: &world.at, account: &account, key: &key };
    let failure = world.acme.order(with, "http://127.0.0.1:1/order").await.unwrap_err();
    assert_eq!(failure.reason, Reason::AccountRefused);
    assert!(failure.message.contains("https://ca.example/directory"), "{}", failure.message);
}
