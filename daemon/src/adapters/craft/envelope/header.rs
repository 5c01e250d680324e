//! The part of a message that everyone can read and nobody can change.

use super::{
    ContextDifference, DataKey, EnvelopeFault, MAX_MESSAGE_LENGTH,
    cursor::Cursor,
    suite::{COMMITMENT_LENGTH, MESSAGE_ID_LENGTH, SUITE},
};
use std::collections::{BTreeMap, BTreeSet};

/// The header of a message, read but not verified: only [`super::open`] proves that nobody changed it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Header {
    message_id: [u8; MESSAGE_ID_LENGTH],
    context: BTreeMap<String, String>,
    data_keys: Vec<EncryptedDataKey>,
    content: Content,
    commitment: [u8; COMMITMENT_LENGTH],
    length: usize,
}

/// The data key, wrapped by one key of one provider.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EncryptedDataKey {
    /// Whose key: `aws-kms`, or the namespace of a raw keyring.
    pub provider: String,
    /// Which of its keys; with `aws-kms` an ARN.
    pub key: Vec<u8>,
    /// The wrapped data key.
    pub ciphertext: Vec<u8>,
}

/// How the body is laid out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Content {
    /// Frames of so many bytes; the last may be shorter.
    Framed(u32),
    /// One block.
    Single,
}

/// How we lay out: the Encryption SDK's default.
pub(super) const FRAME_LENGTH: u32 = 4096;

/// Compares the context of an opened message with the one it must have, entry by entry.
///
/// Of a message that was not opened the context proves nothing.
pub fn context_matches(header: &Header, expected: &BTreeMap<String, String>) -> Result<(), EnvelopeFault> {
    let keys: BTreeSet<&String> = header.context.keys().chain(expected.keys()).collect();
    let differences = keys.into_iter().filter(|key| header.context.get(*key) != expected.get(*key));
    let differences: Vec<_> = differences
        .map(|key| ContextDifference {
            key: key.clone(),
            found: header.context.get(key).cloned(),
            expected: expected.get(key).cloned(),
        })
        .collect();
    if differences.is_empty() { Ok(()) } else { Err(EnvelopeFault::ContextDiffers(differences)) }
}

impl Header {
    /// Reads the header off the front of a message, without any key.
    pub fn read(message: &[u8]) -> Result<Self, EnvelopeFault> {
        if message.len() > MAX_MESSAGE_LENGTH {
            let (found, accepted) = (message.len(), MAX_MESSAGE_LENGTH);
            return Err(EnvelopeFault::TooLarge { what: "message", found, accepted });
        }
        let mut cursor = Cursor::new(message);
        only("message format version", cursor.u8("version")?, VERSION, "0x0002")?;
        only("algorithm suite", cursor.u16("algorithm suite")?, SUITE, "0x0478")?;
        Ok(Self {
            message_id: cursor.array("message id")?,
            context: read_context(cursor.field("encryption context")?)?,
            data_keys: read_data_keys(&mut cursor)?,
            content: read_content(&mut cursor)?,
            commitment: cursor.array("key commitment")?,
            length: cursor.position(),
        })
    }

    /// The message's own name, random.
    pub fn message_id(&self) -> &[u8; MESSAGE_ID_LENGTH] {
        &self.message_id
    }

    /// The encryption context: KMS must be given exactly this.
    pub fn context(&self) -> &BTreeMap<String, String> {
        &self.context
    }

    /// The data key, as often as it was wrapped.
    pub fn data_keys(&self) -> &[EncryptedDataKey] {
        &self.data_keys
    }

    /// The data key as wrapped by one KMS key, so that no other key is ever asked.
    pub fn data_key(&self, key_arn: &str) -> Result<&EncryptedDataKey, EnvelopeFault> {
        let wrapped = self.data_keys.iter().find(|key| key.key_arn() == Some(key_arn));
        wrapped.ok_or_else(|| self.other_keys(format!("`{key_arn}`")))
    }

    /// The data key as wrapped by a KMS key of this account and Region, whichever it is: an alias may have moved on
    /// since.
    pub fn data_key_within(&self, account: &str, region: &str) -> Result<&EncryptedDataKey, EnvelopeFault> {
        let within = |key: &&EncryptedDataKey| key.key_arn().is_some_and(|arn| lies_within(arn, account, region));
        self.data_keys
            .iter()
            .find(within)
            .ok_or_else(|| self.other_keys(format!("a key of account {account} in {region}")))
    }

    /// How the body is laid out.
    pub fn content(&self) -> Content {
        self.content
    }

    fn other_keys(&self, expected: String) -> EnvelopeFault {
        let found = self.data_keys.iter().filter_map(EncryptedDataKey::key_arn).map(str::to_owned).collect();
        EnvelopeFault::OtherWrappingKey { found, expected }
    }

    pub(super) fn commitment(&self) -> &[u8; COMMITMENT_LENGTH] {
        &self.commitment
    }

    /// How many bytes the header takes, its tag not counted.
    pub(super) fn length(&self) -> usize {
        self.length
    }
}

impl EncryptedDataKey {
    /// The ARN of the KMS key that wrapped it; nothing when it was no KMS key.
    pub fn key_arn(&self) -> Option<&str> {
        (self.provider == PROVIDER).then(|| str::from_utf8(&self.key).ok())?
    }
}

/// `arn:PARTITION:kms:REGION:ACCOUNT:key/ID`; an alias names no key and never matches.
fn lies_within(arn: &str, account: &str, region: &str) -> bool {
    let mut parts = arn.splitn(6, ':');
    let head = (parts.next(), parts.nth(1), parts.next(), parts.next());
    head == (Some("arn"), Some("kms"), Some(region), Some(account))
        && parts.next().is_some_and(|key| key.starts_with("key/"))
}

pub(super) fn write(
    message_id: &[u8; MESSAGE_ID_LENGTH],
    context: &BTreeMap<String, String>,
    data_key: &DataKey,
    commitment: &[u8; COMMITMENT_LENGTH],
) -> Result<Vec<u8>, EnvelopeFault> {
    let mut header = vec![VERSION];
    header.extend_from_slice(&SUITE.to_be_bytes());
    header.extend_from_slice(message_id);
    put(&mut header, "encryption context", &write_context(context)?)?;
    header.extend_from_slice(&1_u16.to_be_bytes());
    put(&mut header, "provider", PROVIDER.as_bytes())?;
    put(&mut header, "key ARN", data_key.key_arn.as_bytes())?;
    put(&mut header, "encrypted data key", &data_key.ciphertext)?;
    header.push(FRAMED);
    header.extend_from_slice(&FRAME_LENGTH.to_be_bytes());
    header.extend_from_slice(commitment);
    Ok(header)
}

/// Sorted by the bytes of the keys, which is the order of a `BTreeMap`; nothing at all when there are no entries.
fn write_context(context: &BTreeMap<String, String>) -> Result<Vec<u8>, EnvelopeFault> {
    let mut entries = Vec::new();
    if context.is_empty() {
        return Ok(entries);
    }
    entries.extend_from_slice(&length("encryption context", context.len())?.to_be_bytes());
    for (key, value) in context {
        let refused = |why| EnvelopeFault::ContextRefused { key: key.clone(), why };
        if key.starts_with(RESERVED) {
            return Err(refused("the Encryption SDK keeps names that begin with `aws-crypto-` for itself"));
        }
        if key.is_empty() || value.is_empty() {
            return Err(refused("KMS takes no empty key and no empty value"));
        }
        put(&mut entries, "encryption context key", key.as_bytes())?;
        put(&mut entries, "encryption context value", value.as_bytes())?;
    }
    Ok(entries)
}

fn put(bytes: &mut Vec<u8>, what: &'static str, field: &[u8]) -> Result<(), EnvelopeFault> {
    bytes.extend_from_slice(&length(what, field.len())?.to_be_bytes());
    bytes.extend_from_slice(field);
    Ok(())
}

fn length(what: &'static str, found: usize) -> Result<u16, EnvelopeFault> {
    let accepted = usize::from(u16::MAX);
    u16::try_from(found).map_err(|_| EnvelopeFault::TooLarge { what, found, accepted })
}

fn read_context(field: &[u8]) -> Result<BTreeMap<String, String>, EnvelopeFault> {
    let mut context = BTreeMap::new();
    if field.is_empty() {
        return Ok(context);
    }
    let mut cursor = Cursor::new(field);
    for _ in 0..cursor.u16("encryption context")? {
        let key = read_text(cursor.field("encryption context")?)?;
        let value = read_text(cursor.field("encryption context")?)?;
        if context.insert(key, value).is_some() {
            return Err(EnvelopeFault::Context { what: "a key comes twice" });
        }
    }
    cursor.end().map_err(|_| EnvelopeFault::Context { what: "it is longer than its entries" })?;
    Ok(context)
}

fn read_text(bytes: &[u8]) -> Result<String, EnvelopeFault> {
    let text = str::from_utf8(bytes).map_err(|_| EnvelopeFault::Context { what: "it is not UTF-8" })?;
    Ok(text.to_owned())
}

fn read_data_keys(cursor: &mut Cursor<'_>) -> Result<Vec<EncryptedDataKey>, EnvelopeFault> {
    let found = usize::from(cursor.u16("encrypted data keys")?);
    if !(1..=MAX_DATA_KEYS).contains(&found) {
        return Err(EnvelopeFault::TooLarge { what: "encrypted data keys", found, accepted: MAX_DATA_KEYS });
    }
    (0..found).map(|_| read_data_key(cursor)).collect()
}

fn read_data_key(cursor: &mut Cursor<'_>) -> Result<EncryptedDataKey, EnvelopeFault> {
    let provider = cursor.field("encrypted data key")?;
    Ok(EncryptedDataKey {
        provider: String::from_utf8_lossy(provider).into_owned(),
        key: cursor.field("encrypted data key")?.to_vec(),
        ciphertext: cursor.field("encrypted data key")?.to_vec(),
    })
}

fn read_content(cursor: &mut Cursor<'_>) -> Result<Content, EnvelopeFault> {
    let kind = cursor.u8("content type")?;
    let frame_length = cursor.u32("frame length")?;
    let unsupported = |what, found, accepted| Err(EnvelopeFault::Unsupported { what, found, accepted });
    match (kind, frame_length) {
        (SINGLE, 0) => Ok(Content::Single),
        (SINGLE, found) => unsupported("frame length", found, "0x0000 in a message without frames"),
        (FRAMED, 0) => unsupported("frame length", 0, "at least 0x0001"),
        (FRAMED, length) => Ok(Content::Framed(length)),
        (found, _) => unsupported("content type", found.into(), "0x0001 (one block) or 0x0002 (frames)"),
    }
}

fn only<T: Into<u32> + PartialEq>(
    what: &'static str,
    found: T,
    one: T,
    accepted: &'static str,
) -> Result<(), EnvelopeFault> {
    if found == one { Ok(()) } else { Err(EnvelopeFault::Unsupported { what, found: found.into(), accepted }) }
}

const VERSION: u8 = 2;
const SINGLE: u8 = 1;
const FRAMED: u8 = 2;
const PROVIDER: &str = "aws-kms";
const RESERVED: &str = "aws-crypto-";
/// One for each Region of a multi-Region backup is generous.
const MAX_DATA_KEYS: usize = 32;
