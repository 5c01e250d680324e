//! Reads a key and a chain, and tells whether they belong together.

use aws_lc_rs::{
    digest::{SHA256, digest},
    encoding::AsDer as _,
    rsa,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use x509_parser::{parse_x509_certificate, pem::Pem};
use zeroize::Zeroizing;

/// The three files as they are written.
pub(crate) struct Files {
    /// `tls.key`: PKCS#8, PEM.
    pub(crate) key: Zeroizing<String>,
    /// `tls.crt`: leaf first.
    pub(crate) chain: String,
    /// `ca.crt`: the chain without the leaf.
    pub(crate) issuers: String,
    /// SHA-256 over the leaf, lower hexadecimal.
    pub(crate) fingerprint: String,
}

impl Files {
    /// The files for a key (PKCS#8, DER) and a chain (PEM); absent when they are not a pair.
    pub(crate) fn new(key: &[u8], chain_pem: &str) -> Option<Self> {
        let chain = certificates(chain_pem.as_bytes())?;
        belong_together(key, &chain).then(|| Self {
            key: pem("PRIVATE KEY", key),
            chain: bundle(&chain),
            issuers: bundle(&chain[1..]),
            fingerprint: fingerprint(&chain[0]),
        })
    }
}

/// SHA-256 over the leaf when the texts hold a key and a chain that belong together.
pub(crate) fn pair(key_pem: &[u8], chain_pem: &[u8]) -> Option<String> {
    let (key, chain) = (private_key(key_pem)?, certificates(chain_pem)?);
    belong_together(&key, &chain).then(|| fingerprint(&chain[0]))
}

/// The certificates of a PEM text as DER, at least one; absent when anything in it is broken.
pub(crate) fn certificates(pem: &[u8]) -> Option<Vec<Vec<u8>>> {
    let chain = possibly_none(pem)?;
    Some(chain).filter(|chain| !chain.is_empty())
}

/// The certificates of a PEM text that may hold none.
pub(crate) fn possibly_none(pem: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    for block in Pem::iter_from_buffer(pem) {
        let block = block.ok()?;
        if block.label != "CERTIFICATE" || found.len() == MOST_CERTIFICATES {
            return None;
        }
        found.push(block.contents);
    }
    Some(found)
}

fn belong_together(key: &[u8], chain: &[Vec<u8>]) -> bool {
    let leaf = chain.first().and_then(|leaf| parse_x509_certificate(leaf).ok());
    let public_key = public_key(key);
    leaf.zip(public_key).is_some_and(|((_, leaf), public_key)| leaf.public_key().raw == public_key)
}

/// The SubjectPublicKeyInfo of a private key, DER.
fn public_key(key: &[u8]) -> Option<Vec<u8>> {
    for curve in [&ECDSA_P256_SHA256_ASN1_SIGNING, &ECDSA_P384_SHA384_ASN1_SIGNING] {
        if let Ok(pair) = EcdsaKeyPair::from_private_key_der(curve, key) {
            return Some(pair.public_key().as_der().ok()?.as_ref().to_vec());
        }
    }
    let pair = rsa::KeyPair::from_pkcs8(key).or_else(|_| rsa::KeyPair::from_der(key)).ok()?;
    Some(pair.public_key().as_der().ok()?.as_ref().to_vec())
}

/// The one private key of a PEM text: PKCS#8, SEC 1 (RFC 5915) or PKCS#1 (RFC 8017), not encrypted.
pub(crate) fn private_key(pem: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let text = std::str::from_utf8(pem).ok()?;
    let mut blocks = text.split("-----BEGIN ").skip(1).filter_map(|block| block.split_once("PRIVATE KEY-----"));
    let (label, rest) = blocks.next()?;
    if blocks.next().is_some() || !matches!(label, "" | "EC " | "RSA ") {
        return None;
    }
    let body = rest.split("-----END ").next()?;
    let mut packed = Zeroizing::new(Vec::with_capacity(body.len()));
    packed.extend(body.bytes().filter(|byte| !byte.is_ascii_whitespace()));
    let mut der = Zeroizing::new(vec![0; base64::decoded_len_estimate(packed.len())]);
    let length = STANDARD.decode_slice(packed.as_slice(), &mut der).ok()?;
    der.truncate(length);
    Some(der)
}

/// When a certificate begins to be valid, in milliseconds since 1970; absent when that lies before.
pub(crate) fn not_before(certificate: &[u8]) -> Option<u64> {
    let (_, certificate) = parse_x509_certificate(certificate).ok()?;
    u64::try_from(certificate.validity().not_before.timestamp()).ok()?.checked_mul(1_000)
}

fn bundle(chain: &[Vec<u8>]) -> String {
    chain.iter().map(|certificate| pem("CERTIFICATE", certificate).to_string()).collect()
}

/// One PEM block (RFC 7468). The buffer never grows, since growing would leave copies of a key behind.
fn pem(label: &str, der: &[u8]) -> Zeroizing<String> {
    let lines = der.len().div_ceil(48);
    let mut text = Zeroizing::new(String::with_capacity(lines * 65 + 2 * label.len() + 40));
    text.push_str("-----BEGIN ");
    text.push_str(label);
    text.push_str("-----\n");
    for line in der.chunks(48) {
        STANDARD.encode_string(line, &mut text);
        text.push('\n');
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

fn fingerprint(leaf: &[u8]) -> String {
    hex::encode(digest(&SHA256, leaf))
}

const MOST_CERTIFICATES: usize = 10;
