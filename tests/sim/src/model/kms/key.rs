//! A key, its material over time, and what DescribeKey says of it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::error::{AwsError, disabled, invalid_state};
use super::spec::KeySpec;
use crate::model::bytes;

/// The state of a key. `Creating`, `PendingImport`, `Unavailable` and the replica states are not played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyState {
    /// Usable.
    Enabled,
    /// Switched off by DisableKey, or given back by CancelKeyDeletion.
    Disabled,
    /// Waiting for its deletion.
    PendingDeletion,
}

/// How a material came into use after the first one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RotationKind {
    /// By the schedule.
    Automatic,
    /// By RotateKeyOnDemand.
    OnDemand,
}

/// One generation of key material.
#[derive(Clone, Serialize, Deserialize)]
pub struct Material {
    /// Its id: 64 hexadecimal digits.
    pub id: String,
    /// In use since then.
    pub since: i64,
    /// None for the first one.
    pub rotation: Option<RotationKind>,
    #[serde(with = "bytes")]
    pub(super) secret: Vec<u8>,
}

impl fmt::Debug for Material {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Material({}, since {})", self.id, self.since)
    }
}

/// The automatic schedule.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Schedule {
    /// `RotationPeriodInDays`
    pub period_days: i64,
    /// `NextRotationDate`
    pub next: i64,
}

/// A key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Key {
    /// The last part of the ARN.
    pub id: String,
    /// The whole ARN; the key of the registry.
    pub arn: String,
    /// The account that owns it.
    pub account: String,
    /// What it is.
    pub spec: KeySpec,
    /// `KeyUsage`
    pub usage: String,
    /// `Description`
    pub description: String,
    /// `MultiRegion`
    pub multi_region: bool,
    /// `KeyState`
    pub state: KeyState,
    /// Since when it exists.
    pub created: i64,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// When it will be gone, while it waits for deletion.
    pub deletion: Option<i64>,
    /// The automatic schedule, when switched on.
    pub schedule: Option<Schedule>,
    /// Rotations on demand so far; 25 in a life.
    pub on_demand: u32,
    /// A rotation on demand that is under way: asked for, done.
    pub rotating: Option<(i64, i64)>,
    /// All generations, the newest last.
    pub materials: Vec<Material>,
    /// Until then the key has not reached every part of the service.
    pub(super) visible_at: i64,
}

impl Key {
    /// The material in use. There is always one.
    pub fn current(&self) -> &Material {
        self.materials.last().expect("a key is created with a material")
    }

    pub(super) fn must_be_enabled(&self) -> Result<(), AwsError> {
        match self.state {
            KeyState::Enabled => Ok(()),
            KeyState::Disabled => Err(disabled(&self.arn)),
            KeyState::PendingDeletion => Err(self.pending_deletion()),
        }
    }

    pub(super) fn must_stay(&self) -> Result<(), AwsError> {
        if self.state == KeyState::PendingDeletion { Err(self.pending_deletion()) } else { Ok(()) }
    }

    pub(super) fn pending_deletion(&self) -> AwsError {
        invalid_state(&self.arn, "pending deletion")
    }

    /// `KeyMetadata`
    pub(super) fn metadata(&self) -> Value {
        let (field, algorithms) = self.spec.algorithms();
        let mut metadata = json!({
            "AWSAccountId": self.account,
            "KeyId": self.id,
            "Arn": self.arn,
            "CreationDate": seconds(self.created),
            "Enabled": self.state == KeyState::Enabled,
            "Description": self.description,
            "KeyUsage": self.usage,
            "KeyState": format!("{:?}", self.state),
            "Origin": "AWS_KMS",
            "KeyManager": "CUSTOMER",
            "CustomerMasterKeySpec": self.spec.name(),
            "KeySpec": self.spec.name(),
            "MultiRegion": self.multi_region,
        });
        metadata[field] = json!(algorithms);
        if self.spec.symmetric() {
            metadata["CurrentKeyMaterialId"] = json!(self.current().id);
        }
        if let Some(deletion) = self.deletion {
            metadata["DeletionDate"] = json!(seconds(deletion));
        }
        if self.multi_region {
            let primary = json!({ "Arn": self.arn, "Region": self.arn.split(':').nth(3) });
            metadata["MultiRegionConfiguration"] =
                json!({ "MultiRegionKeyType": "PRIMARY", "PrimaryKey": primary, "ReplicaKeys": [] });
        }
        metadata
    }
}

/// A moment as AWS JSON writes it.
pub(super) fn seconds(millis: i64) -> f64 {
    millis as f64 / 1000.0
}

pub(super) const DAY: i64 = 86_400_000;
