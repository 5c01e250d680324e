//! Seals secrets so that they may lie in a database or a custom resource: the AWS Encryption SDK's message format,
//! version 2, suite 0x0478 (AES-256-GCM, HKDF-SHA-512, key commitment, no signature). Amazon's own tools open what is
//! sealed here, also without claviger.
//!
//! KMS stays outside: its `GenerateDataKey` gives the [`DataKey`] that [`seal`] takes, its `Decrypt` the plaintext that
//! [`open`] takes. To read: [`Header::read`], ask KMS for the [`Header::data_key`] of the wrapping key with
//! [`Header::context`] as encryption context, [`open`], and compare its context with the binding of the object at hand
//! ([`verify_binding`]): KMS proves only that the context is the one that was sealed, not that it is the right one.
//!
//! The format is described in the Encryption SDK's developer guide, "Message format"; vectors made with the Python SDK
//! stand in `vectors/`.
//!
//! - **One data key, one message.** The sealing key is derived from data key and message id, frames count their nonces
//!   from 1, the header tag has nonce 0. So a message can never be edited: to wrap it anew, open it and seal it under a
//!   new data key.
//! - **Key commitment.** A ciphertext opens under one data key only; plain AES-GCM would allow one that opens under
//!   two.
//! - Where we are stricter than the format: bytes after the message are refused, the context may not repeat a key, and
//!   sizes are capped.

mod binding;
mod body;
mod cursor;
mod derive;
mod fault;
mod header;
mod suite;

pub use binding::{context, verify_binding};
pub use fault::{ContextDifference, EnvelopeFault};
pub use header::{Content, EncryptedDataKey, Header, context_matches};

use crate::adapters::craft::envelope::derive::Keys;
use std::{collections::BTreeMap, fmt};
use zeroize::Zeroizing;

/// A data key as KMS hands it out: in the clear for sealing, and encrypted for storing.
pub struct DataKey {
    /// The key itself.
    pub plaintext: Zeroizing<[u8; DATA_KEY_LENGTH]>,
    /// The key as only KMS can open it.
    pub ciphertext: Vec<u8>,
    /// The ARN of the KMS key that wrapped it.
    pub key_arn: String,
}

/// How long a data key is: AES-256.
pub const DATA_KEY_LENGTH: usize = 32;
/// How much may be sealed. Private keys and certificates are a few thousand bytes; a record is smaller than a megabyte.
pub const MAX_PLAINTEXT_LENGTH: usize = 16 << 20;
/// How long a message is read.
pub const MAX_MESSAGE_LENGTH: usize = 18 << 20;

/// Seals `plaintext` under a fresh data key. `context` is not secret: it stands in the clear in the message and in
/// CloudTrail.
pub fn seal(
    data_key: &DataKey,
    context: &BTreeMap<String, String>,
    plaintext: &[u8],
) -> Result<Vec<u8>, EnvelopeFault> {
    seal_as(new_message_id()?, data_key, context, plaintext)
}

/// Opens a message with the data key that KMS decrypted. Nothing is given out before all of it is verified.
pub fn open(message: &[u8], data_key: &[u8; DATA_KEY_LENGTH]) -> Result<Zeroizing<Vec<u8>>, EnvelopeFault> {
    let header = Header::read(message)?;
    let keys = Keys::derive(data_key, header.message_id());
    keys.verify_commitment(header.commitment())?;
    let (authenticated, rest) = message.split_at(header.length());
    let (tag, body) =
        rest.split_at_checked(suite::TAG_LENGTH).ok_or(EnvelopeFault::Truncated { what: "header tag" })?;
    keys.verify_header(authenticated, tag)?;
    body::open(&keys, &header, body)
}

/// A data key in the clear, as KMS returns it, in its proper length.
pub fn data_key(plaintext: &[u8]) -> Result<Zeroizing<[u8; DATA_KEY_LENGTH]>, EnvelopeFault> {
    let mut key = Zeroizing::new([0; DATA_KEY_LENGTH]);
    if plaintext.len() != key.len() {
        return Err(EnvelopeFault::DataKeyLength { found: plaintext.len() });
    }
    key.copy_from_slice(plaintext);
    Ok(key)
}

impl DataKey {
    /// What `GenerateDataKey` returned. The caller wipes its own copy of `plaintext`.
    pub fn new(plaintext: &[u8], ciphertext: Vec<u8>, key_arn: String) -> Result<Self, EnvelopeFault> {
        Ok(Self { plaintext: data_key(plaintext)?, ciphertext, key_arn })
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataKey").field("key_arn", &self.key_arn).finish_non_exhaustive()
    }
}

fn seal_as(
    message_id: [u8; suite::MESSAGE_ID_LENGTH],
    data_key: &DataKey,
    context: &BTreeMap<String, String>,
    plaintext: &[u8],
) -> Result<Vec<u8>, EnvelopeFault> {
    if plaintext.len() > MAX_PLAINTEXT_LENGTH {
        let (found, accepted) = (plaintext.len(), MAX_PLAINTEXT_LENGTH);
        return Err(EnvelopeFault::TooLarge { what: "plaintext", found, accepted });
    }
    let keys = Keys::derive(&data_key.plaintext, &message_id);
    let mut message = header::write(&message_id, context, data_key, keys.commitment())?;
    let tag = keys.header_tag(&message)?;
    message.extend_from_slice(&tag);
    body::seal(&keys, &message_id, plaintext, &mut message)?;
    Ok(message)
}

#[expect(
    clippy::disallowed_methods,
    reason = "an adapter: a message id must never repeat, a record's seed cannot promise that"
)]
fn new_message_id() -> Result<[u8; suite::MESSAGE_ID_LENGTH], EnvelopeFault> {
    let mut id = [0; suite::MESSAGE_ID_LENGTH];
    aws_lc_rs::rand::fill(&mut id).map_err(|cause| EnvelopeFault::Seal { what: "message id", cause })?;
    Ok(id)
}

#[cfg(test)]
mod tests;
