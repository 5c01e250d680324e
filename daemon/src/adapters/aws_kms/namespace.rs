//! One environment's client: every call goes through [`Namespace::ask`], which counts it and says what its error means.

use std::{
    collections::BTreeMap,
    error::Error,
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use aws_sdk_kms::Client;
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use claviger_config::{EnvironmentName, Moment, Reason, Span, desired::Surroundings, environment::KmsNamespace};
use claviger_core::domain::failure::Failure;

use super::{
    KmsOptions, Observed,
    asked::Asked,
    fault::{DENIED, Fault, NOT_FOUND},
    operation::Operation,
    place::Place,
    tags::Tags,
};

/// One environment's KMS namespace, with the means to speak to it.
pub(super) struct Namespace {
    pub(super) environment: EnvironmentName,
    pub(super) place: Place,
    pub(super) client: Client,
    spec: KmsNamespace,
    identity: String,
    options: Arc<KmsOptions>,
    rejected: AtomicBool,
    proven: AtomicBool,
    last_success: AtomicI64,
    tags: Mutex<BTreeMap<String, (Moment, Option<Tags>)>>,
}

/// For how long a key's tags count as read while many objects look for theirs. Much shorter than the time after which the "no"
/// to "was it made?" is believed.
const TAGS_COUNT: Span = Span::seconds(30);
const NEVER: i64 = i64::MIN;

impl Namespace {
    pub(super) fn new(
        at: &Surroundings,
        identity: String,
        client: Client,
        options: Arc<KmsOptions>,
        before: Option<&Self>,
    ) -> Self {
        let last_success = before.and_then(Self::last_success).map_or(NEVER, |Moment(at)| at);
        Self {
            environment: at.name.clone(),
            place: Place::of(&at.spec.kms),
            client,
            spec: at.spec.kms.clone(),
            identity,
            options,
            rejected: AtomicBool::new(false),
            proven: AtomicBool::new(false),
            last_success: AtomicI64::new(last_success),
            tags: Mutex::default(),
        }
    }

    /// Whether it was made for that document.
    pub(super) fn serves(&self, spec: &KmsNamespace) -> bool {
        self.spec == *spec
    }

    /// Whether AWS has not taken its credentials: another one must be made, which reads them anew.
    pub(super) fn rejected(&self) -> bool {
        self.rejected.load(Ordering::Relaxed)
    }

    /// When AWS last did what was asked.
    pub(super) fn last_success(&self) -> Option<Moment> {
        Some(self.last_success.load(Ordering::Relaxed)).filter(|at| *at != NEVER).map(Moment)
    }

    /// Waits for one call, counts it, and keeps apart what may be met on purpose.
    pub(super) async fn ask<T, E>(
        &self,
        operation: Operation,
        sent: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T, Fault>
    where
        E: Error + ProvideErrorMetadata + 'static,
    {
        let began = self.now();
        let heard = sent.await.map_err(Fault::of);
        let at = self.now();
        let (code, succeeded) = heard.as_ref().map_or_else(|fault| (fault.word(), false), |_| ("200", true));
        (self.options.observer)(&Observed {
            environment: &self.environment,
            operation: operation.name(),
            code,
            succeeded,
            at,
            took: at.since(began),
        });
        match &heard {
            Ok(_) => self.last_success.store(at.0, Ordering::Relaxed),
            Err(fault) if fault.rejects_credentials() => self.rejected.store(true, Ordering::Relaxed),
            Err(_) => (),
        }
        heard
    }

    /// What a fault means here. `resource` is the key or the alias that was asked for.
    pub(super) fn failure(&self, operation: Operation, resource: &str, fault: Fault) -> Failure {
        let (now, draw) = (self.now(), self.options.clock.draw());
        fault.failure(&Asked { operation, place: &self.place, identity: &self.identity, resource, now, draw })
    }

    /// An answer without what its specification promises.
    pub(super) fn not_understood(&self, operation: Operation, text: &str) -> Failure {
        let call = format!("`kms:{}` in {}", operation.name(), self.place);
        let failure = Failure::new(Reason::AnswerNotUnderstood, format!("{call}: {text}"));
        if operation.changes() { failure.maybe_done() } else { failure }
    }

    /// Before the first key is made: shows by a refusal that the credentials belong to the account of the document. Only for a key
    /// of its own account AWS says that there is none; to anybody else it says who he is and nothing more.
    pub(super) async fn prove_account(&self) -> Result<(), Failure> {
        if self.proven.load(Ordering::Relaxed) {
            return Ok(());
        }
        let key = self.place.no_key();
        let asked = self.ask(Operation::DescribeKey, self.client.describe_key().key_id(&key).send()).await;
        if let Err(fault) = asked
            && !fault.is(NOT_FOUND)
        {
            // A policy that names keys denies this one too, to a principal of the right account.
            let denied = fault.is(DENIED);
            let failure = self.failure(Operation::DescribeKey, &key, fault);
            if !denied || failure.reason == Reason::SeparationRefused {
                return Err(failure);
            }
        }
        self.proven.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Tags that were read a moment ago; `None` inside: they may not be read.
    pub(super) fn tags_read(&self, arn: &str) -> Option<Option<Tags>> {
        let now = self.now();
        let mut read = self.tags.lock().unwrap_or_else(PoisonError::into_inner);
        read.retain(|_, (at, _)| *at + TAGS_COUNT > now);
        read.get(arn).map(|(_, tags)| tags.clone())
    }

    pub(super) fn keep_tags(&self, arn: &str, tags: Option<Tags>) {
        let mut read = self.tags.lock().unwrap_or_else(PoisonError::into_inner);
        read.insert(arn.to_owned(), (self.now(), tags));
    }

    fn now(&self) -> Moment {
        self.options.clock.now()
    }
}
