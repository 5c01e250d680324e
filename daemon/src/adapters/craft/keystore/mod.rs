//! Keystores: key and chain, or what is trusted, as one file with a password.
//!
//! A keystore that is there is never compared byte by byte, since salts are drawn: it is opened with the password, and only what
//! does not hold the same is made anew.

mod jks;
mod pkcs12;

use claviger_config::certificate::{Keystore, KeystoreContent, KeystoreFormat};
use thiserror::Error;
use zeroize::Zeroizing;

use super::pair;

/// What goes into the keystores of one certificate, all DER.
pub(crate) struct Pair {
    /// PKCS#8.
    key: Zeroizing<Vec<u8>>,
    /// Leaf first.
    chain: Vec<Vec<u8>>,
    /// When the leaf begins to be valid, in milliseconds since 1970: the date of the entries, so that making one needs no clock.
    since: u64,
}

impl Pair {
    /// Of a key (PKCS#8, DER) and a chain (PEM); absent when the chain is none.
    pub(crate) fn new(key: &[u8], chain_pem: &[u8]) -> Option<Self> {
        let chain = pair::certificates(chain_pem)?;
        let since = pair::not_before(&chain[0])?;
        Some(Self { key: Zeroizing::new(key.to_vec()), chain, since })
    }

    /// Of a key and a chain as they lie in an outlet, PEM.
    pub(crate) fn read(key_pem: &[u8], chain_pem: &[u8]) -> Option<Self> {
        Self::new(&pair::private_key(key_pem)?, chain_pem)
    }

    /// The certificates of `ca.crt`.
    fn trusted(&self) -> &[Vec<u8>] {
        &self.chain[1..]
    }
}

/// Why there is no keystore.
#[derive(Debug, Error)]
pub(crate) enum KeystoreFault {
    /// What was made does not open.
    #[error("it does not open again after it was made: a fault in claviger, please report it")]
    Closed,
    /// The library refuses key, certificates or password.
    #[error("PKCS#12 cannot hold it: {0}")]
    Pkcs12(String),
    /// The system has no randomness.
    #[error("no salt can be drawn: the system's source of randomness refuses")]
    Salt,
}

/// Makes a keystore. It takes a while: many rounds lie between a password and its key.
pub(crate) fn make(keystore: &Keystore, password: &str, pair: &Pair) -> Result<Vec<u8>, KeystoreFault> {
    let made = match keystore.format {
        KeystoreFormat::Jks => jks::make(keystore, password, pair)?,
        KeystoreFormat::Pkcs12 | KeystoreFormat::Pkcs12Legacy => pkcs12::make(keystore, password, pair)?,
    };
    if is(keystore, password, pair, &made) { Ok(made) } else { Err(KeystoreFault::Closed) }
}

/// Whether these bytes are that keystore: it opens with the password, and holds the same under the same names.
pub(crate) fn is(keystore: &Keystore, password: &str, pair: &Pair, found: &[u8]) -> bool {
    match keystore.format {
        KeystoreFormat::Jks => jks::is(keystore, password, pair, found),
        KeystoreFormat::Pkcs12 | KeystoreFormat::Pkcs12Legacy => pkcs12::is(keystore, password, pair, found),
    }
}

/// The name of an entry: the second trusted certificate is `ca-2`.
fn alias(keystore: &Keystore, number: usize) -> String {
    match (keystore.holds, number) {
        (KeystoreContent::Identity, _) | (_, 0) => keystore.alias().to_owned(),
        (KeystoreContent::Trust, number) => format!("{}-{}", keystore.alias(), number + 1),
    }
}

#[cfg(test)]
mod tests;
