//! Sun's format, as `keytool -storetype JKS` writes it.
//!
//! ```text
//! magic, version 2, number of entries; each entry: tag, alias, date, content; SHA-1 over the password, a phrase and all of it
//! ```
//!
//! A key is hidden under a stream of SHA-1 over password and salt, once for each block: whoever has the file can try passwords as
//! fast as they like. It is made for programs that read nothing else.
//!
//! Given the salt, everything else follows from the content. So a keystore is compared by making it again with the salt that is
//! there, and nothing that somebody else wrote is ever parsed.

use aws_lc_rs::{
    digest::{Context, SHA1_FOR_LEGACY_USE_ONLY},
    rand,
};
use claviger_config::certificate::{Keystore, KeystoreContent};
use zeroize::Zeroizing;

use super::{KeystoreFault, Pair, alias};

#[expect(clippy::disallowed_methods, reason = "a salt is drawn here, in an adapter")]
pub(super) fn make(keystore: &Keystore, password: &str, pair: &Pair) -> Result<Vec<u8>, KeystoreFault> {
    let mut salt = Salt::default();
    rand::fill(&mut salt).map_err(|_| KeystoreFault::Salt)?;
    Ok(written(keystore, password, pair, &salt))
}

pub(super) fn is(keystore: &Keystore, password: &str, pair: &Pair, found: &[u8]) -> bool {
    let salt = match keystore.holds {
        KeystoreContent::Identity => {
            let start = before_salt(keystore, pair).len();
            found.get(start..start + SHA1).and_then(|salt| Salt::try_from(salt).ok())
        }
        KeystoreContent::Trust => Some(Salt::default()),
    };
    salt.is_some_and(|salt| written(keystore, password, pair, &salt) == found)
}

fn written(keystore: &Keystore, password: &str, pair: &Pair, salt: &Salt) -> Vec<u8> {
    let password = Zeroizing::new(password.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>());
    let mut bytes = match keystore.holds {
        KeystoreContent::Identity => identity(keystore, &password, pair, salt),
        KeystoreContent::Trust => trust(keystore, pair),
    };
    let seal = digest(&[&password, PHRASE, &bytes]);
    bytes.extend(seal);
    bytes
}

fn identity(keystore: &Keystore, password: &[u8], pair: &Pair, salt: &Salt) -> Vec<u8> {
    let mut bytes = before_salt(keystore, pair);
    bytes.extend(salt);
    let mut block = *salt;
    for part in pair.key.chunks(SHA1) {
        block = digest(&[password, &block]);
        bytes.extend(part.iter().zip(block).map(|(plain, mask)| plain ^ mask));
    }
    bytes.extend(digest(&[password, &pair.key]));
    bytes.extend(length(pair.chain.len()));
    pair.chain.iter().for_each(|certificate| put_certificate(&mut bytes, certificate));
    bytes
}

/// Everything of a key store up to the salt: an EncryptedPrivateKeyInfo (RFC 5208 section 6) has been begun.
fn before_salt(keystore: &Keystore, pair: &Pair) -> Vec<u8> {
    let mut bytes = head(1);
    put_entry(&mut bytes, TAG_KEY, keystore.alias(), pair.since);
    let hidden = SHA1 + pair.key.len() + SHA1;
    let octets = [&[0x04][..], &der_length(hidden)].concat();
    let inner = ALGORITHM.len() + octets.len() + hidden;
    let sequence = [&[0x30][..], &der_length(inner)].concat();
    bytes.extend(length(sequence.len() + inner));
    [sequence.as_slice(), ALGORITHM, &octets].into_iter().for_each(|part| bytes.extend(part));
    bytes
}

fn trust(keystore: &Keystore, pair: &Pair) -> Vec<u8> {
    let mut bytes = head(pair.trusted().len());
    for (number, certificate) in pair.trusted().iter().enumerate() {
        put_entry(&mut bytes, TAG_CERTIFICATE, &alias(keystore, number), pair.since);
        put_certificate(&mut bytes, certificate);
    }
    bytes
}

fn head(entries: usize) -> Vec<u8> {
    [MAGIC, VERSION, length(entries)].concat()
}

/// Java reads an alias in small letters only, and ours are.
fn put_entry(bytes: &mut Vec<u8>, tag: [u8; 4], alias: &str, since: u64) {
    bytes.extend(tag);
    put_text(bytes, alias);
    bytes.extend(since.to_be_bytes());
}

fn put_certificate(bytes: &mut Vec<u8>, certificate: &[u8]) {
    put_text(bytes, "X.509");
    bytes.extend(length(certificate.len()));
    bytes.extend(certificate);
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    let [.., high, low] = length(text.len());
    bytes.extend([high, low]);
    bytes.extend(text.as_bytes());
}

/// A length in four bytes; what a Secret may hold is far below their end.
fn length(number: usize) -> [u8; 4] {
    u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes()
}

fn der_length(number: usize) -> Vec<u8> {
    if number < 0x80 {
        return vec![number.to_le_bytes()[0]];
    }
    let bytes: Vec<u8> = number.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
    [vec![0x80 | bytes.len().to_le_bytes()[0]], bytes].concat()
}

fn digest(parts: &[&[u8]]) -> Salt {
    let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    parts.iter().for_each(|part| context.update(part));
    let mut sum = Salt::default();
    sum.copy_from_slice(context.finish().as_ref());
    sum
}

type Salt = [u8; SHA1];

const SHA1: usize = 20;
const MAGIC: [u8; 4] = [0xfe, 0xed, 0xfe, 0xed];
const VERSION: [u8; 4] = [0, 0, 0, 2];
const TAG_KEY: [u8; 4] = [0, 0, 0, 1];
const TAG_CERTIFICATE: [u8; 4] = [0, 0, 0, 2];

/// What the sum over the whole begins with behind the password.
const PHRASE: &[u8] = b"Mighty Aphrodite";

/// AlgorithmIdentifier of Sun's key protector, 1.3.6.1.4.1.42.2.17.1.1 with NULL, DER.
const ALGORITHM: &[u8] =
    &[0x30, 0x0e, 0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x2a, 0x02, 0x11, 0x01, 0x01, 0x05, 0x00];
