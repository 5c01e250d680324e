//! In the KMS namespace: what is changed, and what it shows.

use claviger_config::{
    KeyAlgorithm, Moment, Span,
    key::{KeySpec, KeyState, Purpose},
};
use serde::{Deserialize, Serialize};

use super::sealed::KeyUse;

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
