//! `kind: KmsKey`: a key that must exist in an environment's KMS namespace.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    condition::CommonStatus,
    moment::{Moment, Span},
};

/// What a key is for. Immutable.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// Data of the applications.
    Data,
    /// Message authentication codes.
    Mac,
    /// Signatures of the applications.
    Sign,
    /// Signatures of an internal CA.
    SignAuthority,
    /// Wraps private keys and account keys.
    Wrap,
}

impl Purpose {
    /// The word in documents and tags.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Mac => "mac",
            Self::Sign => "sign",
            Self::SignAuthority => "sign-authority",
            Self::Wrap => "wrap",
        }
    }
}

/// The kinds of key of AWS KMS. Immutable.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[expect(
    missing_docs,
    reason = "the words of AWS KMS: https://docs.aws.amazon.com/kms/latest/developerguide/symm-asymm-choose-key-spec.html"
)]
pub enum KeySpec {
    #[serde(rename = "ECC_NIST_P256")]
    EccNistP256,
    #[serde(rename = "ECC_NIST_P384")]
    EccNistP384,
    #[serde(rename = "HMAC_256")]
    Hmac256,
    #[serde(rename = "HMAC_384")]
    Hmac384,
    #[serde(rename = "HMAC_512")]
    Hmac512,
    #[serde(rename = "ML_DSA_44")]
    MlDsa44,
    #[serde(rename = "ML_DSA_65")]
    MlDsa65,
    #[serde(rename = "ML_DSA_87")]
    MlDsa87,
    #[serde(rename = "RSA_2048")]
    Rsa2048,
    #[serde(rename = "RSA_3072")]
    Rsa3072,
    #[serde(rename = "RSA_4096")]
    Rsa4096,
    #[default]
    #[serde(rename = "SYMMETRIC_DEFAULT")]
    SymmetricDefault,
}

impl KeySpec {
    /// Every kind, in alphabetical order.
    pub const ALL: [Self; 12] = [
        Self::EccNistP256,
        Self::EccNistP384,
        Self::Hmac256,
        Self::Hmac384,
        Self::Hmac512,
        Self::MlDsa44,
        Self::MlDsa65,
        Self::MlDsa87,
        Self::Rsa2048,
        Self::Rsa3072,
        Self::Rsa4096,
        Self::SymmetricDefault,
    ];

    /// The word of AWS KMS.
    pub const fn word(self) -> &'static str {
        match self {
            Self::EccNistP256 => "ECC_NIST_P256",
            Self::EccNistP384 => "ECC_NIST_P384",
            Self::Hmac256 => "HMAC_256",
            Self::Hmac384 => "HMAC_384",
            Self::Hmac512 => "HMAC_512",
            Self::MlDsa44 => "ML_DSA_44",
            Self::MlDsa65 => "ML_DSA_65",
            Self::MlDsa87 => "ML_DSA_87",
            Self::Rsa2048 => "RSA_2048",
            Self::Rsa3072 => "RSA_3072",
            Self::Rsa4096 => "RSA_4096",
            Self::SymmetricDefault => "SYMMETRIC_DEFAULT",
        }
    }

    /// Whether AWS rotates it by itself: symmetric keys only.
    pub const fn rotates(self) -> bool {
        matches!(self, Self::SymmetricDefault)
    }

    /// Whether it may serve that purpose: a key has one usage for life.
    pub const fn serves(self, purpose: Purpose) -> bool {
        match purpose {
            Purpose::Wrap | Purpose::Data => matches!(self, Self::SymmetricDefault),
            Purpose::Mac => matches!(self, Self::Hmac256 | Self::Hmac384 | Self::Hmac512),
            Purpose::Sign | Purpose::SignAuthority => {
                !matches!(self, Self::SymmetricDefault | Self::Hmac256 | Self::Hmac384 | Self::Hmac512)
            }
        }
    }
}

/// Automatic rotation.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rotation {
    /// How often new material is made: whole days, `90d` to `2560d`. Optional: `365d`.
    #[serde(default = "default_period")]
    pub period: Span,
}

impl Default for Rotation {
    fn default() -> Self {
        Self { period: default_period() }
    }
}

fn default_period() -> Span {
    Span::days(365)
}

/// One key.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KmsKeySpec {
    /// What it is for. Immutable.
    pub purpose: Purpose,
    /// What kind of key it is. Immutable. Optional: `SYMMETRIC_DEFAULT`.
    #[serde(default)]
    pub key_spec: KeySpec,
    /// Automatic rotation, for `SYMMETRIC_DEFAULT` alone. Optional: every `365d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<Rotation>,
}

impl KmsKeySpec {
    /// The period that is asked for; absent for keys that AWS does not rotate by itself.
    pub fn rotation_period(&self) -> Option<Span> {
        self.key_spec.rotates().then(|| self.rotation.unwrap_or_default().period)
    }
}

/// The state of a key in AWS KMS.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
pub enum KeyState {
    /// AWS is making it.
    Creating,
    /// Switched off.
    Disabled,
    /// In use.
    Enabled,
    /// Will be deleted.
    PendingDeletion,
    /// Waits for imported material.
    PendingImport,
    /// Waits for its replicas' deletion.
    PendingReplicaDeletion,
    /// Its key store cannot be reached.
    Unavailable,
    /// AWS is changing it.
    Updating,
}

impl KeyState {
    /// The word of AWS KMS, also the metric label.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Creating => "Creating",
            Self::Disabled => "Disabled",
            Self::Enabled => "Enabled",
            Self::PendingDeletion => "PendingDeletion",
            Self::PendingImport => "PendingImport",
            Self::PendingReplicaDeletion => "PendingReplicaDeletion",
            Self::Unavailable => "Unavailable",
            Self::Updating => "Updating",
        }
    }
}

/// A key as AWS shows it; unknown is absent.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyView {
    /// Its ARN.
    pub arn: String,
    /// Its state.
    pub state: KeyState,
    /// The id of the key material in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub material: Option<String>,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Moment>,
    /// When it was last rotated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated_at: Option<Moment>,
    /// When it will be rotated next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_rotation: Option<Moment>,
    /// When AWS will delete it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_at: Option<Moment>,
    /// When it was last looked at.
    pub observed_at: Moment,
}

/// Status of a `KmsKey`.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KmsKeyStatus {
    /// What every status begins with.
    #[serde(flatten)]
    pub common: CommonStatus,
    /// The key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyView>,
    /// Its alias.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
}
