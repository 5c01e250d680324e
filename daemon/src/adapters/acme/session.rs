//! Live accounts, one set per CA: built from an account's URL and key when first used, dropped when the CA stops knowing them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use claviger_config::{
    EnvironmentName, IssuerName, Moment, Reason, Span, desired::Surroundings, environment::AcmeIssuer,
};
use claviger_core::{
    domain::failure::{Failure, Retry},
    ports::{Clock, Secret, Session},
};
use instant_acme::Account;
use rustls_pki_types::PrivatePkcs8KeyDer;

use super::{
    directory::Directory,
    fault::{Said, Trouble},
    http::{Door, Observer, Patience, Whose, Wire},
    reply::Reply,
    roots::Files,
    step::Step,
    trace,
};

/// RFC 8555 lets a CA move its URLs; a directory is read again after a day, or when one of its URLs leads nowhere.
const FRESH: Span = Span::days(1);
/// A clock that is off by more makes renewal windows and `Retry-After` dates mean something else.
const SKEW: Span = Span::minutes(5);

/// The way to every CA, by environment and issuer.
pub(super) struct Cas {
    clock: Arc<dyn Clock>,
    files: Files,
    observer: Observer,
    patience: Patience,
    known: Mutex<BTreeMap<(EnvironmentName, IssuerName), Arc<Ca>>>,
}

impl Cas {
    /// Knows none yet.
    pub(super) fn new(clock: Arc<dyn Clock>, files: Files, observer: Observer, patience: Patience) -> Self {
        Self { clock, files, observer, patience, known: Mutex::default() }
    }

    /// The CA behind an issuer of this environment; a new one when its directory or its roots were changed.
    pub(super) async fn find(&self, at: &Surroundings, issuer: &IssuerName) -> Result<Arc<Ca>, Failure> {
        let acme = described(at, issuer)?;
        let roots = match acme.trusted_roots.clone() {
            Some(reference) => Some(self.files.clone().open_aside(reference).await?),
            None => None,
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (at.name.clone(), issuer.clone());
        if let Some(ca) = known.get(&key).filter(|ca| ca.url == acme.directory && ca.roots == roots) {
            return Ok(Arc::clone(ca));
        }
        let ca = Arc::new(Ca {
            url: acme.directory.clone(),
            wire: self.wire(at, issuer, roots.as_deref())?,
            roots,
            clock: Arc::clone(&self.clock),
            directory: tokio::sync::Mutex::default(),
            accounts: tokio::sync::Mutex::default(),
        });
        known.insert(key, Arc::clone(&ca));
        Ok(ca)
    }

    fn wire(&self, at: &Surroundings, issuer: &IssuerName, roots: Option<&[u8]>) -> Result<Wire, Failure> {
        let (clock, observer) = (Arc::clone(&self.clock), Arc::clone(&self.observer));
        let whose = Whose { environment: at.name.clone(), issuer: issuer.clone() };
        Wire::new(roots, self.patience, clock, observer, whose).map_err(|why| {
            let whose = if roots.is_some() { "its `trustedRoots`" } else { "the system's roots" };
            Failure::new(
                Reason::SettingMissing,
                format!("cannot speak to issuer `{issuer}`: {whose} cannot be used: {why}"),
            )
            .fix("give it certificates in PEM")
        })
    }
}

/// One CA of one environment.
pub(super) struct Ca {
    /// The wire to it.
    pub(super) wire: Wire,
    /// Its directory's URL.
    pub(super) url: String,
    roots: Option<Vec<u8>>,
    clock: Arc<dyn Clock>,
    directory: tokio::sync::Mutex<Option<Known>>,
    accounts: tokio::sync::Mutex<Vec<Live>>,
}

struct Known {
    directory: Arc<Directory>,
    fresh_until: Moment,
}

struct Live {
    thumbprint: String,
    directory: Arc<Directory>,
    account: Account,
}

impl Ca {
    /// Its directory, a day old at most. One that has not changed stays the same, so that the accounts built on it stay alive.
    pub(super) async fn directory(&self) -> Result<Arc<Directory>, Trouble> {
        let mut known = self.directory.lock().await;
        if let Some(fresh) = known.as_ref().filter(|known| self.clock.now() < known.fresh_until) {
            return Ok(Arc::clone(&fresh.directory));
        }
        let read = self.read_directory().await?;
        let same = known.take().map(|old| old.directory).filter(|old| **old == read);
        let directory = same.unwrap_or_else(|| Arc::new(read));
        *known = Some(Known { directory: Arc::clone(&directory), fresh_until: self.clock.now() + FRESH });
        Ok(directory)
    }

    /// Has the directory read again at its next use.
    pub(super) async fn distrust_directory(&self) {
        if let Some(known) = self.directory.lock().await.as_mut() {
            known.fresh_until = Moment::MIN;
        }
    }

    /// The live account of a session; its key is opened only when there is none.
    pub(super) async fn account(&self, with: &Session<'_>) -> Result<Account, Trouble> {
        if with.account.directory != self.url {
            return Err(elsewhere(with, &self.url).into());
        }
        let directory = self.directory().await?;
        let mut accounts = self.accounts.lock().await;
        accounts.retain(|live| Arc::ptr_eq(&live.directory, &directory));
        let ours = |live: &&Live| live.account.id() == with.account.url && live.thumbprint == with.account.thumbprint;
        if let Some(live) = accounts.iter().find(ours) {
            return Ok(live.account.clone());
        }
        let account = self.build(with, &directory).await?;
        accounts.push(Live::new(&account, directory));
        Ok(account)
    }

    /// Keeps an account that was just registered.
    pub(super) async fn keep(&self, account: &Account, directory: Arc<Directory>) {
        let mut accounts = self.accounts.lock().await;
        accounts.retain(|live| live.account.id() != account.id());
        accounts.push(Live::new(account, directory));
    }

    /// Forgets what a trouble showed to be wrong.
    pub(super) async fn learn(&self, trouble: &Trouble, account: Option<&str>) {
        if trouble.is_moved() {
            self.distrust_directory().await;
        }
        if trouble.is_account_lost() {
            self.accounts.lock().await.retain(|live| Some(live.account.id()) != account);
        }
    }

    /// What `instant-acme` speaks through.
    pub(super) fn door(&self, directory: &Directory) -> Box<Door> {
        Box::new(Door { wire: self.wire.clone(), url: self.url.clone(), directory: directory.plain() })
    }

    async fn build(&self, with: &Session<'_>, directory: &Directory) -> Result<Account, Trouble> {
        let key = (with.key)().await?;
        let (url, der) = (with.account.url.clone(), borrowed(&key));
        let builder = Account::builder_with_http(self.door(directory));
        trace::begin(Step::Directory);
        let account = builder
            .from_parts(url, der, self.url.clone())
            .await
            .map_err(|error| Trouble::Unsent { step: Step::ReadOrder, words: error.to_string() })?;
        if account.key_thumbprint() == with.account.thumbprint {
            Ok(account)
        } else {
            Err(other_key(with, account.key_thumbprint()).into())
        }
    }

    async fn read_directory(&self) -> Result<Directory, Trouble> {
        let step = Step::Directory;
        trace::begin(step);
        let reply = self.wire.get(&self.url).await;
        let reply = reply.map_err(|broken| Trouble::Broken { step, changes: false, broken })?;
        if !reply.is_success() {
            return Err(Trouble::Said(Box::new(Said::new(step, false, false, self.url.clone(), reply))));
        }
        self.compare_clocks(&reply);
        let read = Directory::read(&reply.body);
        read.map_err(|error| Trouble::Garbled { step, changes: false, words: error.to_string() })
    }

    fn compare_clocks(&self, reply: &Reply) {
        let now = self.clock.now();
        if let Some(date) = reply.date.filter(|date| now.since(*date).0.abs() > SKEW.0) {
            tracing::warn!(directory = self.url, ours = %now, theirs = %date, "the clock differs from the CA's");
        }
    }
}

impl Live {
    fn new(account: &Account, directory: Arc<Directory>) -> Self {
        Self { thumbprint: account.key_thumbprint().to_owned(), directory, account: account.clone() }
    }
}

/// An ACME issuer as its environment describes it.
pub(super) fn described<'a>(at: &'a Surroundings, issuer: &IssuerName) -> Result<&'a AcmeIssuer, Failure> {
    let found = at.spec.issuers.iter().find(|candidate| candidate.name == *issuer);
    found.and_then(|issuer| issuer.acme.as_ref()).ok_or_else(|| {
        Failure::new(Reason::IssuerMissing, format!("environment `{}` has no ACME issuer `{issuer}`", at.name))
            .retry(Retry::Never)
    })
}

/// The key as `instant-acme` takes it, borrowed: no copy that nobody would wipe.
pub(super) fn borrowed(key: &Secret) -> PrivatePkcs8KeyDer<'_> {
    PrivatePkcs8KeyDer::from(key.expose_bytes())
}

fn elsewhere(with: &Session<'_>, url: &str) -> Failure {
    let account = with.account;
    let message = format!(
        "account `{}` was registered at `{}`, issuer `{}` is `{url}` now",
        account.url, account.directory, account.issuer
    );
    Failure::new(Reason::AccountRefused, message)
}

fn other_key(with: &Session<'_>, found: &str) -> Failure {
    let account = with.account;
    let message =
        format!("account `{}` has the key `{}`, the key that was opened is `{found}`", account.url, account.thumbprint);
    Failure::new(Reason::AccountRefused, message)
}
