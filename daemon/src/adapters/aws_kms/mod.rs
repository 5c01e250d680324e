//! AWS KMS, as the port [`Kms`]: keys that are made once and found again, and secrets wrapped under them.
//!
//! - **Separation.** Each environment has its own client with its own credentials, and no others are ever tried. A key is named
//!   by its ARN and an alias by its ARN, so credentials of another account meet a wall instead of a key; keys in answers must lie
//!   in the document's account and Region; credentials that say that they are of another account sign nothing.
//! - **One attempt.** The SDK does not retry: the plan does, and it knows what it costs.
//! - **Addresses** come from the settings alone. `AWS_ENDPOINT_URL` and its kin are not read; the STS endpoint that the AWS chain
//!   itself uses for web identity is the Region's.
//! - **Nothing is cached** that was decrypted. For a few seconds the tags of other people's keys are, so that many objects that
//!   look for theirs read them once.
//!
//! What the role of an environment needs: `kms:CreateKey`, `TagResource`, `CreateAlias`, `EnableKeyRotation`, `DescribeKey`,
//! `ListKeys`, `ListResourceTags`, `GetKeyRotationStatus`, `ListKeyRotations`, `GenerateDataKey`, `Decrypt`.

mod asked;
mod clients;
mod credentials;
mod fault;
mod keys;
mod namespace;
mod operation;
mod place;
mod sign_in;
mod tags;
#[cfg(test)]
mod tests;
mod words;
mod wrap;

use std::{fmt, path::PathBuf, sync::Arc};

use claviger_config::{EnvironmentName, Moment, ObjectName, Span, desired::Surroundings, settings::Endpoints};
use claviger_core::{
    domain::effect::{KeySeen, Sealed},
    ports::{Answer, Binding, Clock, Kms, NewKey, Secret},
};

use self::clients::{Clients, Patience};

/// What the adapter is made of.
#[derive(Clone)]
pub struct KmsOptions {
    /// The setting `endpoints`.
    pub endpoints: Endpoints,
    /// The setting `files.read`, where credentials files lie.
    pub files_read: Option<PathBuf>,
    /// Is told of every call.
    pub observer: Observer,
    /// The time, also the SDK's.
    pub clock: Arc<dyn Clock>,
}

/// One call, as metrics count it.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// The environment whose credentials signed it.
    pub environment: &'a EnvironmentName,
    /// AWS's name of the operation, for example `CreateKey`.
    pub operation: &'static str,
    /// `200`, else AWS's error code, else a word such as `lost`.
    pub code: &'a str,
    /// Whether AWS did what it was asked.
    pub succeeded: bool,
    /// When it ended.
    pub at: Moment,
    /// How long it took.
    pub took: Span,
}

/// Is told of every call.
pub type Observer = Arc<dyn Fn(&Observed<'_>) + Send + Sync>;

/// AWS KMS, for every environment.
pub struct AwsKms {
    clients: Clients,
}

impl AwsKms {
    /// Speaks to nobody yet.
    pub fn new(options: KmsOptions) -> Self {
        Self::patient(options, Patience::default())
    }

    fn patient(options: KmsOptions, patience: Patience) -> Self {
        Self { clients: Clients::new(Arc::new(options), patience) }
    }

    /// When AWS KMS last did what this environment asked; absent before the first time.
    pub fn last_success(&self, environment: &EnvironmentName) -> Option<Moment> {
        self.clients.last(environment)?.last_success()
    }
}

impl fmt::Debug for AwsKms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsKms").finish_non_exhaustive()
    }
}

impl Kms for AwsKms {
    fn create_key<'a>(&'a self, at: &'a Surroundings, key: NewKey<'a>) -> Answer<'a, String> {
        Box::pin(async move { self.clients.of(at).await.create_key(at, key).await })
    }

    fn find_by_intent<'a>(&'a self, at: &'a Surroundings, intent: &'a str) -> Answer<'a, Option<String>> {
        Box::pin(async move { self.clients.of(at).await.find_by_intent(intent).await })
    }

    fn find_by_object<'a>(
        &'a self,
        at: &'a Surroundings,
        alias: &'a str,
        object: &'a ObjectName,
    ) -> Answer<'a, Option<KeySeen>> {
        Box::pin(async move { self.clients.of(at).await.find_by_object(alias, object).await })
    }

    fn read_key<'a>(
        &'a self,
        at: &'a Surroundings,
        arn: &'a str,
        alias: &'a str,
        object: &'a ObjectName,
    ) -> Answer<'a, Option<KeySeen>> {
        Box::pin(async move { self.clients.of(at).await.read_key(arn, alias, object).await })
    }

    fn create_alias<'a>(&'a self, at: &'a Surroundings, alias: &'a str, arn: &'a str) -> Answer<'a, ()> {
        Box::pin(async move { self.clients.of(at).await.create_alias(alias, arn).await })
    }

    fn set_rotation<'a>(&'a self, at: &'a Surroundings, arn: &'a str, period: Span) -> Answer<'a, ()> {
        Box::pin(async move { self.clients.of(at).await.set_rotation(arn, period).await })
    }

    fn seal<'a>(
        &'a self,
        at: &'a Surroundings,
        wrapping: &'a str,
        binding: &'a Binding,
        secret: &'a Secret,
    ) -> Answer<'a, Sealed> {
        Box::pin(async move { self.clients.of(at).await.seal(wrapping, binding, secret).await })
    }

    fn open<'a>(&'a self, at: &'a Surroundings, binding: &'a Binding, sealed: &'a Sealed) -> Answer<'a, Secret> {
        Box::pin(async move { self.clients.of(at).await.open(binding, sealed).await })
    }
}
