//! The ciphertext: AES-256-GCM, with the encryption context and the key's ARN as additional data.
//!
//! The layout is our own: a version byte, the material's id, the nonce, then the sealed bytes. AWS's is not published.

use std::collections::BTreeMap;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use super::key::{Key, Material};
use crate::dice::Dice;

/// A ciphertext taken apart.
pub(super) struct Sealed<'a> {
    pub(super) material: String,
    nonce: [u8; 12],
    body: &'a [u8],
}

/// Reads the outer form; None when no KMS ever made this.
pub(super) fn parse(blob: &[u8]) -> Option<Sealed<'_>> {
    let rest = blob.strip_prefix(&[VERSION])?;
    let (material, rest) = rest.split_at_checked(32)?;
    let (nonce, body) = rest.split_at_checked(12)?;
    Some(Sealed { material: hex::encode(material), nonce: nonce.try_into().ok()?, body })
}

/// Seals `plain` under the current material of `key`.
pub(super) fn seal(key: &Key, context: &BTreeMap<String, String>, plain: &[u8], dice: &mut Dice) -> Option<Vec<u8>> {
    let material = key.current();
    let nonce: [u8; 12] = dice.bytes(12).try_into().ok()?;
    let mut body = plain.to_vec();
    let cipher = cipher(material)?;
    cipher.seal_in_place_append_tag(Nonce::from(&nonce), Aad::from(aad(&key.arn, context)), &mut body).ok()?;
    Some([&[VERSION], &*hex::decode(&material.id).ok()?, &nonce, &body].concat())
}

/// Opens what `seal` made; None for another context, another key or a changed byte.
pub(super) fn open(
    key: &Key,
    material: &Material,
    context: &BTreeMap<String, String>,
    sealed: &Sealed<'_>,
) -> Option<Vec<u8>> {
    let mut body = sealed.body.to_vec();
    let aad = Aad::from(aad(&key.arn, context));
    let plain = cipher(material)?.open_in_place(Nonce::from(&sealed.nonce), aad, &mut body).ok()?;
    Some(plain.to_vec())
}

fn cipher(material: &Material) -> Option<LessSafeKey> {
    Some(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &material.secret).ok()?))
}

/// Every part with its length in front, so that no two contexts look alike.
fn aad(arn: &str, context: &BTreeMap<String, String>) -> Vec<u8> {
    let parts = std::iter::once(arn).chain(context.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]));
    let framed = |part: &str| [&(part.len() as u64).to_be_bytes(), part.as_bytes()].concat();
    parts.flat_map(framed).collect()
}

const VERSION: u8 = 1;
