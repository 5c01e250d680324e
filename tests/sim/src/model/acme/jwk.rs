//! Public keys of accounts and certificates as JWK (RFC 7517), and their thumbprints (RFC 7638).

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::problem::Problem;

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Jwk {
    /// `{"kty":"EC","crv":"P-256"}`: 0x04, x, y.
    P256(Vec<u8>),
    /// `{"kty":"EC","crv":"P-384"}`: 0x04, x, y.
    P384(Vec<u8>),
    /// `{"kty":"RSA"}`
    Rsa {
        /// The modulus.
        n: Vec<u8>,
        /// The exponent.
        e: Vec<u8>,
    },
}

impl Jwk {
    /// Reads a JWK.
    ///
    /// # Errors
    /// `badPublicKey` for other kinds of keys.
    pub fn read(jwk: &Value) -> Result<Self, Problem> {
        let bad = || Problem::new("badPublicKey", "unsupported JWK: P-256, P-384 and RSA from 2048 bits are");
        let part = |name: &str| jwk[name].as_str().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok()).ok_or_else(bad);
        let point = |length: usize| {
            let (x, y) = (part("x")?, part("y")?);
            if x.len() == length && y.len() == length { Ok([&[4], &x[..], &y[..]].concat()) } else { Err(bad()) }
        };
        match (jwk["kty"].as_str(), jwk["crv"].as_str()) {
            (Some("EC"), Some("P-256")) => Ok(Self::P256(point(32)?)),
            (Some("EC"), Some("P-384")) => Ok(Self::P384(point(48)?)),
            (Some("RSA"), _) => match (part("n")?, part("e")?) {
                (n, e) if n.len() >= 256 => Ok(Self::Rsa { n, e }),
                _ => Err(bad()),
            },
            _ => Err(bad()),
        }
    }

    /// The key inside a certificate or a request.
    pub(super) fn of(info: &SubjectPublicKeyInfo<'_>) -> Option<Self> {
        match info.parsed().ok()? {
            PublicKey::EC(point) if point.data().len() == 65 => Some(Self::P256(point.data().to_vec())),
            PublicKey::EC(point) if point.data().len() == 97 => Some(Self::P384(point.data().to_vec())),
            PublicKey::RSA(key) => {
                let trim = |number: &[u8]| number.iter().copied().skip_while(|byte| *byte == 0).collect();
                Some(Self::Rsa { n: trim(key.modulus), e: trim(key.exponent) })
            }
            _ => None,
        }
    }

    /// The JWS algorithm that goes with the key.
    pub fn algorithm(&self) -> &'static str {
        match self {
            Self::P256(_) => "ES256",
            Self::P384(_) => "ES384",
            Self::Rsa { .. } => "RS256",
        }
    }

    /// Is this a signature by this key?
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature).is_ok()
            }
            Self::P384(point) => {
                UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point).verify(message, signature).is_ok()
            }
            Self::Rsa { n, e } => {
                PublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok()
            }
        }
    }

    /// The thumbprint, as it stands in key authorizations.
    pub fn thumbprint(&self) -> String {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let curve = |name: &str, point: &[u8]| {
            let (x, y) = point[1..].split_at(point.len() / 2);
            format!(r#"{{"crv":"{name}","kty":"EC","x":"{}","y":"{}"}}"#, text(x), text(y))
        };
        let canonical = match self {
            Self::P256(point) => curve("P-256", point),
            Self::P384(point) => curve("P-384", point),
            Self::Rsa { n, e } => format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, text(e), text(n)),
        };
        text(digest(&SHA256, canonical.as_bytes()).as_ref())
    }
}
