use std::io::Cursor;

use ::jks::KeyStore;
use claviger_config::{KeyAlgorithm, certificate::KeystorePassword};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::*;
use crate::adapters::craft::keys::PrivateKey;

const PASSWORD: &str = "correct horse";
const FORMATS: [KeystoreFormat; 3] = [KeystoreFormat::Jks, KeystoreFormat::Pkcs12, KeystoreFormat::Pkcs12Legacy];

/// A key of that kind, and its certificate below two authorities.
fn a_pair(algorithm: KeyAlgorithm) -> Pair {
    let authority = |name: &str| {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters
    };
    let root = CertifiedIssuer::self_signed(authority("root"), KeyPair::generate().unwrap()).unwrap();
    let issuing = CertifiedIssuer::signed_by(authority("issuing"), KeyPair::generate().unwrap(), &root).unwrap();
    let key = PrivateKey::generate(algorithm).unwrap();
    let leaf = CertificateParams::new(["www.example.com".to_owned()]).unwrap().signed_by(&key, &issuing).unwrap();
    let chain = [leaf.pem(), issuing.pem(), root.pem()].concat();
    Pair::new(key.expose_pkcs8(), chain.as_bytes()).unwrap()
}

fn keystore(format: KeystoreFormat, holds: KeystoreContent) -> Keystore {
    let password = KeystorePassword { name: "web-password".parse().unwrap(), key: "password".to_owned() };
    Keystore { name: "keystore".parse().unwrap(), format, holds, alias: None, password }
}

#[test]
fn what_was_made_is_known_again_and_nothing_else_is() {
    let (pair, other) = (a_pair(KeyAlgorithm::EcdsaP256), a_pair(KeyAlgorithm::EcdsaP256));
    for (format, holds) in FORMATS
        .into_iter()
        .flat_map(|format| [KeystoreContent::Identity, KeystoreContent::Trust].map(|holds| (format, holds)))
    {
        let wanted = keystore(format, holds);
        let made = make(&wanted, PASSWORD, &pair).unwrap();
        let opens = |wanted: &Keystore, password, pair| is(wanted, password, pair, &made);
        assert!(opens(&wanted, PASSWORD, &pair), "{format:?} {holds:?}");
        assert!(!opens(&wanted, "another one", &pair), "{format:?} {holds:?}: another password");
        assert!(!opens(&wanted, PASSWORD, &other), "{format:?} {holds:?}: another certificate");
        let renamed = Keystore { alias: Some("web".parse().unwrap()), ..wanted.clone() };
        assert!(!opens(&renamed, PASSWORD, &pair), "{format:?} {holds:?}: another alias");
        for another in FORMATS.into_iter().filter(|another| *another != format) {
            assert!(!opens(&keystore(another, holds), PASSWORD, &pair), "{format:?} is no {another:?}");
        }
        for end in 0..made.len().min(200) {
            assert!(!is(&wanted, PASSWORD, &pair, &made[..end]), "{format:?} {holds:?} cut at {end}");
        }
    }
}

#[test]
fn no_two_keystores_with_a_key_are_alike() {
    let pair = a_pair(KeyAlgorithm::EcdsaP256);
    for format in FORMATS {
        let wanted = keystore(format, KeystoreContent::Identity);
        assert_ne!(make(&wanted, PASSWORD, &pair).unwrap(), make(&wanted, PASSWORD, &pair).unwrap(), "{format:?}");
    }
}

fn opened(bytes: &[u8], password: &str) -> ::jks::Result<KeyStore> {
    let mut store = KeyStore::new();
    store.load(&mut Cursor::new(bytes), password.as_bytes())?;
    Ok(store)
}

#[test]
fn another_reader_finds_key_and_chain_in_a_jks() {
    for algorithm in [KeyAlgorithm::EcdsaP384, KeyAlgorithm::Rsa2048] {
        let pair = a_pair(algorithm);
        let made = make(&keystore(KeystoreFormat::Jks, KeystoreContent::Identity), PASSWORD, &pair).unwrap();
        assert!(opened(&made, "another one").is_err());
        let entry = opened(&made, PASSWORD).unwrap().get_private_key_entry("certificate", PASSWORD.as_bytes()).unwrap();
        assert!(entry.private_key == *pair.key, "{algorithm:?}");
        let chain: Vec<Vec<u8>> = entry.certificate_chain.into_iter().map(|certificate| certificate.content).collect();
        assert_eq!(chain, pair.chain);
    }
}

#[test]
fn another_reader_finds_what_is_trusted_in_a_jks() {
    let pair = a_pair(KeyAlgorithm::EcdsaP256);
    let made = make(&keystore(KeystoreFormat::Jks, KeystoreContent::Trust), PASSWORD, &pair).unwrap();
    let store = opened(&made, PASSWORD).unwrap();
    for (alias, certificate) in ["ca", "ca-2"].into_iter().zip(pair.trusted()) {
        assert_eq!(store.get_trusted_certificate_entry(alias).unwrap().certificate.content, *certificate);
    }
}

#[test]
fn a_certificate_without_issuers_makes_an_empty_trust_store() {
    let mut pair = a_pair(KeyAlgorithm::EcdsaP256);
    pair.chain.truncate(1);
    for format in FORMATS {
        let wanted = keystore(format, KeystoreContent::Trust);
        assert!(is(&wanted, PASSWORD, &pair, &make(&wanted, PASSWORD, &pair).unwrap()), "{format:?}");
    }
}
