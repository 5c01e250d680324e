//! PKCS#12 (RFC 7292), by a library.

use claviger_config::certificate::{Keystore, KeystoreContent, KeystoreFormat};
use p12_keystore::{
    Certificate, EncryptionAlgorithm, KeyStore, KeyStoreEntry, MacAlgorithm, Pkcs12Archive, PrivateKey, PrivateKeyChain,
};

use super::{KeystoreFault, Pair, alias};

pub(super) fn make(keystore: &Keystore, password: &str, pair: &Pair) -> Result<Vec<u8>, KeystoreFault> {
    let made = filled(keystore, pair).and_then(|store| {
        let writer = store.writer(password).encryption_iterations(ROUNDS).mac_iterations(ROUNDS);
        match keystore.format {
            KeystoreFormat::Pkcs12Legacy => writer
                .encryption_algorithm(EncryptionAlgorithm::PbeWithShaAnd3KeyTripleDesCbc)
                .mac_algorithm(MacAlgorithm::HmacSha1),
            _ => writer
                .encryption_algorithm(EncryptionAlgorithm::PbeWithHmacSha256AndAes256)
                .mac_algorithm(MacAlgorithm::HmacSha256),
        }
        .write()
    });
    made.map_err(|error| KeystoreFault::Pkcs12(error.to_string()))
}

fn filled(keystore: &Keystore, pair: &Pair) -> p12_keystore::Result<KeyStore> {
    let mut store = KeyStore::new();
    match keystore.holds {
        KeystoreContent::Identity => {
            let chain = pair.chain.iter().map(|certificate| Certificate::from_der(certificate));
            let chain = chain.collect::<p12_keystore::Result<Vec<_>>>()?;
            // It only says which certificate is the key's.
            let entry = PrivateKeyChain::new(keystore.alias(), PrivateKey::from_der(&pair.key)?, chain);
            store.add_entry(keystore.alias(), KeyStoreEntry::PrivateKeyChain(entry));
        }
        KeystoreContent::Trust => {
            for (number, certificate) in pair.trusted().iter().enumerate() {
                let entry = KeyStoreEntry::Certificate(Certificate::from_der(certificate)?);
                store.add_entry(&alias(keystore, number), entry);
            }
        }
    }
    Ok(store)
}

pub(super) fn is(keystore: &Keystore, password: &str, pair: &Pair, found: &[u8]) -> bool {
    let encryption = if keystore.format == KeystoreFormat::Pkcs12Legacy { TRIPLE_DES } else { PBES2 };
    if !found.windows(encryption.len()).any(|window| window == encryption) {
        return false;
    }
    let Ok(held) = Pkcs12Archive::from_pkcs12(found, password) else { return false };
    let certificates = held.certs.iter().map(|bag| bag.cert.as_der());
    match keystore.holds {
        KeystoreContent::Identity => {
            let [bag] = held.keys.as_slice() else { return false };
            bag.key.as_der() == pair.key.as_slice()
                && bag.friendly_name.as_deref() == Some(keystore.alias())
                && certificates.eq(pair.chain.iter().map(Vec::as_slice))
        }
        KeystoreContent::Trust => {
            let names = held.certs.iter().enumerate();
            held.keys.is_empty()
                && names.into_iter().all(|(number, bag)| {
                    bag.trusted && bag.friendly_name.as_deref() == Some(alias(keystore, number).as_str())
                })
                && certificates.eq(pair.trusted().iter().map(Vec::as_slice))
        }
    }
}

/// As the JDK does it since version 12.
const ROUNDS: u32 = 10_000;

/// The object identifier of PBES2, 1.2.840.113549.1.5.13 (RFC 8018), DER.
const PBES2: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0d];

/// That of pbeWithSHAAnd3-KeyTripleDES-CBC, 1.2.840.113549.1.12.1.3 (RFC 7292 appendix C), DER.
const TRIPLE_DES: &[u8] = &[0x06, 0x0a, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x01, 0x03];
