//! The adapter against a CA that answers badly.

mod orders;

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
