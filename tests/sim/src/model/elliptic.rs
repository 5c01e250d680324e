//! Key pairs on the NIST curves out of a seeded generator, so that a world is the same each time it is told.

use aws_lc_rs::agreement::{self, PrivateKey};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm,
};
use serde::{Deserialize, Serialize};

use crate::dice::Dice;

/// A curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Curve {
    P256,
    P384,
    P521,
}

impl Curve {
    /// A fresh private key as PKCS #8.
    pub(crate) fn draw(self, dice: &mut Dice) -> Vec<u8> {
        loop {
            let mut scalar = dice.bytes(self.scalar_length());
            if self == Self::P521 {
                scalar[0] &= 1;
            }
            if let Some(pkcs8) = self.pkcs8(&scalar) {
                return pkcs8;
            }
        }
    }

    /// Reads a private key that `draw` made.
    pub(crate) fn open(self, pkcs8: &[u8]) -> Option<EcdsaKeyPair> {
        EcdsaKeyPair::from_pkcs8(self.signing(), pkcs8).ok()
    }

    /// How this curve signs, each with the digest that belongs to it.
    pub(crate) fn signing(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_ASN1_SIGNING,
            Self::P384 => &ECDSA_P384_SHA384_ASN1_SIGNING,
            Self::P521 => &ECDSA_P521_SHA512_ASN1_SIGNING,
        }
    }

    /// None when the number is no scalar of this curve (it is 0 or not below the order).
    fn pkcs8(self, scalar: &[u8]) -> Option<Vec<u8>> {
        let private = PrivateKey::from_private_key(self.agreement(), scalar).ok()?;
        let public = private.compute_public_key().ok()?;
        let pair = EcdsaKeyPair::from_private_key_and_public_key(self.signing(), scalar, public.as_ref()).ok()?;
        Some(pair.to_pkcs8v1().ok()?.as_ref().to_vec())
    }

    fn agreement(self) -> &'static agreement::Algorithm {
        match self {
            Self::P256 => &agreement::ECDH_P256,
            Self::P384 => &agreement::ECDH_P384,
            Self::P521 => &agreement::ECDH_P521,
        }
    }

    fn scalar_length(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::KeyPair;

    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_key_on_every_curve() {
        for curve in [Curve::P256, Curve::P384, Curve::P521] {
            let public =
                |seed| curve.open(&curve.draw(&mut Dice::new(seed, "e"))).unwrap().public_key().as_ref().to_vec();
            assert_eq!(public(1), public(1));
            assert_ne!(public(1), public(2));
        }
    }
}
