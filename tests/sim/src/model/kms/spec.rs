//! What kinds of keys there are, and what each can do.

use serde::{Deserialize, Serialize};

use super::error::{AwsError, unsupported, validation};
use crate::dice::Dice;
use crate::model::elliptic::Curve;

/// A key spec that we play.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeySpec {
    /// `ECC_NIST_P256`
    EccNistP256,
    /// `ECC_NIST_P384`
    EccNistP384,
    /// `ECC_NIST_P521`
    EccNistP521,
    /// `ECC_NIST_EDWARDS25519`
    Edwards25519,
    /// `HMAC_256`
    Hmac256,
    /// `HMAC_384`
    Hmac384,
    /// `HMAC_512`
    Hmac512,
    /// `RSA_2048`
    Rsa2048,
    /// `RSA_3072`
    Rsa3072,
    /// `RSA_4096`
    Rsa4096,
    /// `SYMMETRIC_DEFAULT`
    SymmetricDefault,
}

impl KeySpec {
    pub(super) fn parse(name: &str) -> Result<Self, AwsError> {
        if let Some((spec, _)) = NAMES.iter().find(|(_, known)| *known == name) {
            return Ok(*spec);
        }
        match OTHERS.contains(&name) {
            true => Err(unsupported(format!("KeySpec {name} is not supported."))),
            false => Err(validation(format!(
                "1 validation error detected: Value '{name}' at 'keySpec' failed to satisfy constraint: Member must \
                 satisfy enum value set"
            ))),
        }
    }

    /// AWS's word for it.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(spec, _)| *spec == self).map_or("SYMMETRIC_DEFAULT", |(_, name)| name)
    }

    /// True for the one spec that encrypts with a context and rotates in place.
    pub fn symmetric(self) -> bool {
        self == Self::SymmetricDefault
    }

    pub(super) fn usages(self) -> &'static [&'static str] {
        match self {
            Self::SymmetricDefault => &["ENCRYPT_DECRYPT"],
            Self::Hmac256 | Self::Hmac384 | Self::Hmac512 => &["GENERATE_VERIFY_MAC"],
            _ => &["SIGN_VERIFY"],
        }
    }

    /// Names of the field in KeyMetadata and of the algorithms that stand in it.
    pub(super) fn algorithms(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::SymmetricDefault => ("EncryptionAlgorithms", &["SYMMETRIC_DEFAULT"]),
            Self::Hmac256 => ("MacAlgorithms", &["HMAC_SHA_256"]),
            Self::Hmac384 => ("MacAlgorithms", &["HMAC_SHA_384"]),
            Self::Hmac512 => ("MacAlgorithms", &["HMAC_SHA_512"]),
            Self::EccNistP256 => ("SigningAlgorithms", &["ECDSA_SHA_256"]),
            Self::EccNistP384 => ("SigningAlgorithms", &["ECDSA_SHA_384"]),
            Self::EccNistP521 => ("SigningAlgorithms", &["ECDSA_SHA_512"]),
            Self::Edwards25519 => ("SigningAlgorithms", &["ED25519_SHA_512"]),
            Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 => ("SigningAlgorithms", RSA_ALGORITHMS),
        }
    }

    pub(super) fn curve(self) -> Option<Curve> {
        match self {
            Self::EccNistP256 => Some(Curve::P256),
            Self::EccNistP384 => Some(Curve::P384),
            Self::EccNistP521 => Some(Curve::P521),
            _ => None,
        }
    }

    /// Fresh key material. RSA keys come from the system's randomness, everything else from the dice.
    pub(super) fn draw(self, dice: &mut Dice) -> Result<Vec<u8>, AwsError> {
        if let Some(curve) = self.curve() {
            return Ok(curve.draw(dice));
        }
        match self {
            Self::Rsa2048 => super::sign::draw_rsa(aws_lc_rs::rsa::KeySize::Rsa2048),
            Self::Rsa3072 => super::sign::draw_rsa(aws_lc_rs::rsa::KeySize::Rsa3072),
            Self::Rsa4096 => super::sign::draw_rsa(aws_lc_rs::rsa::KeySize::Rsa4096),
            Self::Hmac384 => Ok(dice.bytes(48)),
            Self::Hmac512 => Ok(dice.bytes(64)),
            _ => Ok(dice.bytes(32)),
        }
    }
}

const NAMES: &[(KeySpec, &str)] = &[
    (KeySpec::SymmetricDefault, "SYMMETRIC_DEFAULT"),
    (KeySpec::EccNistP256, "ECC_NIST_P256"),
    (KeySpec::EccNistP384, "ECC_NIST_P384"),
    (KeySpec::EccNistP521, "ECC_NIST_P521"),
    (KeySpec::Edwards25519, "ECC_NIST_EDWARDS25519"),
    (KeySpec::Hmac256, "HMAC_256"),
    (KeySpec::Hmac384, "HMAC_384"),
    (KeySpec::Hmac512, "HMAC_512"),
    (KeySpec::Rsa2048, "RSA_2048"),
    (KeySpec::Rsa3072, "RSA_3072"),
    (KeySpec::Rsa4096, "RSA_4096"),
];

/// Specs that AWS has and we do not play.
const OTHERS: &[&str] = &[
    "ECC_SECG_P256K1",
    "HMAC_224",
    "ML_DSA_44",
    "ML_DSA_65",
    "ML_DSA_87",
    "ML_KEM_512",
    "ML_KEM_768",
    "ML_KEM_1024",
    "SM2",
];

const RSA_ALGORITHMS: &[&str] = &[
    "RSASSA_PKCS1_V1_5_SHA_256",
    "RSASSA_PKCS1_V1_5_SHA_384",
    "RSASSA_PKCS1_V1_5_SHA_512",
    "RSASSA_PSS_SHA_256",
    "RSASSA_PSS_SHA_384",
    "RSASSA_PSS_SHA_512",
];
