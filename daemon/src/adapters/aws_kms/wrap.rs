//! Secrets, wrapped: a data key of KMS and an AWS Encryption SDK message around it.
//!
//! KMS hands the data key out in the clear. The SDK's own copies of that answer cannot be wiped; ours is, at once.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_kms::{
    primitives::Blob,
    types::{DataKeySpec, EncryptionAlgorithmSpec},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use claviger_config::Reason;
use claviger_core::{
    domain::{
        effect::Sealed,
        failure::{Failure, Retry},
    },
    ports::{Binding, Secret},
};
use zeroize::Zeroizing;

use super::{
    namespace::Namespace,
    operation::Operation::{Decrypt, GenerateDataKey},
    words::told,
};
use crate::adapters::craft::envelope::{self, DataKey, EnvelopeFault, Header, MAX_MESSAGE_LENGTH};

impl Namespace {
    pub(super) async fn seal(&self, wrapping: &str, binding: &Binding, secret: &Secret) -> Result<Sealed, Failure> {
        self.place.own(wrapping)?;
        self.bound_here(binding)?;
        let context = envelope::context(binding);
        let data_key = self.new_data_key(wrapping, &context).await?;
        let message = envelope::seal(&data_key, &context, secret.expose_bytes());
        Ok(Sealed(STANDARD.encode(message.map_err(|fault| unsealed(&fault))?)))
    }

    /// Nothing of a message is believed before it is opened, so what it shows is checked before the call and once more after.
    pub(super) async fn open(&self, binding: &Binding, sealed: &Sealed) -> Result<Secret, Failure> {
        self.bound_here(binding)?;
        let message = decoded(sealed)?;
        let header = Header::read(&message).map_err(|fault| refused(&fault))?;
        envelope::verify_binding(&header, binding).map_err(|fault| refused(&fault))?;
        let wrapped = header.data_key_within(&self.place.account, &self.place.region);
        let wrapped = wrapped.map_err(|fault| refused(&fault))?;
        let arn = wrapped.key_arn().unwrap_or_default();
        let data_key = self.data_key(arn, wrapped.ciphertext.clone(), header.context()).await?;
        let opened = envelope::data_key(&data_key).and_then(|data_key| envelope::open(&message, &data_key));
        let opened = opened.map_err(|fault| refused(&fault))?;
        envelope::verify_binding(&header, binding).map_err(|fault| refused(&fault))?;
        Ok(Secret::new(opened))
    }

    async fn new_data_key(&self, wrapping: &str, context: &BTreeMap<String, String>) -> Result<DataKey, Failure> {
        let asked = self
            .client
            .generate_data_key()
            .key_id(wrapping)
            .key_spec(DataKeySpec::Aes256)
            .set_encryption_context(Some(map(context)))
            .send();
        let made =
            self.ask(GenerateDataKey, asked).await.map_err(|fault| self.failure(GenerateDataKey, wrapping, fault))?;
        let plaintext = Zeroizing::new(made.plaintext.map(Blob::into_inner).unwrap_or_default());
        if made.key_id.as_deref() != Some(wrapping) {
            let found = made.key_id.unwrap_or_default();
            let text = format!("asked for a data key of {wrapping}, the answer is one of `{found}`");
            return Err(self.not_understood(GenerateDataKey, &text));
        }
        let ciphertext = made.ciphertext_blob.map(Blob::into_inner).unwrap_or_default();
        if ciphertext.is_empty() {
            return Err(self.not_understood(GenerateDataKey, "the answer lacks the wrapped data key"));
        }
        DataKey::new(&plaintext, ciphertext, wrapping.to_owned()).map_err(|fault| unsealed(&fault))
    }

    /// Names the key although AWS would find it by the ciphertext: a mix-up of environments is then refused by AWS too.
    async fn data_key(
        &self,
        arn: &str,
        ciphertext: Vec<u8>,
        context: &BTreeMap<String, String>,
    ) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let asked = self
            .client
            .decrypt()
            .key_id(arn)
            .ciphertext_blob(Blob::new(ciphertext))
            .encryption_algorithm(EncryptionAlgorithmSpec::SymmetricDefault)
            .set_encryption_context(Some(map(context)))
            .send();
        let opened = self.ask(Decrypt, asked).await.map_err(|fault| self.failure(Decrypt, arn, fault))?;
        let plaintext = Zeroizing::new(opened.plaintext.map(Blob::into_inner).unwrap_or_default());
        match opened.key_id {
            Some(found) if found == arn => Ok(plaintext),
            found => {
                let found = found.unwrap_or_default();
                Err(alarm(&format!("asked AWS KMS to open with {arn}, the answer is by `{found}`")))
            }
        }
    }

    /// A binding to another environment is a mix-up in claviger itself.
    fn bound_here(&self, binding: &Binding) -> Result<(), Failure> {
        if binding.environment == self.environment {
            return Ok(());
        }
        let (found, here) = (&binding.environment, &self.environment);
        Err(Failure::new(
            Reason::SeparationRefused,
            format!("found a secret of the environment `{found}`, expected one of `{here}`; nothing was sent"),
        )
        .retry(Retry::Never))
    }
}

fn decoded(sealed: &Sealed) -> Result<Vec<u8>, Failure> {
    if sealed.0.len() > MAX_MESSAGE_LENGTH / 3 * 4 {
        return Err(alarm(&format!("found {} letters, accepted: base64 of a message", sealed.0.len())));
    }
    STANDARD.decode(&sealed.0).map_err(|cause| alarm(&format!("it is no base64: {cause}")))
}

fn map(context: &BTreeMap<String, String>) -> HashMap<String, String> {
    context.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn unsealed(fault: &EnvelopeFault) -> Failure {
    Failure::new(Reason::AnswerNotUnderstood, format!("cannot seal: {}", told(fault)))
}

fn refused(fault: &EnvelopeFault) -> Failure {
    alarm(&told(fault))
}

/// It is never tried again: what does not open today will not open tomorrow, and somebody put it there.
fn alarm(text: &str) -> Failure {
    Failure::new(Reason::CiphertextRefused, format!("security event: what was wrapped is refused: {text}"))
        .retry(Retry::Never)
        .fix("find out in CloudTrail and in claviger's journal who wrote the record, and from where")
        .fix("restore the record from a backup of the same environment")
}
