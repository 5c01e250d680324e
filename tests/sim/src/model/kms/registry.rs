//! Finding a key by id, ARN or alias, within the walls of account and Region.

use super::error::{access_denied, not_found};
use super::{AwsError, Call, Kms};
use crate::model::kms::key::Key;

impl Kms {
    /// The key that a request names in `field`, seen and allowed.
    pub(super) fn find(&self, call: &Call<'_>, field: &str) -> Result<&Key, AwsError> {
        self.find_named(call, call.input.need(field)?)
    }

    /// The same, to change it. Only an operation of the owning account gets here.
    pub(super) fn find_mut(&mut self, call: &Call<'_>, field: &str) -> Result<&mut Key, AwsError> {
        let arn = self.find(call, field)?.arn.clone();
        self.keys.get_mut(&arn).ok_or_else(|| gone(&arn))
    }

    pub(super) fn find_named(&self, call: &Call<'_>, name: &str) -> Result<&Key, AwsError> {
        let arn = self.arn_of(call, name)?;
        let seen = self.keys.get(&arn).filter(|key| key.visible_at <= call.now);
        match seen {
            Some(key) if self.is_stranger(call, key) => Err(denied(call, &arn)),
            Some(key) => self.authorise(call, &arn).map(|()| key),
            // A stranger learns nothing, not even that there is no such key.
            None if account_of(&arn) != call.caller.account => Err(denied(call, &arn)),
            None => Err(gone(&arn)),
        }
    }

    fn is_stranger(&self, call: &Call<'_>, key: &Key) -> bool {
        let shared = |share: &super::Share| share.key == key.arn && share.account == call.caller.account;
        key.account != call.caller.account && !(call.operation.any_name && self.steering.shares.iter().any(shared))
    }

    fn arn_of(&self, call: &Call<'_>, name: &str) -> Result<String, AwsError> {
        let place = call.place();
        if let Some(rest) = name.strip_prefix("arn:aws:kms:") {
            let region = rest.split(':').next().unwrap_or_default();
            if region != call.caller.region {
                return Err(not_found(format!("Invalid arn {region}")));
            }
            return if name.contains(":alias/") { self.target_of(call, name) } else { Ok(name.to_owned()) };
        }
        match name.starts_with("alias/") {
            true => self.target_of(call, &format!("{place}:{name}")),
            false if is_key_id(name) => Ok(format!("{place}:key/{name}")),
            false => Err(not_found(format!("Invalid keyId '{name}'"))),
        }
    }

    fn target_of(&self, call: &Call<'_>, alias_arn: &str) -> Result<String, AwsError> {
        if !call.operation.any_name {
            let name = alias_arn.rsplit_once(":alias/").map_or(alias_arn, |(_, name)| name);
            return Err(not_found(format!("Invalid keyId 'alias/{name}'")));
        }
        let target = self.aliases.get(alias_arn).and_then(|alias| alias.seen_target(call.now));
        match target {
            Some(target) => Ok(target.to_owned()),
            None if account_of(alias_arn) != call.caller.account => Err(denied(call, alias_arn)),
            None => Err(not_found(format!("Alias {alias_arn} is not found."))),
        }
    }
}

impl Call<'_> {
    /// The beginning of all ARNs of the caller's account and Region.
    pub(super) fn place(&self) -> String {
        format!("arn:aws:kms:{}:{}", self.caller.region, self.caller.account)
    }

    /// `DryRun` ends an operation that would have been done.
    pub(super) fn end_dry_run(&self) -> Result<(), AwsError> {
        if self.input.flag("DryRun")? {
            let text = "The request would have succeeded, but the DryRun option is set.";
            return Err(AwsError::new("DryRunOperationException", text));
        }
        Ok(())
    }
}

pub(super) fn account_of(arn: &str) -> &str {
    arn.split(':').nth(4).unwrap_or_default()
}

fn denied(call: &Call<'_>, arn: &str) -> AwsError {
    access_denied(&call.caller.principal, call.operation.name, arn)
}

fn gone(arn: &str) -> AwsError {
    not_found(format!("Key '{arn}' does not exist"))
}

fn is_key_id(name: &str) -> bool {
    let digits = name.strip_prefix("mrk-").unwrap_or(name).replace('-', "");
    digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}
