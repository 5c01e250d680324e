//! From effects to calls: which secret is opened for whom, what comes back, and what is refused before anybody is called.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends here")]

use std::{
    collections::BTreeMap,
    future::Future,
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use claviger_config::{
    DnsName, EnvironmentName, IssuerName, KeyAlgorithm, Kind, Moment, ObjectName, Reason, Span,
    desired::{Spec, Surroundings, Wanted},
    hostname::{Origin, Validation},
    key::{KeySpec, Purpose},
};
use claviger_core::{
    domain::{
        effect::{
            Account, AcmeEffect, Chain, DnsAnswer, DnsQuestion, EdgeEffect, EdgeSettings, Effect, HostnameSeen,
            KeySeen, KeyUse, KmsEffect, News, OrderSeen, OutletEffect, OutletSeen, OutletTarget, Query, ReloadSeen,
            Sealed, Stage, VaultEffect, Window,
        },
        failure::Failure,
        neighbours::Neighbours,
        record::Intent,
    },
    ports::{
        Acme, Answer, Binding, Commit, Craft, Dns, Edge, Expected, Kms, MadeKey, NewKey, Outlet, Registered, Secret,
        Session, Store, Vault, Version,
    },
    reconcile::{
        outside::Outside,
        world::{Scene, World},
    },
};
use serde_json::json;
use zeroize::Zeroizing;

const NOW: Moment = Moment(1_795_510_800_000);
const ORDER: &str = "https://first.example/order/1";
const WRAPPING: &str = "arn:aws:kms:eu-west-1:222222222222:key/1";

/// Every port in memory: what is wrapped opens for its binding only, and a CA knows an account by its key.
#[derive(Default)]
struct Everything {
    wrapped: Mutex<BTreeMap<String, (Binding, Vec<u8>)>>,
    keys: Mutex<BTreeMap<String, String>>,
    requests: Mutex<Vec<Vec<u8>>>,
    orders: Mutex<Vec<Option<String>>>,
    kept: Mutex<BTreeMap<IssuerName, Sealed>>,
    hostnames: Mutex<BTreeMap<DnsName, EdgeSettings>>,
    outlet: Mutex<Option<(Vec<u8>, String)>>,
    made: Mutex<u32>,
}

fn secret(bytes: &[u8]) -> Secret {
    Secret::new(Zeroizing::new(bytes.to_vec()))
}

/// The public half of a key is its text backwards.
fn spki(key: &[u8]) -> String {
    String::from_utf8(key.iter().rev().copied().collect()).unwrap()
}

fn done<'a, T: Send + 'a>(answer: Result<T, Failure>) -> Answer<'a, T> {
    Box::pin(async move { answer })
}

impl Everything {
    async fn signed_in(&self, with: Session<'_>) -> Result<(), Failure> {
        let key = (with.key)().await?;
        let account = format!("https://first.example/account/{}", spki(key.expose_bytes()));
        assert_eq!(account, with.account.url, "the account's own key signs");
        Ok(())
    }

    fn seen(&self, name: &DnsName) -> Option<HostnameSeen> {
        self.hostnames.lock().unwrap().get(name).map(|_| HostnameSeen {
            id: "id-1".to_owned(),
            hostname: name.to_string(),
            status: "pending".to_owned(),
            certificate: None,
            ownership: None,
            errors: Vec::new(),
        })
    }
}

impl Kms for Everything {
    fn create_key<'a>(&'a self, _: &'a Surroundings, key: NewKey<'a>) -> Answer<'a, String> {
        let mut keys = self.keys.lock().unwrap();
        let arn = format!("key/{}", keys.len() + 1);
        keys.insert(key.intent.to_owned(), arn.clone());
        done(Ok(arn))
    }
    fn find_by_intent<'a>(&'a self, _: &'a Surroundings, intent: &'a str) -> Answer<'a, Option<String>> {
        done(Ok(self.keys.lock().unwrap().get(intent).cloned()))
    }
    fn find_by_object<'a>(&'a self, _: &'a Surroundings, _: &'a str, _: &'a ObjectName) -> Answer<'a, Option<KeySeen>> {
        done(Ok(None))
    }
    fn read_key<'a>(
        &'a self,
        _: &'a Surroundings,
        _: &'a str,
        _: &'a str,
        _: &'a ObjectName,
    ) -> Answer<'a, Option<KeySeen>> {
        done(Ok(None))
    }
    fn create_alias<'a>(&'a self, _: &'a Surroundings, _: &'a str, _: &'a str) -> Answer<'a, ()> {
        done(Ok(()))
    }
    fn set_rotation<'a>(&'a self, _: &'a Surroundings, _: &'a str, _: Span) -> Answer<'a, ()> {
        done(Ok(()))
    }
    fn seal<'a>(
        &'a self,
        _: &'a Surroundings,
        wrapping: &'a str,
        binding: &'a Binding,
        secret: &'a Secret,
    ) -> Answer<'a, Sealed> {
        assert_eq!(wrapping, WRAPPING);
        let mut wrapped = self.wrapped.lock().unwrap();
        let sealed = format!("ciphertext {}", wrapped.len() + 1);
        wrapped.insert(sealed.clone(), (binding.clone(), secret.expose_bytes().to_vec()));
        done(Ok(Sealed(sealed)))
    }
    fn open<'a>(&'a self, _: &'a Surroundings, binding: &'a Binding, sealed: &'a Sealed) -> Answer<'a, Secret> {
        let wrapped = self.wrapped.lock().unwrap();
        let found = wrapped.get(&sealed.0).filter(|(bound, _)| bound == binding);
        done(
            found
                .map(|(_, bytes)| secret(bytes))
                .ok_or_else(|| Failure::new(Reason::CiphertextRefused, "wrong context")),
        )
    }
}

impl Acme for Everything {
    fn register<'a>(&'a self, _: &'a Surroundings, _: &'a IssuerName, key: &'a Secret) -> Answer<'a, Registered> {
        let own = spki(key.expose_bytes());
        done(Ok(Registered { url: format!("https://first.example/account/{own}"), thumbprint: own }))
    }
    fn open_order<'a>(
        &'a self,
        with: Session<'a>,
        _: &'a [DnsName],
        _: Option<&'a str>,
        replaces: Option<&'a str>,
    ) -> Answer<'a, OrderSeen> {
        Box::pin(async move {
            self.signed_in(with).await?;
            self.orders.lock().unwrap().push(replaces.map(str::to_owned));
            Ok(order(Stage::Ready))
        })
    }
    fn order<'a>(&'a self, with: Session<'a>, _: &'a str) -> Answer<'a, OrderSeen> {
        Box::pin(async move { self.signed_in(with).await.map(|()| order(Stage::Ready)) })
    }
    fn answer<'a>(&'a self, with: Session<'a>, _: &'a str) -> Answer<'a, ()> {
        Box::pin(self.signed_in(with))
    }
    fn finalize<'a>(&'a self, with: Session<'a>, _: &'a str, csr: &'a [u8]) -> Answer<'a, OrderSeen> {
        Box::pin(async move {
            self.signed_in(with).await?;
            self.requests.lock().unwrap().push(csr.to_vec());
            Ok(order(Stage::Valid))
        })
    }
    fn certificate<'a>(&'a self, with: Session<'a>, _: &'a str) -> Answer<'a, String> {
        Box::pin(async move {
            self.signed_in(with).await?;
            let request = self.requests.lock().unwrap().last().cloned().unwrap_or_default();
            Ok(String::from_utf8(request).unwrap())
        })
    }
    fn window<'a>(&'a self, with: Session<'a>, _: &'a str) -> Answer<'a, Option<Window>> {
        Box::pin(async move { self.signed_in(with).await.map(|()| None) })
    }
}

impl Edge for Everything {
    fn create<'a>(
        &'a self,
        _: &'a Surroundings,
        hostname: &'a DnsName,
        settings: EdgeSettings,
    ) -> Answer<'a, HostnameSeen> {
        self.hostnames.lock().unwrap().insert(hostname.clone(), settings);
        done(Ok(self.seen(hostname).unwrap()))
    }
    fn find<'a>(
        &'a self,
        _: &'a Surroundings,
        hostname: &'a DnsName,
        _: Option<&'a str>,
    ) -> Answer<'a, Option<HostnameSeen>> {
        done(Ok(self.seen(hostname)))
    }
    fn update<'a>(
        &'a self,
        at: &'a Surroundings,
        hostname: &'a DnsName,
        _: &'a str,
        settings: EdgeSettings,
    ) -> Answer<'a, HostnameSeen> {
        self.create(at, hostname, settings)
    }
}

impl Dns for Everything {
    fn ask<'a>(&'a self, questions: &'a [DnsQuestion]) -> Answer<'a, Vec<DnsAnswer>> {
        let answer =
            |question: &DnsQuestion| DnsAnswer { question: question.clone(), values: None, server: String::new() };
        done(Ok(questions.iter().map(answer).collect()))
    }
}

impl Outlet for Everything {
    fn look<'a>(&'a self, _: &'a OutletTarget) -> Answer<'a, OutletSeen> {
        done(Ok(OutletSeen::Empty))
    }
    fn take<'a>(&'a self, _: &'a OutletTarget) -> Answer<'a, Option<(Secret, String)>> {
        let held = self.outlet.lock().unwrap().clone();
        done(Ok(held.map(|(key, chain)| (secret(&key), chain))))
    }
    fn deliver<'a>(&'a self, _: &'a OutletTarget, key: &'a Secret, chain: &'a Chain) -> Answer<'a, ()> {
        *self.outlet.lock().unwrap() = Some((key.expose_bytes().to_vec(), chain.pem.clone()));
        done(Ok(()))
    }
    fn reload<'a>(&'a self, _: &'a OutletTarget) -> Answer<'a, ReloadSeen> {
        done(Ok(ReloadSeen::Succeeded))
    }
}

impl Vault for Everything {
    fn find<'a>(&'a self, _: &'a EnvironmentName, issuer: &'a IssuerName) -> Answer<'a, Option<Sealed>> {
        done(Ok(self.kept.lock().unwrap().get(issuer).cloned()))
    }
    fn keep<'a>(&'a self, _: &'a EnvironmentName, issuer: &'a IssuerName, key: &'a Sealed) -> Answer<'a, ()> {
        self.kept.lock().unwrap().insert(issuer.clone(), key.clone());
        done(Ok(()))
    }
}

/// A request is its key; a chain is the public half of its key in the words of [`spki`].
impl Craft for Everything {
    fn new_key(&self, _: KeyAlgorithm) -> Answer<'_, MadeKey> {
        let mut made = self.made.lock().unwrap();
        *made += 1;
        let key = format!("private-{made}");
        done(Ok((secret(key.as_bytes()), spki(key.as_bytes()))))
    }
    fn request<'a>(&'a self, key: &'a Secret, _: &'a [DnsName]) -> Answer<'a, Vec<u8>> {
        done(Ok(spki(key.expose_bytes()).into_bytes()))
    }
    fn verify<'a>(&'a self, _: &'a Surroundings, pem: &'a str, expected: Expected<'a>) -> Answer<'a, Chain> {
        let fits = pem == expected.spki_sha256 && !expected.names.is_empty();
        done(if fits { Ok(chain(pem)) } else { Err(Failure::new(Reason::WrongCertificate, "another key")) })
    }
    fn read_key<'a>(&'a self, pem: &'a Secret) -> Answer<'a, (Secret, KeyAlgorithm, String)> {
        let bytes = pem.expose_bytes();
        let read = bytes.starts_with(b"private").then(|| (secret(bytes), KeyAlgorithm::EcdsaP256, spki(bytes)));
        done(read.ok_or_else(|| Failure::new(Reason::AnswerNotUnderstood, "no key")))
    }
}

impl Store for Everything {
    fn load<'a>(&'a self, _: &'a ObjectName) -> Answer<'a, Option<(String, Version)>> {
        done(Ok(None))
    }
    fn commit<'a>(&'a self, _: Commit<'a>) -> Answer<'a, Version> {
        done(Ok(Version(1)))
    }
    fn names(&self) -> Answer<'_, Vec<ObjectName>> {
        done(Ok(Vec::new()))
    }
}

fn order(stage: Stage) -> OrderSeen {
    OrderSeen { url: ORDER.to_owned(), stage, ask_again: None, replaces: false }
}

fn chain(spki: &str) -> Chain {
    Chain {
        pem: spki.to_owned(),
        serial: "1".to_owned(),
        spki_sha256: spki.to_owned(),
        fingerprint: format!("leaf {spki}"),
        names: names(),
        not_before: NOW,
        not_after: NOW + Span::days(90),
        renewal_id: None,
    }
}

fn names() -> Vec<DnsName> {
    vec!["www.example.com".parse().unwrap()]
}

fn issuer() -> IssuerName {
    "first".parse().unwrap()
}

/// One object in its surroundings, and everything outside.
struct Scenery {
    everything: Arc<Everything>,
    outside: Outside,
    wanted: Wanted,
    neighbours: Neighbours,
}

fn stage(kind: Kind) -> Scenery {
    beside(Arc::default(), kind)
}

fn beside(everything: Arc<Everything>, kind: Kind) -> Scenery {
    let outside = Outside {
        acme: everything.clone(),
        craft: everything.clone(),
        dns: everything.clone(),
        edge: everything.clone(),
        kms: everything.clone(),
        outlet: everything.clone(),
        store: everything.clone(),
        vault: everything.clone(),
    };
    let spec = serde_json::from_value(json!({
        "class": "non-production", "namespaces": ["staging"], "owner": "itops@example.com",
        "kms": { "accountId": "222222222222", "region": "eu-west-1", "aliasPrefix": "claviger/staging", "wrappingKey": "wrapping" },
        "issuers": [{ "name": "first", "trust": "test", "acme": { "directory": "https://first.example/dir" } }],
    }));
    let surroundings = Surroundings { name: "staging".parse().unwrap(), spec: spec.unwrap() };
    let namespace = (kind != Kind::Environment).then(|| "staging".parse().unwrap());
    let name = if kind == Kind::Environment { "staging" } else { "web" };
    let wanted = Wanted {
        name: ObjectName { kind, namespace, name: name.parse().unwrap() },
        spec: Arc::new(Spec::Environment(Box::new(surroundings.spec.clone()))),
        environment: Some(Arc::new(surroundings)),
        generation: 1,
        identity: None,
        refusal: None,
        origin: Origin::Document,
        place: None,
    };
    let neighbours = Neighbours { wrapping: Some(Ok(WRAPPING.to_owned())), ..Neighbours::default() };
    Scenery { everything, outside, wanted, neighbours }
}

impl Scenery {
    fn scene(&self) -> Scene<'_> {
        let (name, reason) = (&self.wanted.name, Reason::Missing);
        let (wanted, neighbours) = (&self.wanted, &self.neighbours);
        Scene { name, wanted, neighbours, reason, intent_id: "seed-1", ask: None, now: NOW }
    }

    fn perform(&self, effect: Effect) -> Result<News, Failure> {
        now(self.outside.perform(self.scene(), &effect))
    }

    fn look(&self, query: Query) -> Result<News, Failure> {
        now(self.outside.look(self.scene(), &query))
    }

    fn recall(&self, effect: Effect) -> Option<News> {
        let intent = Intent { id: "seed-1".to_owned(), effect, since: NOW, term: 0 };
        now(self.outside.recall(self.scene(), &intent)).unwrap()
    }

    fn sealed(&self, r#use: KeyUse) -> (Sealed, String) {
        let made = self.perform(Effect::Kms(KmsEffect::SealNewKey { algorithm: KeyAlgorithm::EcdsaP256, r#use }));
        let News::KeySealed(_, key) = made.unwrap() else { panic!("a key was made") };
        (key.key, key.spki_sha256)
    }
}

/// Nothing here waits.
fn now<T>(answer: impl Future<Output = T>) -> T {
    match pin!(answer).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

/// An account whose key the environment made, as its certificates see it.
fn with_account(certificate: &mut Scenery) -> Account {
    let environment = beside(Arc::clone(&certificate.everything), Kind::Environment);
    let (key, _) = environment.sealed(KeyUse::Account(issuer()));
    let registered = environment.perform(Effect::Acme(AcmeEffect::Register { issuer: issuer(), key }));
    let News::Registered(account) = registered.unwrap() else { panic!("an account was registered") };
    certificate.neighbours.accounts.insert(issuer(), account.clone());
    account
}

fn finalize(key: &Sealed) -> Effect {
    Effect::Acme(AcmeEffect::Finalize { issuer: issuer(), order: ORDER.to_owned(), names: names(), key: key.clone() })
}

fn open() -> Effect {
    let replaces = Some("id-1".to_owned());
    Effect::Acme(AcmeEffect::OpenOrder { issuer: issuer(), names: names(), profile: None, replaces })
}

fn outlet() -> OutletTarget {
    serde_json::from_value(json!({ "name": "nginx", "files": { "directory": "nginx" } })).unwrap()
}

#[test]
fn an_account_remembers_its_directory_and_its_wrapped_key() {
    let mut stage = stage(Kind::TlsCertificate);
    let account = with_account(&mut stage);
    assert_eq!(account.directory, "https://first.example/dir");
    let (binding, _) = stage.everything.wrapped.lock().unwrap()[&account.key.0].clone();
    assert_eq!((binding.object.kind, binding.r#use.word().as_str()), (Kind::Environment, "account/first"));
}

#[test]
fn a_certificates_key_is_bound_to_it_and_opened_for_its_request_alone() {
    let mut stage = stage(Kind::TlsCertificate);
    with_account(&mut stage);
    let (key, spki_sha256) = stage.sealed(KeyUse::Certificate);
    let News::Opened(opened) = stage.perform(open()).unwrap() else { panic!("an order was opened") };
    assert_eq!((opened.issuer, opened.names), (issuer(), names()));
    assert_eq!(stage.everything.orders.lock().unwrap().as_slice(), [Some("id-1".to_owned())]);
    stage.perform(finalize(&key)).unwrap();
    let query = Query::Certificate { issuer: issuer(), order: ORDER.to_owned(), names: names(), spki_sha256 };
    let News::Issued(chain) = stage.look(query).unwrap() else { panic!("it was issued") };
    let deliver = OutletEffect::Deliver { outlet: outlet(), key: key.clone(), chain: *chain };
    stage.perform(Effect::Outlet(deliver)).unwrap();
    assert_eq!(stage.everything.outlet.lock().unwrap().as_ref().unwrap().0, b"private-2");
    let mut other = stage;
    other.wanted.name.name = "other".parse().unwrap();
    assert_eq!(other.perform(finalize(&key)).unwrap_err().reason, Reason::CiphertextRefused);
}

#[test]
fn a_chain_for_another_key_is_not_let_through() {
    let mut stage = stage(Kind::TlsCertificate);
    with_account(&mut stage);
    let (key, _) = stage.sealed(KeyUse::Certificate);
    stage.perform(finalize(&key)).unwrap();
    let (order, spki_sha256) = (ORDER.to_owned(), "another".to_owned());
    let looked = stage.look(Query::Certificate { issuer: issuer(), order, names: names(), spki_sha256 });
    assert_eq!(looked.unwrap_err().reason, Reason::WrongCertificate);
}

#[test]
fn without_an_account_a_wrapping_key_or_an_environment_nobody_is_called() {
    let mut stage = stage(Kind::TlsCertificate);
    assert_eq!(stage.perform(open()).unwrap_err().reason, Reason::AccountPending);
    let query = Query::Order { issuer: issuer(), order: ORDER.to_owned() };
    assert_eq!(stage.look(query).unwrap_err().reason, Reason::AccountPending);
    stage.neighbours.wrapping = Some(Err(Reason::KeyDisabled));
    let seal = KmsEffect::SealNewKey { algorithm: KeyAlgorithm::EcdsaP256, r#use: KeyUse::Certificate };
    assert_eq!(stage.perform(Effect::Kms(seal)).unwrap_err().reason, Reason::WrappingKeyNotReady);
    stage.wanted.environment = None;
    assert_eq!(stage.perform(open()).unwrap_err().reason, Reason::NamespaceUnclaimed);
    assert!(stage.everything.orders.lock().unwrap().is_empty());
}

#[test]
fn what_an_outlet_holds_is_wrapped_anew_or_left() {
    let stage = stage(Kind::TlsCertificate);
    let adopt = || Effect::Outlet(OutletEffect::Adopt { outlet: outlet(), names: names() });
    let adopted = |held: Option<(&[u8], &str)>| {
        *stage.everything.outlet.lock().unwrap() = held.map(|(key, chain)| (key.to_vec(), chain.to_owned()));
        let News::Adopted(adopted) = stage.perform(adopt()).unwrap() else { panic!("it was looked at") };
        adopted
    };
    let issued = adopted(Some((b"private-9", &spki(b"private-9")))).unwrap();
    assert_eq!((issued.issuer, issued.at, issued.chain.spki_sha256), (None, NOW, spki(b"private-9")));
    let (binding, bytes) = stage.everything.wrapped.lock().unwrap()[&issued.key.key.0].clone();
    assert_eq!((binding.object, binding.r#use), (stage.wanted.name.clone(), KeyUse::Certificate));
    assert_eq!(bytes, b"private-9");
    assert!(adopted(None).is_none(), "there is nothing");
    assert!(adopted(Some((b"no key", "chain"))).is_none(), "its key cannot be read");
    assert!(adopted(Some((b"private-9", "another"))).is_none(), "key and chain are no pair");
}

#[test]
fn a_key_is_found_by_the_intent_that_it_was_made_with() {
    let stage = stage(Kind::KmsKey);
    let create = || Effect::Kms(KmsEffect::CreateKey { spec: KeySpec::SymmetricDefault, purpose: Purpose::Wrap });
    assert_eq!(stage.recall(create()), None);
    let made = stage.perform(create()).unwrap();
    assert_eq!(stage.recall(create()), Some(made));
    let alias = KmsEffect::CreateAlias { alias: "alias/a".to_owned(), arn: "key/1".to_owned() };
    assert_eq!(stage.recall(Effect::Kms(alias)), None, "that may simply be done again");
}

#[test]
fn a_host_name_is_found_by_its_name_and_an_order_by_nothing() {
    let stage = stage(Kind::CustomHostname);
    let settings = EdgeSettings { validation: Validation::Http, min_tls_version: None };
    let create = || Effect::Edge(EdgeEffect::Create { hostname: "shop.customer.example".parse().unwrap(), settings });
    assert_eq!(stage.recall(create()), None);
    let made = stage.perform(create()).unwrap();
    assert_eq!(stage.recall(create()), Some(made));
    assert_eq!(stage.recall(open()), None, "RFC 8555 has no question for it");
}

#[test]
fn account_keys_are_kept_beside_the_records() {
    let stage = stage(Kind::Environment);
    let find = || stage.look(Query::AccountKey { issuer: issuer() }).unwrap();
    assert_eq!(find(), News::AccountKey(issuer(), None));
    let (key, _) = stage.sealed(KeyUse::Account(issuer()));
    stage.perform(Effect::Vault(VaultEffect::Keep { issuer: issuer(), key: key.clone() })).unwrap();
    assert_eq!(find(), News::AccountKey(issuer(), Some(key)));
}

#[test]
fn every_question_reaches_the_port_that_can_answer_it() {
    let mut stage = stage(Kind::TlsCertificate);
    with_account(&mut stage);
    let hostname = "shop.customer.example".parse().unwrap();
    let (arn, alias) = (WRAPPING.to_owned(), "alias/a".to_owned());
    assert_eq!(stage.look(Query::Hostname { hostname, id: None }), Ok(News::Hostname(None)));
    assert_eq!(stage.look(Query::Key { arn, alias: alias.clone() }), Ok(News::Key(None)));
    assert_eq!(stage.look(Query::LostKey { alias }), Ok(News::Key(None)));
    assert_eq!(stage.look(Query::Records { questions: Vec::new() }), Ok(News::Records(Vec::new())));
    let window = Query::Window { issuer: issuer(), certificate: "id-1".to_owned() };
    assert_eq!(stage.look(window), Ok(News::Window(None)));
    let empty = News::Outlet("nginx".parse().unwrap(), OutletSeen::Empty);
    assert_eq!(stage.look(Query::Outlet { outlet: outlet() }), Ok(empty));
}

#[test]
fn a_secret_is_never_shown() {
    assert_eq!(format!("{:?}", secret(b"private-1")), "Secret(redacted)");
}
