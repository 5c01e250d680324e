//! The operations of AWS KMS that claviger calls.

use claviger_core::domain::budget::Class;

/// One operation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Operation {
    CreateAlias,
    CreateKey,
    Decrypt,
    DescribeKey,
    EnableKeyRotation,
    GenerateDataKey,
    GetKeyRotationStatus,
    ListKeyRotations,
    ListKeys,
    ListResourceTags,
}

impl Operation {
    /// AWS's name, as policies write it behind `kms:`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::CreateAlias => "CreateAlias",
            Self::CreateKey => "CreateKey",
            Self::Decrypt => "Decrypt",
            Self::DescribeKey => "DescribeKey",
            Self::EnableKeyRotation => "EnableKeyRotation",
            Self::GenerateDataKey => "GenerateDataKey",
            Self::GetKeyRotationStatus => "GetKeyRotationStatus",
            Self::ListKeyRotations => "ListKeyRotations",
            Self::ListKeys => "ListKeys",
            Self::ListResourceTags => "ListResourceTags",
        }
    }

    /// The budget that stands for its quota.
    /// <https://docs.aws.amazon.com/kms/latest/developerguide/requests-per-second.html>
    pub(super) const fn class(self) -> Class {
        match self {
            Self::CreateAlias | Self::CreateKey | Self::EnableKeyRotation => Class::KmsChanges,
            Self::Decrypt | Self::GenerateDataKey => Class::KmsSymmetric,
            Self::DescribeKey
            | Self::GetKeyRotationStatus
            | Self::ListKeyRotations
            | Self::ListKeys
            | Self::ListResourceTags => Class::KmsReads,
        }
    }

    /// Whether a lost answer leaves it open if something was changed.
    pub(super) const fn changes(self) -> bool {
        matches!(self.class(), Class::KmsChanges)
    }

    /// Whether its answer holds a data key in the clear.
    pub(super) const fn is_secret(self) -> bool {
        matches!(self.class(), Class::KmsSymmetric)
    }
}
