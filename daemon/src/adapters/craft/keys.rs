//! Private keys: made, loaded, shown to nobody by accident.

use crate::adapters::craft::pem::{self, PemFault};
use aws_lc_rs::{
    digest::{SHA256, digest},
    encoding::{AsDer, Pkcs8V1Der},
    error::{KeyRejected, Unspecified},
    rand::SystemRandom,
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair,
        EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    },
};
use claviger_config::KeyAlgorithm;
use std::fmt;
use thiserror::Error;
use zeroize::Zeroizing;

/// A private key with its public half. Reading the secret is spelled `expose_`.
///
/// It signs through rcgen's traits without giving the secret away, so no second copy is ever made for a request or a
/// certificate.
pub struct PrivateKey {
    algorithm: KeyAlgorithm,
    pkcs8: Zeroizing<Vec<u8>>,
    spki: Vec<u8>,
    pair: Pair,
}

/// Why there is no private key.
#[derive(Debug, Error)]
pub enum KeyFault {
    /// The key is protected by a passphrase.
    #[error(
        "found an encrypted private key, accepted: an unencrypted one (`openssl pkey -in FILE` takes the passphrase off)"
    )]
    Encrypted,
    /// Several keys where there must be one.
    #[error("found {found} private keys, accepted: one; split the file")]
    Several {
        /// How many.
        found: usize,
    },
    /// The key cannot be made or written out.
    #[error("cannot {what} a private key of algorithm `{}`: the system's cryptography refuses", algorithm.word())]
    Cryptography {
        /// What was tried.
        what: &'static str,
        /// The key's algorithm.
        algorithm: KeyAlgorithm,
        /// What it said.
        #[source]
        cause: Unspecified,
    },
    /// The text is not PEM.
    #[error("cannot read the private key as PEM")]
    Pem(#[source] PemFault),
    /// An RSA key of an odd size.
    #[error("found an RSA key of {found} bits, accepted: 2048, 3072 or 4096")]
    RsaSize {
        /// The size of the modulus.
        found: usize,
    },
    /// The PEM text holds no private key.
    #[error(
        "found no private key among {found:?}, accepted: one block `PRIVATE KEY`, `EC PRIVATE KEY` or `RSA PRIVATE KEY`"
    )]
    Missing {
        /// The labels of the blocks that are there.
        found: Vec<String>,
    },
    /// More bytes than any key needs.
    #[error("found {found} bytes, accepted: a private key of at most {MAX_LENGTH} bytes")]
    TooLarge {
        /// How many.
        found: usize,
    },
    /// The bytes are no private key, or a damaged one.
    #[error("the private key is damaged or not a PKCS#8, SEC 1 or PKCS#1 structure: copy it again, or make a new one")]
    Unreadable(#[source] KeyRejected),
    /// A key of an algorithm that is not accepted.
    #[error("found a key of algorithm `{found}`, accepted: ecdsa-p256, ecdsa-p384, rsa-2048, rsa-3072 or rsa-4096")]
    Unsupported {
        /// The algorithm.
        found: &'static str,
    },
}

/// How long a key may be, as DER or as PEM text. An RSA key of 4096 bits takes about 3,300 bytes of PEM.
pub const MAX_LENGTH: usize = 13_000;

impl PrivateKey {
    /// Makes a new key.
    pub fn generate(algorithm: KeyAlgorithm) -> Result<Self, KeyFault> {
        let made = Pair::generate(algorithm).and_then(|pair| Self::from_pair(algorithm, pair));
        made.map_err(|cause| KeyFault::Cryptography { what: "make", algorithm, cause })
    }

    /// Loads a key from PKCS#8 DER.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, KeyFault> {
        capped(der)?;
        Self::from_der(der)
    }

    /// Loads the one key that a PEM text holds: PKCS#8, SEC 1 (RFC 5915) or PKCS#1 (RFC 8017). Certificates beside it
    /// are skipped.
    pub fn from_pem(text: &[u8]) -> Result<Self, KeyFault> {
        capped(text)?;
        let blocks = pem::read(text).map_err(KeyFault::Pem)?;
        let mut keys = blocks.iter().filter(|block| block.label.ends_with("PRIVATE KEY"));
        let Some(key) = keys.next() else {
            let found = blocks.into_iter().map(|block| block.label).collect();
            return Err(KeyFault::Missing { found });
        };
        match keys.count() {
            0 if key.encrypted || key.label.starts_with("ENCRYPTED") => Err(KeyFault::Encrypted),
            0 => Self::from_der(&key.der),
            more => Err(KeyFault::Several { found: more + 1 }),
        }
    }

    /// The algorithm.
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// The secret, as PKCS#8 DER.
    pub fn expose_pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The secret, as a PEM block `PRIVATE KEY`.
    pub fn expose_pem(&self) -> Zeroizing<String> {
        pem::write("PRIVATE KEY", &self.pkcs8)
    }

    /// The public half, as SubjectPublicKeyInfo DER (RFC 5280 section 4.1.2.7).
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// The fingerprint by which the key is known everywhere: lower hex of SHA-256 over [`Self::spki_der`].
    pub fn spki_sha256(&self) -> String {
        sha256(&self.spki)
    }

    /// Any of the three structures: the ones without a PKCS#8 frame are tried second.
    fn from_der(der: &[u8]) -> Result<Self, KeyFault> {
        let (algorithm, pair) = Pair::load(der)?;
        // Written anew, so that whatever was loaded is stored and delivered as PKCS#8.
        Self::from_pair(algorithm, pair).map_err(|cause| KeyFault::Cryptography { what: "write out", algorithm, cause })
    }

    fn from_pair(algorithm: KeyAlgorithm, pair: Pair) -> Result<Self, Unspecified> {
        Ok(Self { algorithm, pkcs8: pair.pkcs8()?, spki: pair.spki()?, pair })
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey")
            .field("algorithm", &self.algorithm)
            .field("spki_sha256", &self.spki_sha256())
            .finish_non_exhaustive()
    }
}

impl rcgen::PublicKeyData for PrivateKey {
    fn der_bytes(&self) -> &[u8] {
        match &self.pair {
            Pair::Ecdsa(pair) => pair.public_key().as_ref(),
            Pair::Rsa(pair) => pair.public_key().as_ref(),
        }
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        match self.algorithm {
            KeyAlgorithm::EcdsaP256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            KeyAlgorithm::EcdsaP384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            KeyAlgorithm::Rsa2048 | KeyAlgorithm::Rsa3072 | KeyAlgorithm::Rsa4096 => &rcgen::PKCS_RSA_SHA256,
        }
    }
}

impl rcgen::SigningKey for PrivateKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.pair.sign(message).map_err(|_| rcgen::Error::RingUnspecified)
    }
}

/// SHA-256 in lower hex, as fingerprints are written everywhere.
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(digest(&SHA256, bytes))
}

/// The key as aws-lc holds it; it wipes its own memory.
enum Pair {
    Ecdsa(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

impl Pair {
    fn generate(algorithm: KeyAlgorithm) -> Result<Self, Unspecified> {
        let ecdsa = |curve| EcdsaKeyPair::generate(curve).map(Self::Ecdsa);
        let rsa = |size| RsaKeyPair::generate(size).map(Self::Rsa);
        match algorithm {
            KeyAlgorithm::EcdsaP256 => ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING),
            KeyAlgorithm::EcdsaP384 => ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING),
            KeyAlgorithm::Rsa2048 => rsa(KeySize::Rsa2048),
            KeyAlgorithm::Rsa3072 => rsa(KeySize::Rsa3072),
            KeyAlgorithm::Rsa4096 => rsa(KeySize::Rsa4096),
        }
    }

    fn load(der: &[u8]) -> Result<(KeyAlgorithm, Self), KeyFault> {
        for (algorithm, curve) in CURVES {
            if let Ok(pair) = EcdsaKeyPair::from_private_key_der(curve, der) {
                return Ok((algorithm, Self::Ecdsa(pair)));
            }
        }
        match RsaKeyPair::from_pkcs8(der).or_else(|_| RsaKeyPair::from_der(der)) {
            Ok(pair) => Ok((rsa_size(&pair)?, Self::Rsa(pair))),
            Err(cause) => Err(unsupported(der).unwrap_or(KeyFault::Unreadable(cause))),
        }
    }

    fn pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, Unspecified> {
        let copy = |der: &[u8]| Zeroizing::new(der.to_vec());
        match self {
            Self::Ecdsa(pair) => Ok(copy(pair.to_pkcs8v1()?.as_ref())),
            Self::Rsa(pair) => {
                let der: Pkcs8V1Der<'_> = pair.as_der()?;
                Ok(copy(der.as_ref()))
            }
        }
    }

    fn spki(&self) -> Result<Vec<u8>, Unspecified> {
        let der = match self {
            Self::Ecdsa(pair) => pair.public_key().as_der()?,
            Self::Rsa(pair) => pair.public_key().as_der()?,
        };
        Ok(der.as_ref().to_vec())
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let random = SystemRandom::new();
        match self {
            Self::Ecdsa(pair) => Ok(pair.sign(&random, message)?.as_ref().to_vec()),
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)?;
                Ok(signature)
            }
        }
    }
}

fn capped(bytes: &[u8]) -> Result<(), KeyFault> {
    match bytes.len() {
        found if found > MAX_LENGTH => Err(KeyFault::TooLarge { found }),
        _ => Ok(()),
    }
}

fn rsa_size(pair: &RsaKeyPair) -> Result<KeyAlgorithm, KeyFault> {
    match pair.public_modulus_len() * 8 {
        2048 => Ok(KeyAlgorithm::Rsa2048),
        3072 => Ok(KeyAlgorithm::Rsa3072),
        4096 => Ok(KeyAlgorithm::Rsa4096),
        found => Err(KeyFault::RsaSize { found }),
    }
}

/// Names the sound keys that are met in adopted files although nobody may use them here.
fn unsupported(der: &[u8]) -> Option<KeyFault> {
    let found = if EcdsaKeyPair::from_private_key_der(&ECDSA_P521_SHA512_ASN1_SIGNING, der).is_ok() {
        "ecdsa-p521"
    } else if Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).is_ok() {
        "ed25519"
    } else {
        return None;
    };
    Some(KeyFault::Unsupported { found })
}

const CURVES: [(KeyAlgorithm, &EcdsaSigningAlgorithm); 2] = [
    (KeyAlgorithm::EcdsaP256, &ECDSA_P256_SHA256_ASN1_SIGNING),
    (KeyAlgorithm::EcdsaP384, &ECDSA_P384_SHA384_ASN1_SIGNING),
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALGORITHMS: [KeyAlgorithm; 5] = [
        KeyAlgorithm::EcdsaP256,
        KeyAlgorithm::EcdsaP384,
        KeyAlgorithm::Rsa2048,
        KeyAlgorithm::Rsa3072,
        KeyAlgorithm::Rsa4096,
    ];

    /// The PKCS#1 structure inside a PKCS#8 one: the last field.
    fn pkcs1(pkcs8: &[u8]) -> &[u8] {
        let start =
            pkcs8.windows(4).position(|window| window[0] == 0x30 && window[1] == 0x82 && window[2..] != pkcs8[2..4]);
        &pkcs8[start.expect("an inner sequence")..]
    }

    fn fault(text: &str) -> KeyFault {
        PrivateKey::from_pem(text.as_bytes()).expect_err("the text must be refused")
    }

    #[test]
    fn every_algorithm_is_made_and_loaded_again_as_the_same_key() {
        for algorithm in ALGORITHMS {
            let made = PrivateKey::generate(algorithm).unwrap();
            let from_der = PrivateKey::from_pkcs8(made.expose_pkcs8()).unwrap();
            let from_pem = PrivateKey::from_pem(made.expose_pem().as_bytes()).unwrap();
            for loaded in [from_der, from_pem] {
                assert_eq!(loaded.algorithm(), algorithm);
                assert_eq!(loaded.spki_sha256(), made.spki_sha256());
                assert_eq!(loaded.expose_pkcs8(), made.expose_pkcs8());
            }
        }
    }

    #[test]
    fn two_keys_are_never_the_same() {
        let make = || PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        assert_ne!(make().spki_sha256(), make().spki_sha256());
    }

    #[test]
    fn an_adopted_sec1_key_is_loaded_and_leaves_as_pkcs8() {
        for (algorithm, curve) in CURVES {
            let pair = EcdsaKeyPair::generate(curve).unwrap();
            let sec1 = pair.private_key().as_der().unwrap();
            let parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
            let text = format!("{parameters}{}", *pem::write("EC PRIVATE KEY", sec1.as_ref()));
            let key = PrivateKey::from_pem(text.as_bytes()).unwrap();
            assert_eq!(key.algorithm(), algorithm);
            assert_eq!(key.expose_pkcs8(), pair.to_pkcs8v1().unwrap().as_ref());
            assert_eq!(*key.expose_pem(), *pem::write("PRIVATE KEY", key.expose_pkcs8()));
        }
    }

    #[test]
    fn an_adopted_pkcs1_key_is_loaded_and_leaves_as_pkcs8() {
        let made = PrivateKey::generate(KeyAlgorithm::Rsa3072).unwrap();
        let text = pem::write("RSA PRIVATE KEY", pkcs1(made.expose_pkcs8()));
        let key = PrivateKey::from_pem(text.as_bytes()).unwrap();
        assert_eq!(key.algorithm(), KeyAlgorithm::Rsa3072);
        assert_eq!(key.expose_pkcs8(), made.expose_pkcs8());
    }

    #[test]
    fn a_key_beside_its_certificates_is_found() {
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let text = format!("{}{}", *pem::write("CERTIFICATE", b"any"), *key.expose_pem());
        assert_eq!(PrivateKey::from_pem(text.as_bytes()).unwrap().spki_sha256(), key.spki_sha256());
    }

    #[test]
    fn the_secret_is_shown_by_no_debug_output() {
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let shown = format!("{key:?}");
        assert_eq!(shown, format!("PrivateKey {{ algorithm: EcdsaP256, spki_sha256: \"{}\", .. }}", key.spki_sha256()));
    }

    #[test]
    fn encrypted_keys_are_told_apart_from_damaged_ones() {
        let modern = pem::write("ENCRYPTED PRIVATE KEY", b"sealed");
        assert!(matches!(fault(&modern), KeyFault::Encrypted));
        let head = "-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n";
        let old = pem::write("RSA PRIVATE KEY", b"sealed").replacen("-----\n", head, 1);
        assert!(matches!(fault(&old), KeyFault::Encrypted));
        assert!(matches!(fault(&pem::write("PRIVATE KEY", b"noise")), KeyFault::Unreadable(_)));
    }

    #[test]
    fn no_key_and_two_keys_are_refused() {
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap().expose_pem();
        assert!(matches!(fault(&format!("{0}{0}", *key)), KeyFault::Several { found: 2 }));
        let certificate = pem::write("CERTIFICATE", b"any");
        assert!(matches!(fault(&certificate), KeyFault::Missing { found } if found == ["CERTIFICATE"]));
        assert!(matches!(fault("no key"), KeyFault::Missing { found } if found.is_empty()));
    }

    #[test]
    fn keys_of_other_algorithms_are_refused_by_name() {
        let p521 = EcdsaKeyPair::generate(&ECDSA_P521_SHA512_ASN1_SIGNING).unwrap().to_pkcs8v1().unwrap();
        let refused = PrivateKey::from_pkcs8(p521.as_ref()).unwrap_err();
        assert!(matches!(refused, KeyFault::Unsupported { found: "ecdsa-p521" }));
        let ed25519 = Ed25519KeyPair::generate().unwrap().to_pkcs8().unwrap();
        let refused = PrivateKey::from_pkcs8(ed25519.as_ref()).unwrap_err();
        assert!(matches!(refused, KeyFault::Unsupported { found: "ed25519" }));
        // aws-lc makes only the usual sizes.
        let odd = std::process::Command::new("openssl").args(["genrsa", "2560"]).output().unwrap();
        let odd = String::from_utf8(odd.stdout).unwrap();
        assert!(matches!(fault(&odd), KeyFault::RsaSize { found: 2560 }));
    }

    #[test]
    fn a_text_longer_than_any_key_is_not_even_read() {
        let refused = PrivateKey::from_pem(&[b' '; MAX_LENGTH + 1]).unwrap_err();
        assert!(matches!(refused, KeyFault::TooLarge { found } if found == MAX_LENGTH + 1));
        assert!(matches!(PrivateKey::from_pkcs8(&[0; MAX_LENGTH + 1]), Err(KeyFault::TooLarge { .. })));
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_without_panic(bytes: Vec<u8>) {
            prop_assert!(PrivateKey::from_pkcs8(&bytes).is_err());
            prop_assert!(PrivateKey::from_pem(&bytes).is_err());
            prop_assert!(PrivateKey::from_pem(pem::write("PRIVATE KEY", &bytes).as_bytes()).is_err());
        }
    }
}
