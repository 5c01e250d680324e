//! All that claviger needs from the world, on one page.
//!
//! One call is one attempt with a deadline: an adapter never retries (but `badNonce`, RFC 8555 section 6.5), the plan does.
//! "Not there" is `Ok(None)`. *Twice* = may be repeated blindly; whatever is not has a question beside it. Every call names the
//! environment, and the adapter takes that environment's role, account and token, and no other. A [`Failure`] holds nothing
//! secret.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use claviger_config::{
    DnsName, EnvironmentName, IssuerName, KeyAlgorithm, Moment, ObjectName, Span,
    desired::{Surroundings, Wanted},
    key::{KeySpec, Purpose},
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub use crate::domain::actor::Actor;
use crate::domain::{
    effect::{
        Account, Chain, DnsAnswer, DnsQuestion, EdgeSettings, HostnameSeen, KeySeen, KeyUse, OrderSeen, OutletSeen,
        OutletTarget, ReloadSeen, Sealed, Window,
    },
    failure::Failure,
};

/// What a port gives: one attempt, boxed.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>;

/// Secret bytes: zeroised when dropped, never shown, never copied silently.
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes over.
    pub const fn new(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// Reads the bytes. Spelled so that a search finds every place.
    pub fn expose_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

/// What a wrapped secret is bound to: the encryption context. Never a UID, since a restore changes it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Binding {
    /// The environment.
    pub environment: EnvironmentName,
    /// The object.
    pub object: ObjectName,
    /// What it is for.
    pub r#use: KeyUse,
}

/// A key to be made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewKey<'a> {
    /// The object that asks for it.
    pub object: &'a ObjectName,
    /// The intent, also its tag.
    pub intent: &'a str,
    /// What kind.
    pub spec: KeySpec,
    /// What for.
    pub purpose: Purpose,
}

/// AWS KMS in one environment's namespace.
pub trait Kms: Send + Sync {
    /// Makes a key, tagged in the same call: owner, classification, environment, object, intent. Gives its ARN.
    fn create_key<'a>(&'a self, at: &'a Surroundings, key: NewKey<'a>) -> Answer<'a, String>;
    /// The key that carries the tag of that intent. KMS may say "no" for minutes after a "yes".
    fn find_by_intent<'a>(&'a self, at: &'a Surroundings, intent: &'a str) -> Answer<'a, Option<String>>;
    /// The key behind the alias if its tags name this object, else any key whose tags do: adoption.
    fn find_by_object<'a>(
        &'a self,
        at: &'a Surroundings,
        alias: &'a str,
        object: &'a ObjectName,
    ) -> Answer<'a, Option<KeySeen>>;
    /// The key behind an ARN with rotation, tags, and where `alias` points.
    fn read_key<'a>(
        &'a self,
        at: &'a Surroundings,
        arn: &'a str,
        alias: &'a str,
        object: &'a ObjectName,
    ) -> Answer<'a, Option<KeySeen>>;
    /// *Twice*: an alias that already points there is fine; one that points elsewhere is a failure (`AliasMoved`), never moved.
    fn create_alias<'a>(&'a self, at: &'a Surroundings, alias: &'a str, arn: &'a str) -> Answer<'a, ()>;
    /// *Twice*.
    fn set_rotation<'a>(&'a self, at: &'a Surroundings, arn: &'a str, period: Span) -> Answer<'a, ()>;
    /// Wraps a secret (AWS Encryption SDK message, suite 0x0478) under the key behind `wrapping`. *Twice*.
    fn seal<'a>(
        &'a self,
        at: &'a Surroundings,
        wrapping: &'a str,
        binding: &'a Binding,
        secret: &'a Secret,
    ) -> Answer<'a, Sealed>;
    /// Opens what `seal` wrote: the key must lie in this environment's account and Region, the context must be `binding`, checked
    /// again after decryption. *Twice*.
    fn open<'a>(&'a self, at: &'a Surroundings, binding: &'a Binding, sealed: &'a Sealed) -> Answer<'a, Secret>;
}

/// An ACME CA (RFC 8555). Nothing here makes a key, and the account's key was stored before.
pub trait Acme: Send + Sync {
    /// *Twice*: the same key gives the same account. `key` is PKCS#8.
    fn register<'a>(&'a self, at: &'a Surroundings, issuer: &'a IssuerName, key: &'a Secret) -> Answer<'a, Registered>;
    /// RFC 8555 knows no question for it: a lost answer costs at most one stray order.
    fn open_order<'a>(
        &'a self,
        with: Session<'a>,
        names: &'a [DnsName],
        profile: Option<&'a str>,
        replaces: Option<&'a str>,
    ) -> Answer<'a, OrderSeen>;
    /// How far it is, its open challenges counted.
    fn order<'a>(&'a self, with: Session<'a>, url: &'a str) -> Answer<'a, OrderSeen>;
    /// *Twice*: a challenge that is no longer pending is left alone.
    fn answer<'a>(&'a self, with: Session<'a>, url: &'a str) -> Answer<'a, ()>;
    /// *Twice* with the same key: reads the order first, hands in only when it is `ready`. `csr` is DER.
    fn finalize<'a>(&'a self, with: Session<'a>, url: &'a str, csr: &'a [u8]) -> Answer<'a, OrderSeen>;
    /// The chain, PEM, not yet verified.
    fn certificate<'a>(&'a self, with: Session<'a>, url: &'a str) -> Answer<'a, String>;
    /// Renewal information (RFC 9773); `None` when the CA offers none for this certificate.
    fn window<'a>(&'a self, with: Session<'a>, certificate: &'a str) -> Answer<'a, Option<Window>>;
}

/// Who speaks to a CA.
#[derive(Clone, Copy)]
pub struct Session<'a> {
    /// The environment.
    pub at: &'a Surroundings,
    /// The account.
    pub account: &'a Account,
    /// Opens the account's key; asked only when the adapter has no live session.
    pub key: &'a (dyn Fn() -> Answer<'a, Secret> + Send + Sync),
}

/// An account as the CA answered it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Registered {
    /// Its URL.
    pub url: String,
    /// The thumbprint of its key (RFC 7638), base64url.
    pub thumbprint: String,
}

/// Cloudflare's custom host names in one environment's zone.
pub trait Edge: Send + Sync {
    /// A duplicate in our zone is an answer, not an error: the one that is there.
    fn create<'a>(
        &'a self,
        at: &'a Surroundings,
        hostname: &'a DnsName,
        settings: EdgeSettings,
    ) -> Answer<'a, HostnameSeen>;
    /// By exact name, by id when it is known. Also the question beside `create`.
    fn find<'a>(
        &'a self,
        at: &'a Surroundings,
        hostname: &'a DnsName,
        id: Option<&'a str>,
    ) -> Answer<'a, Option<HostnameSeen>>;
    /// Sends method and type always, reads back. *Twice*.
    fn update<'a>(
        &'a self,
        at: &'a Surroundings,
        hostname: &'a DnsName,
        id: &'a str,
        settings: EdgeSettings,
    ) -> Answer<'a, HostnameSeen>;
}

/// DNS, read only.
pub trait Dns: Send + Sync {
    /// One answer per question, in order; a question that nobody answered has no values.
    fn ask<'a>(&'a self, questions: &'a [DnsQuestion]) -> Answer<'a, Vec<DnsAnswer>>;
}

/// Where certificates go.
pub trait Outlet: Send + Sync {
    /// What is there. A missing folder is empty.
    fn look<'a>(&'a self, outlet: &'a OutletTarget) -> Answer<'a, OutletSeen>;
    /// Key (PEM) and chain (PEM) that are there, to be adopted; `None` when they are not a pair.
    fn take<'a>(&'a self, outlet: &'a OutletTarget) -> Answer<'a, Option<(Secret, String)>>;
    /// The old pair or the new one, never a mix. `key` is PKCS#8. *Twice*.
    fn deliver<'a>(&'a self, outlet: &'a OutletTarget, key: &'a Secret, chain: &'a Chain) -> Answer<'a, ()>;
    /// Runs the hook with a clean environment and a time-out. *Twice*.
    fn reload<'a>(&'a self, outlet: &'a OutletTarget) -> Answer<'a, ReloadSeen>;
}

/// Keeps wrapped account keys beside the records.
pub trait Vault: Send + Sync {
    /// The wrapped key that was kept.
    fn find<'a>(&'a self, environment: &'a EnvironmentName, issuer: &'a IssuerName) -> Answer<'a, Option<Sealed>>;
    /// Durable when it returns. *Twice*.
    fn keep<'a>(&'a self, environment: &'a EnvironmentName, issuer: &'a IssuerName, key: &'a Sealed) -> Answer<'a, ()>;
}

/// A private key that was just made: PKCS#8, and SHA-256 over its SubjectPublicKeyInfo.
pub type MadeKey = (Secret, String);

/// Keys, requests and certificates as bytes. Keeps nothing, contacts nobody; off the runtime where it takes long.
pub trait Craft: Send + Sync {
    /// Makes a private key.
    fn new_key(&self, algorithm: KeyAlgorithm) -> Answer<'_, MadeKey>;
    /// A certificate signing request, DER. `key` is PKCS#8.
    fn request<'a>(&'a self, key: &'a Secret, names: &'a [DnsName]) -> Answer<'a, Vec<u8>>;
    /// Reads a chain and verifies it: names, dates, order, signatures, the key when given, the issuer's roots when it has any.
    fn verify<'a>(&'a self, at: &'a Surroundings, pem: &'a str, expected: Expected<'a>) -> Answer<'a, Chain>;
    /// A key as PKCS#8 from PEM of any usual form, its algorithm and SHA-256 over its SubjectPublicKeyInfo.
    fn read_key<'a>(&'a self, pem: &'a Secret) -> Answer<'a, (Secret, KeyAlgorithm, String)>;
}

/// What a chain must be.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The names, exactly.
    pub names: &'a [DnsName],
    /// The key.
    pub spki_sha256: &'a str,
    /// Whose roots count; absent for an adopted certificate.
    pub issuer: Option<&'a IssuerName>,
    /// Now.
    pub now: Moment,
}

/// claviger's memory.
pub trait Store: Send + Sync {
    /// Never older than the last `commit` that succeeded here.
    fn load<'a>(&'a self, name: &'a ObjectName) -> Answer<'a, Option<(String, Version)>>;
    /// Durable when it returns, record and claims in one transaction. Refuses a stale version, and a claim that another
    /// environment holds (`ClaimedElsewhere`, both named).
    fn commit<'a>(&'a self, commit: Commit<'a>) -> Answer<'a, Version>;
    /// Every object that has a record.
    fn names(&self) -> Answer<'_, Vec<ObjectName>>;
}

/// Grows with each commit of a record.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Version(pub u64);

impl Version {
    /// That of a record that went with its object: nothing is kept of it.
    pub const NOTHING: Self = Self(0);
}

/// One write.
#[derive(Clone, Debug)]
pub struct Commit<'a> {
    /// Whose record.
    pub name: &'a ObjectName,
    /// The environment; absent while none claims the namespace.
    pub environment: Option<&'a EnvironmentName>,
    /// The record, JSON.
    pub body: &'a str,
    /// The version that it replaces; absent for the first.
    pub expected: Option<Version>,
    /// What belongs to the environment alone from now on: kind and value.
    pub claims: &'a [(&'static str, String)],
    /// What the object says of itself from now on, for a store that everybody reads.
    pub status: Shows<'a>,
    /// What is thought of it, for the same store: so it can be explained by whoever reads the store alone.
    pub thought: Shows<'a>,
}

/// What is put into words only where somebody keeps it.
#[derive(Clone, Copy)]
pub struct Shows<'a>(pub &'a (dyn Fn() -> serde_json::Value + Send + Sync));

impl Shows<'_> {
    /// In words.
    pub fn value(self) -> serde_json::Value {
        (self.0)()
    }
}

impl fmt::Debug for Shows<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shows")
    }
}

/// The audit journal. One line before an effect and one after.
pub trait Audit: Send + Sync {
    /// Durable when it returns.
    fn intend<'a>(&'a self, entry: &'a Entry) -> Answer<'a, ()>;
    /// In order behind its intent; durable soon.
    fn conclude<'a>(&'a self, entry: &'a Entry) -> Answer<'a, ()>;
}

/// One line of the journal, less its place in the chain.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Who: `person`, `workload` or `system`, an id, and the way it came.
    pub actor: Actor,
    /// The word of the effect.
    pub verb: String,
    /// Where.
    pub environment: Option<EnvironmentName>,
    /// On what.
    pub object: ObjectName,
    /// Why.
    pub reason: claviger_config::Reason,
    /// The intent.
    pub intent: String,
    /// What the person who asked for it said.
    pub asked: Option<Asked>,
    /// How it ended, after it: `Done`, `Failed`, `Unknown`; and in words.
    pub outcome: Option<(String, String)>,
}

/// Why a person asked for something.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Asked {
    /// In their words.
    pub justification: String,
    /// A ticket.
    pub ticket: Option<String>,
    /// The plan that they had executed.
    pub plan_sha256: Option<String>,
}

/// Desired state: a valid whole, swapped whole. Reading it never waits.
pub trait Source: Send + Sync {
    /// What shall be; `None`: its document is gone.
    fn wanted(&self, name: &ObjectName) -> Option<Arc<Wanted>>;
    /// Whether a missing document must not count as removed: a file could not be read, or the folder is empty.
    fn frozen(&self) -> bool;
}

/// The only place that knows the time and draws lots. It cannot sleep: waiting is the agenda's.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Moment;
    /// A random number.
    fn draw(&self) -> u64;
}
