//! The one hook of a pass, played by the models, with a seeded layer of faults in front of every call.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use claviger_config::{EnvironmentName, IssuerName, Moment, ObjectName, Reason, Span};
use claviger_core::{
    domain::{
        effect::{
            Account, AcmeEffect, DnsAnswer, EdgeEffect, Effect, Issued, KmsEffect, News, Opened, OutletEffect, Query,
            RecordType, ReloadSeen, SealedKey, VaultEffect, Window,
        },
        failure::Failure,
        record::Intent,
    },
    ports::{Answer, Clock, Commit, Version},
    reconcile::world::{Scene, World},
};

use crate::model::{Model, spki};

/// The outside, the time, and what goes wrong.
pub(crate) struct Sim {
    model: Mutex<Model>,
    now: AtomicI64,
    dice: AtomicU64,
    faults: Mutex<Faults>,
    pub(crate) crashed: AtomicBool,
    /// Whether every call takes a while, so that passes overlap.
    pub(crate) slow: AtomicBool,
    /// FNV-1a over everything that was called and how it went.
    trace: AtomicU64,
    /// The effect that each subject last asked for, for the tally of what may have been lost.
    latest: Mutex<BTreeMap<ObjectName, &'static str>>,
}

/// What goes wrong, and when.
#[derive(Default)]
pub(crate) struct Faults {
    dice: u64,
    /// So many of a thousand calls.
    pub(crate) per_mille: u64,
    /// Dies at that call, counted from 0: before or after.
    pub(crate) crash_at: Option<(u64, bool)>,
    /// How many calls there were.
    pub(crate) calls: u64,
    /// What went wrong, by call and kind.
    pub(crate) hits: BTreeMap<(&'static str, &'static str), u64>,
    /// How often what an `open_order` brought was lost.
    pub(crate) lost_orders: u64,
    /// What was done, by word.
    pub(crate) done: BTreeMap<&'static str, u64>,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Fate {
    After,
    Before,
    Fine,
    Lost,
    NotDone,
}

impl Sim {
    pub(crate) fn new(seed: u64, start: Moment) -> Self {
        Self {
            model: Mutex::default(),
            now: AtomicI64::new(start.0),
            dice: AtomicU64::new(seed),
            faults: Mutex::new(Faults { dice: seed ^ 0x5EED, ..Faults::default() }),
            crashed: AtomicBool::new(false),
            slow: AtomicBool::new(false),
            trace: AtomicU64::new(0xcbf2_9ce4_8422_2325),
            latest: Mutex::default(),
        }
    }

    pub(crate) fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap()
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap()
    }

    pub(crate) fn time(&self) -> Moment {
        Moment(self.now.load(Relaxed))
    }

    pub(crate) fn go_to(&self, moment: Moment) {
        assert!(moment >= self.now(), "time goes forward");
        self.now.store(moment.0, Relaxed);
    }

    pub(crate) fn trace(&self) -> u64 {
        self.trace.load(Relaxed)
    }

    fn write(&self, name: &ObjectName, word: &str, how: &str) {
        let line = format!("{} {name} {word} {how}", self.now().0);
        let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        self.trace.store(line.bytes().fold(self.trace(), fold), Relaxed);
    }

    fn fate(&self, name: &ObjectName, word: &'static str) -> Fate {
        let mut faults = self.faults();
        let call = faults.calls;
        faults.calls += 1;
        faults.dice = faults.dice.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let dice = mix(faults.dice);
        let fate = match faults.crash_at {
            Some((at, after)) if at == call => {
                if after {
                    Fate::After
                } else {
                    Fate::Before
                }
            }
            _ if dice % 1_000 >= faults.per_mille => Fate::Fine,
            _ => [Fate::NotDone, Fate::Lost, Fate::Before, Fate::After][(dice >> 32) as usize % 4],
        };
        let how = match fate {
            Fate::Fine => "fine",
            Fate::NotDone => "failed before",
            Fate::Lost => "answer lost",
            Fate::Before => "crash before",
            Fate::After => "crash after",
        };
        if fate != Fate::Fine {
            *faults.hits.entry((word, how)).or_default() += 1;
        }
        let mut latest = self.latest.lock().unwrap();
        let may_lose = match word {
            "open_order" => matches!(fate, Fate::Lost | Fate::After),
            // What the order brought is written down here.
            "commit" => fate != Fate::Fine && latest.get(name) == Some(&"open_order"),
            _ => false,
        };
        // A crash loses what every pass under way has not written down yet.
        let others = latest.iter().filter(|(other, word)| *other != name && **word == "open_order").count() as u64;
        let crash = matches!(fate, Fate::After | Fate::Before);
        faults.lost_orders += u64::from(may_lose) + if crash { others } else { 0 };
        if crash {
            latest.clear();
        } else {
            latest.insert(name.clone(), word);
        }
        self.write(name, word, how);
        fate
    }

    /// One call: it may fail before, lose its answer, or be the last one before a crash.
    fn through<'a, T: Send + 'a>(
        &'a self,
        name: &'a ObjectName,
        word: &'static str,
        why: Reason,
        call: impl FnOnce(&mut Model, Moment) -> Result<T, Failure> + Send + 'a,
    ) -> Answer<'a, T> {
        Box::pin(async move {
            Pause(self.slow.load(Relaxed)).await;
            let fate = self.fate(name, word);
            if fate == Fate::NotDone {
                return Err(Failure::new(why, "it did not come through"));
            }
            if fate == Fate::Before {
                return self.crash().await;
            }
            let done = call(&mut self.model(), self.now());
            *self.faults().done.entry(word).or_default() += u64::from(done.is_ok());
            match fate {
                Fate::After => self.crash().await,
                Fate::Lost => done.and_then(|_| Err(Failure::new(why, "the answer was lost").maybe_done())),
                _ => done,
            }
        })
    }

    async fn crash<T>(&self) -> T {
        self.crashed.store(true, Relaxed);
        std::future::pending().await
    }
}

/// Lets others go first, once.
struct Pause(bool);

impl Future for Pause {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, false) { Poll::Pending } else { Poll::Ready(()) }
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl Clock for Sim {
    fn now(&self) -> Moment {
        self.time()
    }

    fn draw(&self) -> u64 {
        mix(self.dice.fetch_add(0x9E37_79B9_7F4A_7C15, Relaxed))
    }
}

impl World for Sim {
    fn load<'a>(&'a self, name: &'a ObjectName) -> Answer<'a, Option<(String, Version)>> {
        self.through(name, "load", Reason::StoreFailed, move |model, _| {
            Ok(model.store.get(name).map(|row| (row.body.clone(), Version(row.version))))
        })
    }

    fn commit<'a>(&'a self, commit: Commit<'a>) -> Answer<'a, Version> {
        self.through(commit.name, "commit", Reason::StoreFailed, move |model, _| model.commit(&commit))
    }

    fn look<'a>(&'a self, scene: Scene<'a>, query: &'a Query) -> Answer<'a, News> {
        self.through(scene.name, query.word(), reason_of(query), move |model, now| look(model, &scene, query, now))
    }

    fn perform<'a>(&'a self, scene: Scene<'a>, effect: &'a Effect) -> Answer<'a, News> {
        let why = match effect {
            Effect::Acme(_) => Reason::AcmeUnreachable,
            Effect::Edge(_) => Reason::EdgeUnreachable,
            Effect::Kms(_) | Effect::Vault(_) => Reason::KmsUnreachable,
            Effect::Outlet(_) => Reason::DeliveryFailed,
        };
        self.through(scene.name, effect.terms().word, why, move |model, now| perform(model, &scene, effect, now))
    }

    fn recall<'a>(&'a self, scene: Scene<'a>, intent: &'a Intent) -> Answer<'a, Option<News>> {
        self.through(scene.name, "recall", Reason::KmsUnreachable, move |model, now| {
            Ok(match &intent.effect {
                Effect::Kms(KmsEffect::CreateKey { .. }) => model.find_by_intent(&intent.id, now).map(News::KeyCreated),
                Effect::Edge(EdgeEffect::Create { hostname, .. }) => {
                    model.hostname(hostname, now).map(|found| News::Hostname(Some(Box::new(found))))
                }
                _ => None,
            })
        })
    }
}

fn reason_of(query: &Query) -> Reason {
    match query {
        Query::Certificate { .. } | Query::Order { .. } | Query::Window { .. } => Reason::AcmeUnreachable,
        Query::Hostname { .. } => Reason::EdgeUnreachable,
        Query::AccountKey { .. } | Query::Key { .. } | Query::LostKey { .. } => Reason::KmsUnreachable,
        Query::Outlet { .. } => Reason::DeliveryFailed,
        Query::Records { .. } => Reason::Refused,
    }
}

fn environment<'a>(scene: &Scene<'a>) -> &'a EnvironmentName {
    let at = scene.wanted.environment.as_ref();
    &at.expect("nothing is done without an environment").name
}

fn account(scene: &Scene<'_>, issuer: &IssuerName) -> Result<(), Failure> {
    let known = scene.neighbours.accounts.contains_key(issuer);
    if known { Ok(()) } else { Err(Failure::new(Reason::AccountPending, "there is no account")) }
}

fn look(model: &mut Model, scene: &Scene<'_>, query: &Query, now: Moment) -> Result<News, Failure> {
    if let Query::Certificate { issuer, .. } | Query::Order { issuer, .. } | Query::Window { issuer, .. } = query {
        account(scene, issuer)?;
        model.reachable(issuer.as_str(), now)?;
    }
    Ok(match query {
        Query::AccountKey { issuer } => {
            let kept = model.vault.get(&(environment(scene).clone(), issuer.to_string()));
            News::AccountKey(issuer.clone(), kept.cloned())
        }
        Query::Certificate { order, spki_sha256, .. } => News::Issued(Box::new(model.certificate(order, spki_sha256)?)),
        Query::Hostname { hostname, .. } => News::Hostname(model.hostname(hostname, now).map(Box::new)),
        Query::Key { arn, alias } => News::Key(model.read_key(arn, alias, scene.name, now).map(Box::new)),
        Query::LostKey { alias } => News::Key(model.find_by_object(scene.name, alias, now).map(Box::new)),
        Query::Order { order, .. } => News::Order(Box::new(model.order(order, now))),
        Query::Outlet { outlet } => News::Outlet(outlet.name.clone(), model.outlet(scene.name, outlet.name.as_str())?),
        Query::Records { questions } => {
            let answer = |question: &claviger_core::domain::effect::DnsQuestion| {
                let name = question.name.parse().ok().filter(|name| model.points(name, now));
                let points = name.is_some() && question.r#type == RecordType::Cname;
                let values = Some(if points { vec!["saas.example.com".to_owned()] } else { Vec::new() });
                DnsAnswer { question: question.clone(), values, server: "10.0.0.1".to_owned() }
            };
            News::Records(questions.iter().map(answer).collect())
        }
        Query::Window { certificate, .. } => News::Window(window(model, certificate, now)),
    })
}

/// A window around two thirds of the lifetime, a hundredth of it wide.
fn window(model: &Model, certificate: &str, now: Moment) -> Option<Window> {
    let chain = model.orders.get(certificate)?.chain.as_ref()?;
    let life = chain.not_after.since(chain.not_before).0;
    let start = chain.not_before + Span(life / 3 * 2);
    Some(Window { start, end: start + Span(life / 100), ask_again: now + Span::hours(12), explanation_url: None })
}

fn perform(model: &mut Model, scene: &Scene<'_>, effect: &Effect, now: Moment) -> Result<News, Failure> {
    match effect {
        Effect::Acme(effect) => perform_acme(model, scene, effect, now),
        Effect::Edge(EdgeEffect::Create { hostname, settings }) => {
            Ok(News::Hostname(Some(Box::new(model.create_hostname(hostname, *settings, now)))))
        }
        Effect::Edge(
            EdgeEffect::Refresh { hostname, settings, .. } | EdgeEffect::Update { hostname, settings, .. },
        ) => Ok(News::Hostname(Some(Box::new(model.update_hostname(hostname, *settings, now))))),
        Effect::Kms(effect) => perform_kms(model, scene, effect, now),
        Effect::Outlet(effect) => perform_outlet(model, scene, effect, now),
        Effect::Vault(VaultEffect::Keep { issuer, key }) => {
            model.vault.insert((environment(scene).clone(), issuer.to_string()), key.clone());
            Ok(News::Kept(issuer.clone()))
        }
    }
}

fn perform_acme(model: &mut Model, scene: &Scene<'_>, effect: &AcmeEffect, now: Moment) -> Result<News, Failure> {
    let (AcmeEffect::Answer { issuer, .. }
    | AcmeEffect::Finalize { issuer, .. }
    | AcmeEffect::OpenOrder { issuer, .. }
    | AcmeEffect::Register { issuer, .. }) = effect;
    model.reachable(issuer.as_str(), now)?;
    if !matches!(effect, AcmeEffect::Register { .. }) {
        account(scene, issuer)?;
    }
    Ok(match effect {
        AcmeEffect::Answer { order, .. } => {
            model.answer(order, now);
            News::Answered
        }
        AcmeEffect::Finalize { order, key, .. } => News::Order(Box::new(model.finalize(order, key, now))),
        AcmeEffect::OpenOrder { names, profile, .. } => {
            let order = model.open(issuer.as_str(), names, profile.as_deref(), now);
            let (issuer, names, profile) = (issuer.clone(), names.clone(), profile.clone());
            News::Opened(Box::new(Opened { issuer, names, profile, order }))
        }
        AcmeEffect::Register { key, .. } => {
            let kept = model.vault.get(&(environment(scene).clone(), issuer.to_string()));
            assert_eq!(kept, Some(key), "an account is registered with a key that was kept");
            News::Registered(Account {
                issuer: issuer.clone(),
                directory: format!("https://{issuer}.example/dir"),
                url: model.register(issuer.as_str(), key),
                key: key.clone(),
                thumbprint: spki(key),
            })
        }
    })
}

fn perform_kms(model: &mut Model, scene: &Scene<'_>, effect: &KmsEffect, now: Moment) -> Result<News, Failure> {
    Ok(match effect {
        KmsEffect::CreateAlias { alias, arn } => {
            model.aliases.entry(alias.clone()).or_insert_with(|| (arn.clone(), now));
            News::Aliased
        }
        KmsEffect::CreateKey { spec, .. } => {
            let stored = model.store.get(scene.name).is_some_and(|row| row.body.contains(scene.intent_id));
            assert!(stored, "the intent is stored before the key is made");
            News::KeyCreated(model.create_key(scene.name, scene.intent_id, *spec, now))
        }
        KmsEffect::SealNewKey { algorithm, r#use } => {
            wrapping(scene)?;
            News::KeySealed(r#use.clone(), model.seal(*algorithm))
        }
        KmsEffect::SetRotation { arn, period } => {
            model.keys.get_mut(arn).expect("the key is there").rotation = Some((*period, now));
            News::Rotation(*period)
        }
    })
}

fn wrapping(scene: &Scene<'_>) -> Result<(), Failure> {
    let ready = scene.neighbours.wrapping_key().is_some();
    if ready { Ok(()) } else { Err(Failure::new(Reason::WrappingKeyNotReady, "there is no wrapping key")) }
}

fn perform_outlet(model: &mut Model, scene: &Scene<'_>, effect: &OutletEffect, now: Moment) -> Result<News, Failure> {
    Ok(match effect {
        OutletEffect::Adopt { outlet, names } => {
            wrapping(scene)?;
            let pair = model.outlets.get(&(scene.name.clone(), outlet.name.to_string()));
            let (mut wanted, fits) = (names.clone(), pair.filter(|pair| now < pair.chain.not_after));
            wanted.sort();
            let fits = fits.filter(|pair| pair.chain.names == wanted);
            News::Adopted(fits.map(|pair| {
                let algorithm = claviger_config::KeyAlgorithm::EcdsaP256;
                let key = SealedKey { spki_sha256: spki(&pair.key), key: pair.key.clone(), algorithm };
                Box::new(Issued { chain: pair.chain.clone(), key, issuer: None, profile: None, at: now })
            }))
        }
        OutletEffect::Deliver { outlet, key, chain } => {
            model.deliver(scene.name, outlet.name.as_str(), key, chain, now)?;
            News::Delivered(outlet.name.clone())
        }
        OutletEffect::Reload { outlet } => News::Reloaded(outlet.name.clone(), ReloadSeen::Succeeded),
    })
}
