//! What claviger can do and ask: names, never secrets, so that it can be stored, hashed for approval and audited whole.
//!
//! [`Effect::terms`] is the one table behind crash safety, budgets and injected faults. What is changed in a place and what is
//! seen there stands in one file; [`Query`] and [`News`] are the questions to all of them and what they say.

mod acme;
mod chain;
mod dns;
mod edge;
mod kms;
mod news;
mod outlet;
mod query;
mod sealed;
mod vault;

use claviger_config::{IssuerName, Span};
use serde::{Deserialize, Serialize};

pub use self::{
    acme::{Account, AcmeEffect, Opened, OrderSeen, Stage, Window},
    chain::{Chain, Issued},
    dns::{DnsAnswer, DnsQuestion, RecordType},
    edge::{EdgeCertificate, EdgeEffect, EdgeSettings, HostnameSeen},
    kms::{KeySeen, KmsEffect, RotationSeen},
    news::News,
    outlet::{OutletEffect, OutletPlace, OutletSeen, OutletTarget, ReloadSeen, SecretTarget},
    query::Query,
    sealed::{KeyUse, Sealed, SealedKey},
    vault::VaultEffect,
};
use super::budget::Class;

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
