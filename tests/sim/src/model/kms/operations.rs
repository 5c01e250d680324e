//! The table of operations: name, quota (requests a second of one account in one Region), form of the key's name.
//! Numbers as published on the page "Request quotas" of the developer guide.

use super::{Call, Kms, Outcome};

/// One row.
pub(super) struct Operation {
    pub(super) name: &'static str,
    /// Which bucket it pays from.
    pub(super) quota: &'static str,
    pub(super) per_second: u32,
    /// May the key be named by an alias, and may it lie in another account?
    pub(super) any_name: bool,
    pub(super) run: fn(&mut Kms, &Call<'_>) -> Outcome,
}

pub(super) const OPERATIONS: &[Operation] = &[
    own("CancelKeyDeletion", 5, Kms::cancel_key_deletion),
    own("CreateAlias", 5, Kms::create_alias),
    own("CreateKey", 5, Kms::create_key),
    any("Decrypt", "symmetric", 10_000, Kms::decrypt),
    own("DeleteAlias", 15, Kms::delete_alias),
    any("DescribeKey", "DescribeKey", 2_000, Kms::describe_key),
    own("DisableKey", 5, Kms::disable_key),
    own("DisableKeyRotation", 5, Kms::disable_key_rotation),
    own("EnableKey", 5, Kms::enable_key),
    own("EnableKeyRotation", 15, Kms::enable_key_rotation),
    any("Encrypt", "symmetric", 10_000, Kms::encrypt),
    any("GenerateDataKey", "symmetric", 10_000, Kms::generate_data_key),
    any("GenerateDataKeyWithoutPlaintext", "symmetric", 10_000, Kms::generate_data_key_without_plaintext),
    any("GenerateRandom", "symmetric", 10_000, Kms::generate_random),
    own("GetKeyRotationStatus", 1_000, Kms::get_key_rotation_status),
    any("GetPublicKey", "GetPublicKey", 2_000, Kms::get_public_key),
    own("ListAliases", 500, Kms::list_aliases),
    own("ListKeyRotations", 100, Kms::list_key_rotations),
    own("ListKeys", 500, Kms::list_keys),
    own("ListResourceTags", 2_000, Kms::list_resource_tags),
    any("ReEncrypt", "symmetric", 10_000, Kms::re_encrypt),
    own("RotateKeyOnDemand", 5, Kms::rotate_key_on_demand),
    own("ScheduleKeyDeletion", 15, Kms::schedule_key_deletion),
    any("Sign", "asymmetric", 1_000, Kms::sign),
    own("TagResource", 10, Kms::tag_resource),
    own("UntagResource", 5, Kms::untag_resource),
    own("UpdateAlias", 5, Kms::update_alias),
    own("UpdateKeyDescription", 5, Kms::update_key_description),
    any("Verify", "asymmetric", 1_000, Kms::verify),
];

const fn own(name: &'static str, per_second: u32, run: fn(&mut Kms, &Call<'_>) -> Outcome) -> Operation {
    Operation { name, quota: name, per_second, any_name: false, run }
}

const fn any(
    name: &'static str,
    quota: &'static str,
    per_second: u32,
    run: fn(&mut Kms, &Call<'_>) -> Outcome,
) -> Operation {
    Operation { name, quota, per_second, any_name: true, run }
}
