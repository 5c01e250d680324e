//! Keys: made once and tagged in the same call, found by their tags, read whole.

use std::collections::BTreeMap;

use aws_sdk_kms::types::{KeyMetadata, KeySpec as AwsKeySpec, KeyUsageType};
use aws_smithy_types::DateTime;
use claviger_config::{
    Moment, ObjectName, Reason, Span,
    desired::Surroundings,
    key::{KeySpec, KeyState, Purpose},
};
use claviger_core::{
    domain::{
        effect::{KeySeen, RotationSeen},
        failure::{Failure, Retry},
    },
    ports::NewKey,
};
use futures::{StreamExt, TryStreamExt, future::join3, stream};
use serde::{Deserialize, de::IntoDeserializer};

use super::{
    fault::{DENIED, Fault, NOT_FOUND},
    namespace::Namespace,
    operation::Operation::{
        CreateAlias, CreateKey, DescribeKey, EnableKeyRotation, GetKeyRotationStatus, ListKeyRotations, ListKeys,
        ListResourceTags,
    },
    tags::{self, Tags, object_tag},
};

/// Calls at a time while tags are searched: far below the quota of 2,000 a second.
const SEARCHERS: usize = 8;
/// AWS's most.
const KEYS_A_PAGE: i32 = 1000;
/// What AWS answers where a key does not rotate, and what endpoints say that do not know the operation.
const NO_ROTATION: &[&str] =
    &["InvalidAction", "KMSInvalidStateException", "UnknownOperationException", "UnsupportedOperationException"];

impl Namespace {
    pub(super) async fn create_key(&self, at: &Surroundings, key: NewKey<'_>) -> Result<String, Failure> {
        self.prove_account().await?;
        let asked = self
            .client
            .create_key()
            .key_spec(AwsKeySpec::from(key.spec.word()))
            .key_usage(usage(key.purpose))
            .multi_region(false)
            .description(format!("claviger: {} ({})", object_tag(key.object), key.purpose.word()))
            .set_tags(Some(tags::of_new_key(at, key)?))
            .send();
        let made = self.ask(CreateKey, asked).await.map_err(|fault| self.failure(CreateKey, "", fault))?;
        let arn = made.key_metadata().and_then(KeyMetadata::arn);
        let arn = arn.ok_or_else(|| self.not_understood(CreateKey, "the answer names no key"))?;
        self.place.own(arn).map_err(|failure| {
            failure.maybe_done().fix(format!("schedule the deletion of {arn}, which was made there by mistake"))
        })?;
        Ok(arn.to_owned())
    }

    pub(super) async fn find_by_intent(&self, intent: &str) -> Result<Option<String>, Failure> {
        let mut found = self.search(|tags| tags.answer(&self.environment, intent)).await?;
        found.sort_unstable();
        Ok(found.into_iter().next())
    }

    pub(super) async fn find_by_object(&self, alias: &str, object: &ObjectName) -> Result<Option<KeySeen>, Failure> {
        let target = self.alias_target(alias).await?;
        if let Some(target) = &target {
            let seen = self.read_key(target, alias, object).await?;
            if seen.as_ref().is_some_and(|seen| seen.ours) {
                return Ok(seen);
            }
        }
        let mut best: Option<KeySeen> = None;
        for arn in self.search(|tags| tags.name(&self.environment, object)).await? {
            let seen = self.read_key(&arn, alias, object).await?;
            // Of several the one that can be used, else the oldest: it is the one that most was wrapped with.
            let rank = |seen: &KeySeen| (seen.state != KeyState::Enabled, seen.created_at, seen.arn.clone());
            best = best.into_iter().chain(seen.filter(|seen| seen.ours)).min_by_key(rank);
        }
        Ok(best)
    }

    pub(super) async fn read_key(
        &self,
        arn: &str,
        alias: &str,
        object: &ObjectName,
    ) -> Result<Option<KeySeen>, Failure> {
        self.place.own(arn)?;
        let Some(metadata) = self.describe(arn).await? else { return Ok(None) };
        let spec = metadata.key_spec().and_then(|spec| word(spec.as_str()));
        let tags = async {
            let tags = self.tags(arn).await;
            tags.map_err(|fault| self.failure(ListResourceTags, arn, fault))
        };
        let rotation = async { if spec.is_some_and(KeySpec::rotates) { self.rotation(arn).await } else { Ok(None) } };
        // Each to its end, so that each is counted.
        let (tags, rotation, alias_target) = join3(tags, rotation, self.alias_target(alias)).await;
        let (tags, rotation, alias_target) = (tags?, rotation?, alias_target?);
        self.seen(arn, &metadata, spec, &tags, object).map(|seen| Some(KeySeen { rotation, alias_target, ..seen }))
    }

    fn seen(
        &self,
        arn: &str,
        metadata: &KeyMetadata,
        spec: Option<KeySpec>,
        tags: &Tags,
        object: &ObjectName,
    ) -> Result<KeySeen, Failure> {
        let state = metadata.key_state().map_or("", |state| state.as_str());
        let state = word::<KeyState>(state)
            .ok_or_else(|| self.not_understood(DescribeKey, &format!("{arn} is in the state `{state}`")))?;
        Ok(KeySeen {
            arn: arn.to_owned(),
            state,
            spec,
            material: metadata.current_key_material_id().map(str::to_owned),
            created_at: metadata.creation_date().and_then(moment),
            deletion_at: metadata.deletion_date().and_then(moment),
            rotation: None,
            alias_target: None,
            ours: tags.name(&self.environment, object),
        })
    }

    pub(super) async fn create_alias(&self, alias: &str, arn: &str) -> Result<(), Failure> {
        self.place.own(arn)?;
        let asked = self.client.create_alias().alias_name(alias).target_key_id(arn).send();
        let Err(fault) = self.ask(CreateAlias, asked).await else { return Ok(()) };
        if !fault.is(&["AlreadyExistsException"]) {
            return Err(self.failure(CreateAlias, arn, fault));
        }
        match self.alias_target(alias).await? {
            Some(target) if target == arn => Ok(()),
            Some(target) => Err(Failure::new(
                Reason::AliasMoved,
                format!("`{alias}` points at {target}, expected {arn}; claviger moves no alias"),
            )
            .retry(Retry::Never)
            .fix(format!("find out who uses {target}"))
            .fix(format!("then: aws kms update-alias --alias-name {alias} --target-key-id {arn}"))),
            None => Err(Failure::new(
                Reason::Unanswered,
                format!("`{alias}` exists, and AWS does not show yet where it points"),
            )),
        }
    }

    pub(super) async fn set_rotation(&self, arn: &str, period: Span) -> Result<(), Failure> {
        self.place.own(arn)?;
        let days = i32::try_from(period.whole_days()).unwrap_or(i32::MAX);
        let asked = self.client.enable_key_rotation().key_id(arn).rotation_period_in_days(days).send();
        let heard = self.ask(EnableKeyRotation, asked).await;
        heard.map(drop).map_err(|fault| self.failure(EnableKeyRotation, arn, fault))
    }

    /// The key that the alias points at; absent when there is no such alias.
    async fn alias_target(&self, alias: &str) -> Result<Option<String>, Failure> {
        let Some(metadata) = self.describe(&self.place.alias_arn(alias)).await? else { return Ok(None) };
        Ok(metadata.arn().map(str::to_owned))
    }

    /// What AWS says of a key, by its ARN or by an alias; an answer about another key is none.
    async fn describe(&self, name: &str) -> Result<Option<KeyMetadata>, Failure> {
        let answer = match self.ask(DescribeKey, self.client.describe_key().key_id(name).send()).await {
            Ok(answer) => answer,
            Err(fault) if fault.is(NOT_FOUND) => return Ok(None),
            Err(fault) => return Err(self.failure(DescribeKey, name, fault)),
        };
        let metadata = answer.key_metadata;
        let metadata = metadata.ok_or_else(|| self.not_understood(DescribeKey, "the answer names no key"))?;
        let found = metadata.arn().unwrap_or_default();
        self.place.own(found)?;
        if name.contains(":key/") && found != name {
            return Err(self.not_understood(DescribeKey, &format!("asked for {name}, the answer is about {found}")));
        }
        Ok(Some(metadata))
    }

    async fn rotation(&self, arn: &str) -> Result<Option<RotationSeen>, Failure> {
        let asked = self.client.get_key_rotation_status().key_id(arn).send();
        let status = match self.ask(GetKeyRotationStatus, asked).await {
            Ok(status) => status,
            Err(fault) if fault.is(NO_ROTATION) => return Ok(None),
            Err(fault) => return Err(self.failure(GetKeyRotationStatus, arn, fault)),
        };
        Ok(Some(RotationSeen {
            enabled: status.key_rotation_enabled(),
            period: status.rotation_period_in_days().map(|days| Span::days(days.into())),
            next: status.next_rotation_date().and_then(moment),
            last: self.last_rotation(arn).await?,
        }))
    }

    /// When the key was last rotated; absent when it never was, or when that may not be asked.
    async fn last_rotation(&self, arn: &str) -> Result<Option<Moment>, Failure> {
        let (mut last, mut marker) = (None, None);
        loop {
            let asked = self.client.list_key_rotations().key_id(arn).set_marker(marker).send();
            let page = match self.ask(ListKeyRotations, asked).await {
                Ok(page) => page,
                Err(fault) if fault.is(NO_ROTATION) || fault.is(DENIED) => return Ok(None),
                Err(fault) => return Err(self.failure(ListKeyRotations, arn, fault)),
            };
            last = page.rotations().iter().filter_map(|one| moment(one.rotation_date()?)).chain(last).max();
            marker = page.next_marker().filter(|_| page.truncated()).map(str::to_owned);
            if marker.is_none() {
                return Ok(last);
            }
        }
    }

    /// The tags of a key; every page.
    async fn tags(&self, arn: &str) -> Result<Tags, Fault> {
        let mut tags = BTreeMap::new();
        let mut marker = None;
        loop {
            let asked = self.client.list_resource_tags().key_id(arn).set_marker(marker).send();
            let page = self.ask(ListResourceTags, asked).await?;
            tags.extend(page.tags().iter().map(|tag| (tag.tag_key().to_owned(), tag.tag_value().to_owned())));
            marker = page.next_marker().filter(|_| page.truncated()).map(str::to_owned);
            if marker.is_none() {
                return Ok(Tags(tags));
            }
        }
    }

    /// The tags of a key that may be anybody's: `None` when they may not be read, or the key is gone.
    async fn tags_of_any(&self, arn: &str) -> Result<Option<Tags>, Failure> {
        if let Some(read) = self.tags_read(arn) {
            return Ok(read);
        }
        let tags = match self.tags(arn).await {
            Ok(tags) => Some(tags),
            // Not kept: a key of our own that was just made looks like this too.
            Err(fault) if fault.is(NOT_FOUND) => return Ok(None),
            Err(fault) if fault.is(DENIED) => None,
            Err(fault) => return Err(self.failure(ListResourceTags, arn, fault)),
        };
        self.keep_tags(arn, tags.clone());
        Ok(tags)
    }

    /// The ARNs of this account's keys with such tags. Keys whose tags may not be read are not ours.
    async fn search(&self, wanted: impl Fn(&Tags) -> bool) -> Result<Vec<String>, Failure> {
        let tagged = async |arn: String| Ok::<_, Failure>((self.tags_of_any(&arn).await?, arn));
        let found = stream::iter(self.list_keys().await?).map(tagged).buffer_unordered(SEARCHERS);
        let found: Vec<(Option<Tags>, String)> = found.try_collect().await?;
        Ok(found.into_iter().filter(|(tags, _)| tags.as_ref().is_some_and(&wanted)).map(|(_, arn)| arn).collect())
    }

    async fn list_keys(&self) -> Result<Vec<String>, Failure> {
        let (mut keys, mut marker) = (Vec::new(), None);
        loop {
            let asked = self.client.list_keys().limit(KEYS_A_PAGE).set_marker(marker).send();
            let page = self.ask(ListKeys, asked).await.map_err(|fault| self.failure(ListKeys, "", fault))?;
            keys.extend(page.keys().iter().filter_map(|key| key.key_arn().map(str::to_owned)));
            // Some endpoints say that there is more and do not say where.
            marker = page.next_marker().filter(|_| page.truncated()).map(str::to_owned);
            if marker.is_none() {
                break;
            }
        }
        self.only_own(keys)
    }

    /// Keys that others share with this account lie in theirs; when not a single one lies here, we are not where we should be.
    fn only_own(&self, keys: Vec<String>) -> Result<Vec<String>, Failure> {
        let (own, foreign): (Vec<String>, Vec<String>) = keys.into_iter().partition(|arn| self.place.holds(arn));
        match foreign.first() {
            Some(foreign) if own.is_empty() => Err(self.place.elsewhere(&format!("the key {foreign} and none here"))),
            _ => Ok(own),
        }
    }
}

const fn usage(purpose: Purpose) -> KeyUsageType {
    match purpose {
        Purpose::Wrap | Purpose::Data => KeyUsageType::EncryptDecrypt,
        Purpose::Mac => KeyUsageType::GenerateVerifyMac,
        Purpose::Sign | Purpose::SignAuthority => KeyUsageType::SignVerify,
    }
}

/// A word of AWS as ours, where both are the same.
fn word<'a, T: Deserialize<'a>>(word: &'a str) -> Option<T> {
    let word: serde::de::value::StrDeserializer<'a, serde::de::value::Error> = word.into_deserializer();
    T::deserialize(word).ok()
}

fn moment(at: &DateTime) -> Option<Moment> {
    at.to_millis().ok().map(Moment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_aws_are_read_and_unknown_ones_are_unknown() {
        assert_eq!(word::<KeyState>("PendingReplicaDeletion"), Some(KeyState::PendingReplicaDeletion));
        assert_eq!(word::<KeyState>("Melting"), None);
        assert_eq!(word::<KeySpec>("ML_DSA_65"), Some(KeySpec::MlDsa65));
        assert_eq!(word::<KeySpec>("ECC_SECG_P256K1"), None);
    }
}
