//! What claviger can do and ask: names, never secrets, so that it can be stored, hashed for approval and audited whole.
//!
//! [`Effect::terms`] is the one table behind crash safety, budgets and injected faults.

use claviger_config::{
    DnsName, IssuerName, KeyAlgorithm, Moment, Name, Span,
    certificate::FilesOutlet,
    environment::TlsVersion,
    hostname::Validation,
    key::{KeySpec, KeyState, Purpose},
};
use serde::{Deserialize, Serialize};

use super::failure::Failure;

/// One change outside, grouped by port.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Effect {
    /// At an ACME CA.
    Acme(AcmeEffect),
    /// At the edge.
    Edge(EdgeEffect),
    /// In the KMS namespace.
    Kms(KmsEffect),
    /// Where certificates go.
    Outlet(OutletEffect),
    /// Where wrapped account keys are kept.
    Vault(VaultEffect),
}

/// Changes at an ACME CA (RFC 8555).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum AcmeEffect {
    /// Tell the CA that every proof of the order is in place (section 7.5.1).
    Answer {
        /// The issuer.
        issuer: IssuerName,
        /// The order's URL.
        order: String,
    },
    /// Hand in the request for a key that was made and stored before (section 7.4).
    Finalize {
        /// The issuer.
        issuer: IssuerName,
        /// The order's URL.
        order: String,
        /// The names, in the document's order.
        names: Vec<DnsName>,
        /// The key, wrapped.
        key: Sealed,
    },
    /// Open an order (section 7.4). RFC 8555 knows no question for it: a lost answer costs at most one stray order.
    OpenOrder {
        /// The issuer.
        issuer: IssuerName,
        /// The names, in the document's order.
        names: Vec<DnsName>,
        /// The profile.
        profile: Option<String>,
        /// The certificate that it replaces (RFC 9773 section 5).
        replaces: Option<String>,
    },
    /// Register the account whose key was made and stored before (section 7.3). The same key gives the same account.
    Register {
        /// The issuer.
        issuer: IssuerName,
        /// The account's key, wrapped.
        key: Sealed,
    },
}

/// Changes at the edge. <https://developers.cloudflare.com/api/resources/custom_hostnames/>
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum EdgeEffect {
    /// Create a custom host name.
    Create {
        /// The name.
        hostname: DnsName,
        /// What it shall be.
        settings: EdgeSettings,
    },
    /// Start a validation that has stopped again: a change that changes nothing.
    Refresh {
        /// The id at the edge.
        id: String,
        /// The name.
        hostname: DnsName,
        /// What it is.
        settings: EdgeSettings,
    },
    /// Make the owned fields equal.
    Update {
        /// The id at the edge.
        id: String,
        /// The name.
        hostname: DnsName,
        /// What it shall be.
        settings: EdgeSettings,
    },
}

/// The fields of a custom host name that claviger owns.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct EdgeSettings {
    /// How control is proven.
    pub validation: Validation,
    /// The oldest TLS version; absent: the zone's, not ours to compare.
    pub min_tls_version: Option<TlsVersion>,
}

/// Changes in the KMS namespace.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum KmsEffect {
    /// Point an alias at a key. Already pointing there is done.
    CreateAlias {
        /// `alias/…`.
        alias: String,
        /// The key.
        arn: String,
    },
    /// Make a key, tagged in the same call with the intent that it answers.
    CreateKey {
        /// What kind.
        spec: KeySpec,
        /// What for.
        purpose: Purpose,
    },
    /// Make a private key and wrap it, bound to its object and use.
    SealNewKey {
        /// Its algorithm.
        algorithm: KeyAlgorithm,
        /// What it is for.
        r#use: KeyUse,
    },
    /// Switch automatic rotation on with that period.
    SetRotation {
        /// The key.
        arn: String,
        /// The period, whole days.
        period: Span,
    },
}

/// What a wrapped private key is for; part of the encryption context.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum KeyUse {
    /// The account at an issuer.
    Account(IssuerName),
    /// The certificate.
    Certificate,
}

impl KeyUse {
    /// The word in the encryption context.
    pub fn word(&self) -> String {
        match self {
            Self::Account(issuer) => format!("account/{issuer}"),
            Self::Certificate => "certificate".to_owned(),
        }
    }
}

/// Changes where certificates go.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum OutletEffect {
    /// Wrap the key that an outlet holds and take the pair over.
    Adopt {
        /// The outlet.
        outlet: OutletTarget,
        /// The names that the certificate must have.
        names: Vec<DnsName>,
    },
    /// Put key and chain there, swapped as one.
    Deliver {
        /// The outlet.
        outlet: OutletTarget,
        /// The key, wrapped.
        key: Sealed,
        /// The chain.
        chain: Chain,
    },
    /// Run the reload hook.
    Reload {
        /// The outlet.
        outlet: OutletTarget,
    },
}

/// An outlet, by its name in the certificate and what it is.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct OutletTarget {
    /// Its name.
    pub name: Name,
    /// Its files.
    pub files: FilesOutlet,
}

/// Changes where wrapped account keys are kept beside the records, so that a lost record costs no account.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum VaultEffect {
    /// Keep a wrapped account key.
    Keep {
        /// The issuer.
        issuer: IssuerName,
        /// The key, wrapped.
        key: Sealed,
    },
}

/// One question to the outside. Costs budget like an effect, changes nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Query {
    /// Download and verify what was issued.
    Certificate {
        /// The issuer.
        issuer: IssuerName,
        /// The order's URL.
        order: String,
        /// The names that it must have.
        names: Vec<DnsName>,
        /// The key that it must have.
        spki_sha256: String,
    },
    /// The wrapped account key that was kept.
    AccountKey {
        /// The issuer.
        issuer: IssuerName,
    },
    /// A custom host name, by exact name.
    Hostname {
        /// The name.
        hostname: DnsName,
        /// Its id, when known.
        id: Option<String>,
    },
    /// The key behind an ARN.
    Key {
        /// The key.
        arn: String,
        /// The alias whose target is told beside.
        alias: String,
    },
    /// The key that carries this object's alias or tags, when the record knows none.
    LostKey {
        /// `alias/…`.
        alias: String,
    },
    /// How far an order is.
    Order {
        /// The issuer.
        issuer: IssuerName,
        /// The order's URL.
        order: String,
    },
    /// What an outlet holds.
    Outlet {
        /// The outlet.
        outlet: OutletTarget,
    },
    /// What DNS shows of a customer's records.
    Records {
        /// The questions.
        questions: Vec<DnsQuestion>,
    },
    /// When the CA suggests to renew (RFC 9773).
    Window {
        /// The issuer.
        issuer: IssuerName,
        /// The certificate's id there.
        certificate: String,
    },
}

impl Query {
    /// Its word in logs and metrics.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::AccountKey { .. } => "find_account_key",
            Self::Certificate { .. } => "download_certificate",
            Self::Hostname { .. } => "read_hostname",
            Self::Key { .. } => "read_key",
            Self::LostKey { .. } => "find_key",
            Self::Order { .. } => "read_order",
            Self::Outlet { .. } => "read_outlet",
            Self::Records { .. } => "read_records",
            Self::Window { .. } => "read_renewal_window",
        }
    }

    /// What it pays.
    pub const fn pays(&self) -> &'static [Class] {
        match self {
            Self::Certificate { .. } | Self::Order { .. } | Self::Window { .. } => &[Class::AcmeRequests],
            Self::Hostname { .. } => &[Class::EdgeCalls],
            Self::Key { .. } | Self::LostKey { .. } => &[Class::KmsReads],
            Self::AccountKey { .. } | Self::Outlet { .. } | Self::Records { .. } => &[],
        }
    }
}

/// What the outside said.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum News {
    /// The account key that was kept; absent when none was.
    AccountKey(IssuerName, Option<Sealed>),
    /// What an outlet held was taken over; absent when it cannot be used.
    Adopted(Option<Box<Issued>>),
    /// The alias points at the key.
    Aliased,
    /// Every proof was announced.
    Answered,
    /// Key and chain are in the outlet.
    Delivered(Name),
    /// The custom host name; absent when there is none.
    Hostname(Option<Box<HostnameSeen>>),
    /// What was issued, verified.
    Issued(Box<Chain>),
    /// The account key is kept.
    Kept(IssuerName),
    /// The key; absent when there is none.
    Key(Option<Box<KeySeen>>),
    /// A key was made.
    KeyCreated(String),
    /// A private key was made and wrapped.
    KeySealed(KeyUse, SealedKey),
    /// An order was opened.
    Opened(Box<Opened>),
    /// How far the order is.
    Order(Box<OrderSeen>),
    /// What the outlet holds.
    Outlet(Name, OutletSeen),
    /// What DNS shows.
    Records(Vec<DnsAnswer>),
    /// The account at the CA.
    Registered(Account),
    /// How the reload ended.
    Reloaded(Name, ReloadSeen),
    /// Rotation is on with that period.
    Rotation(Span),
    /// The CA's suggestion; absent when it offers none.
    Window(Option<Window>),
}

impl News {
    /// Its word in messages about news out of turn.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::AccountKey(..) => "AccountKey",
            Self::Adopted(_) => "Adopted",
            Self::Aliased => "Aliased",
            Self::Answered => "Answered",
            Self::Delivered(_) => "Delivered",
            Self::Hostname(_) => "Hostname",
            Self::Issued(_) => "Issued",
            Self::Kept(_) => "Kept",
            Self::Key(_) => "Key",
            Self::KeyCreated(_) => "KeyCreated",
            Self::KeySealed(..) => "KeySealed",
            Self::Opened(_) => "Opened",
            Self::Order(_) => "Order",
            Self::Outlet(..) => "Outlet",
            Self::Records(_) => "Records",
            Self::Registered(_) => "Registered",
            Self::Reloaded(..) => "Reloaded",
            Self::Rotation(_) => "Rotation",
            Self::Window(_) => "Window",
        }
    }
}

/// A private key as ciphertext: an AWS Encryption SDK message, base64.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Sealed(pub String);

/// A wrapped private key and what may be known of it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SealedKey {
    /// The key, wrapped.
    pub key: Sealed,
    /// SHA-256 over its SubjectPublicKeyInfo, lower hexadecimal.
    pub spki_sha256: String,
    /// Its algorithm.
    pub algorithm: KeyAlgorithm,
}

/// An account at an ACME CA.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Account {
    /// The issuer.
    pub issuer: IssuerName,
    /// The directory that it was registered at.
    pub directory: String,
    /// Its URL.
    pub url: String,
    /// Its key, wrapped.
    pub key: Sealed,
    /// The thumbprint of its key (RFC 7638), base64url.
    pub thumbprint: String,
}

/// A verified chain.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Chain {
    /// Leaf first, PEM.
    pub pem: String,
    /// The serial number, lower hexadecimal.
    pub serial: String,
    /// SHA-256 over the SubjectPublicKeyInfo, lower hexadecimal.
    pub spki_sha256: String,
    /// SHA-256 over the leaf certificate, lower hexadecimal.
    pub fingerprint: String,
    /// The names, sorted.
    pub names: Vec<DnsName>,
    /// Valid from.
    pub not_before: Moment,
    /// Valid until.
    pub not_after: Moment,
    /// Its id for renewal information (RFC 9773 section 4.1); absent when it has no authority key identifier.
    pub renewal_id: Option<String>,
}

/// A chain and its key.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Issued {
    /// The chain.
    pub chain: Chain,
    /// The key, wrapped.
    pub key: SealedKey,
    /// Where it came from; absent when it was adopted.
    pub issuer: Option<IssuerName>,
    /// The profile that it was asked with.
    pub profile: Option<String>,
    /// When it came.
    pub at: Moment,
}

/// An order that was opened, and for what.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Opened {
    /// The issuer.
    pub issuer: IssuerName,
    /// The names.
    pub names: Vec<DnsName>,
    /// The profile.
    pub profile: Option<String>,
    /// The order.
    pub order: OrderSeen,
}

/// An order as the CA shows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OrderSeen {
    /// Its URL.
    pub url: String,
    /// How far it is.
    pub stage: Stage,
    /// When the CA wants to be asked again.
    pub ask_again: Option<Moment>,
    /// Whether the CA took it as a replacement (RFC 9773 section 5).
    pub replaces: bool,
}

/// How far an order is (RFC 8555 section 7.1.6).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Stage {
    /// The CA does not know it, or it has expired.
    Gone,
    /// It failed; the CA's words.
    Invalid(Box<Failure>),
    /// Proofs are missing; so many challenges wait for our answer.
    Pending {
        /// Challenges that nobody has answered yet.
        unanswered: u32,
    },
    /// The CA is issuing.
    Processing,
    /// It may be finalized.
    Ready,
    /// The certificate can be had.
    Valid,
}

/// When a CA suggests to renew (RFC 9773).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Window {
    /// From.
    pub start: Moment,
    /// To.
    pub end: Moment,
    /// When to ask again.
    pub ask_again: Moment,
    /// Why it was moved.
    pub explanation_url: Option<String>,
}

/// A key as AWS shows it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct KeySeen {
    /// Its ARN.
    pub arn: String,
    /// Its state.
    pub state: KeyState,
    /// What kind.
    pub spec: Option<KeySpec>,
    /// Its material.
    pub material: Option<String>,
    /// When it was made.
    pub created_at: Option<Moment>,
    /// When AWS will delete it.
    pub deletion_at: Option<Moment>,
    /// Its rotation; absent when it could not be asked or does not apply.
    pub rotation: Option<RotationSeen>,
    /// Where the alias points: absent when there is none.
    pub alias_target: Option<String>,
    /// Whether its tags name this very object: the only sign that it is ours.
    pub ours: bool,
}

/// A key's rotation as AWS shows it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RotationSeen {
    /// Whether it is on.
    pub enabled: bool,
    /// Its period.
    pub period: Option<Span>,
    /// When it comes next.
    pub next: Option<Moment>,
    /// When it last happened.
    pub last: Option<Moment>,
}

/// A custom host name as the edge shows it. Words of the edge are kept as they are: unknown ones must not break anything.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct HostnameSeen {
    /// Its id.
    pub id: String,
    /// The name.
    pub hostname: String,
    /// `status`: who owns the name.
    pub status: String,
    /// `ssl`; absent when there is none.
    pub certificate: Option<EdgeCertificate>,
    /// TXT record that proves ownership, name and value.
    pub ownership: Option<(String, String)>,
    /// `verification_errors`.
    pub errors: Vec<String>,
}

/// The certificate of a custom host name as the edge shows it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct EdgeCertificate {
    /// `ssl.status`.
    pub status: String,
    /// `ssl.method`.
    pub method: Option<String>,
    /// `ssl.settings.min_tls_version`.
    pub min_tls_version: Option<String>,
    /// When it expires.
    pub not_after: Option<Moment>,
    /// TXT records that prove the request, name and value.
    pub txt: Vec<(String, String)>,
    /// Files that prove the request, URL and body.
    pub http: Vec<(String, String)>,
    /// `ssl.validation_errors`.
    pub errors: Vec<String>,
}

/// What is asked of DNS.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct DnsQuestion {
    /// The name.
    pub name: String,
    /// The type.
    pub r#type: RecordType,
}

/// Types of DNS records that claviger looks at.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum RecordType {
    /// An IPv4 address.
    A,
    /// An IPv6 address.
    Aaaa,
    /// Who may issue (RFC 8659).
    Caa,
    /// Another name.
    Cname,
    /// Text.
    Txt,
}

/// What DNS answered.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct DnsAnswer {
    /// The question.
    pub question: DnsQuestion,
    /// The values; names in lower case without a trailing dot. Absent when no server answered.
    pub values: Option<Vec<String>>,
    /// Who was asked.
    pub server: String,
}

/// What an outlet holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum OutletSeen {
    /// Nothing.
    Empty,
    /// A certificate and a key that belong together.
    Pair {
        /// SHA-256 over the leaf certificate, lower hexadecimal.
        fingerprint: String,
    },
    /// Something that is no pair.
    Spoilt,
}

/// How a reload ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ReloadSeen {
    /// In words: status, time-out, the end of what it printed.
    Failed(String),
    /// The command ended with 0.
    Succeeded,
}

/// Whether an effect may be done again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Again {
    /// An intent is stored first; after a lost answer the far side is asked, and its "no" counts only once `settle` has passed.
    AfterAsking {
        /// For how long a "no" may be a late view.
        settle: Span,
    },
    /// Doing it twice is doing it once.
    Freely,
}

/// Budgets.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Class {
    /// New orders.
    AcmeOrders,
    /// Calls to a CA.
    AcmeRequests,
    /// Calls to Cloudflare.
    EdgeCalls,
    /// Certificates that Cloudflare issues.
    EdgeIssuance,
    /// Calls of the class of CreateKey: five a second.
    KmsChanges,
    /// Reads of keys.
    KmsReads,
    /// Symmetric operations.
    KmsSymmetric,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 7] = [
        Self::AcmeOrders,
        Self::AcmeRequests,
        Self::EdgeCalls,
        Self::EdgeIssuance,
        Self::KmsChanges,
        Self::KmsReads,
        Self::KmsSymmetric,
    ];

    /// The word in answers and metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::AcmeOrders => "acme-orders",
            Self::AcmeRequests => "acme-requests",
            Self::EdgeCalls => "edge-calls",
            Self::EdgeIssuance => "edge-issuance",
            Self::KmsChanges => "kms-changes",
            Self::KmsReads => "kms-reads",
            Self::KmsSymmetric => "kms-symmetric",
        }
    }
}

/// What the table says of an effect.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Terms {
    /// Its word in logs, metrics and audit.
    pub word: &'static str,
    /// Whether it may be done again.
    pub again: Again,
    /// What it pays.
    pub pays: &'static [Class],
}

impl Terms {
    const fn new(word: &'static str, again: Again, pays: &'static [Class]) -> Self {
        Self { word, again, pays }
    }

    /// Those of [`AcmeEffect::Answer`].
    pub const ANSWER: Self = Self::new("answer_challenges", Again::Freely, &[Class::AcmeRequests]);
    /// Those of [`OutletEffect::Deliver`].
    pub const DELIVER: Self = Self::new("deliver", Again::Freely, &[Class::KmsSymmetric]);
    /// Those of [`AcmeEffect::Finalize`].
    pub const FINALIZE: Self = Self::new("finalize", Again::Freely, &[Class::AcmeRequests, Class::KmsSymmetric]);
    /// Those of [`AcmeEffect::OpenOrder`].
    pub const OPEN_ORDER: Self =
        Self::new("open_order", Again::AfterAsking { settle: Span(0) }, &[Class::AcmeOrders, Class::AcmeRequests]);
    /// Those of [`KmsEffect::SealNewKey`].
    pub const SEAL_NEW_KEY: Self = Self::new("seal_new_key", Again::Freely, &[Class::KmsSymmetric]);
}

impl Effect {
    /// The one table behind crash safety, budgets and injected faults.
    pub const fn terms(&self) -> Terms {
        use Class::{AcmeRequests, EdgeCalls, EdgeIssuance, KmsChanges, KmsSymmetric};
        const FREELY: Again = Again::Freely;
        const ASK: Again = Again::AfterAsking { settle: Span(0) };
        // "usually seconds, sometimes minutes": https://docs.aws.amazon.com/kms/latest/developerguide/programming-eventual-consistency.html
        const ASK_KMS: Again = Again::AfterAsking { settle: Span::minutes(5) };
        match self {
            Self::Acme(AcmeEffect::Answer { .. }) => Terms::ANSWER,
            Self::Acme(AcmeEffect::Finalize { .. }) => Terms::FINALIZE,
            Self::Acme(AcmeEffect::OpenOrder { .. }) => Terms::OPEN_ORDER,
            Self::Acme(AcmeEffect::Register { .. }) => Terms::new("register_account", FREELY, &[AcmeRequests]),
            Self::Edge(EdgeEffect::Create { .. }) => Terms::new("create_hostname", ASK, &[EdgeIssuance, EdgeCalls]),
            Self::Edge(EdgeEffect::Refresh { .. }) => {
                Terms::new("refresh_hostname", FREELY, &[EdgeIssuance, EdgeCalls])
            }
            Self::Edge(EdgeEffect::Update { .. }) => Terms::new("update_hostname", FREELY, &[EdgeIssuance, EdgeCalls]),
            Self::Kms(KmsEffect::CreateAlias { .. }) => Terms::new("create_alias", FREELY, &[KmsChanges]),
            Self::Kms(KmsEffect::CreateKey { .. }) => Terms::new("create_key", ASK_KMS, &[KmsChanges]),
            Self::Kms(KmsEffect::SealNewKey { .. }) => Terms::SEAL_NEW_KEY,
            Self::Kms(KmsEffect::SetRotation { .. }) => Terms::new("set_rotation", FREELY, &[KmsChanges]),
            Self::Outlet(OutletEffect::Adopt { .. }) => Terms::new("adopt", FREELY, &[KmsSymmetric]),
            Self::Outlet(OutletEffect::Deliver { .. }) => Terms::DELIVER,
            Self::Outlet(OutletEffect::Reload { .. }) => Terms::new("reload", FREELY, &[]),
            Self::Vault(VaultEffect::Keep { .. }) => Terms::new("keep_account_key", FREELY, &[]),
        }
    }

    /// The issuer that it goes to.
    pub const fn issuer(&self) -> Option<&IssuerName> {
        match self {
            Self::Acme(
                AcmeEffect::Answer { issuer, .. }
                | AcmeEffect::Finalize { issuer, .. }
                | AcmeEffect::OpenOrder { issuer, .. }
                | AcmeEffect::Register { issuer, .. },
            )
            | Self::Vault(VaultEffect::Keep { issuer, .. }) => Some(issuer),
            Self::Edge(_) | Self::Kms(_) | Self::Outlet(_) => None,
        }
    }

    /// The order at the CA that it belongs to.
    pub const fn order(&self) -> Option<&String> {
        match self {
            Self::Acme(AcmeEffect::Answer { order, .. } | AcmeEffect::Finalize { order, .. }) => Some(order),
            _ => None,
        }
    }
}
