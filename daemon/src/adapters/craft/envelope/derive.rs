//! From a data key and a message id to the key that seals and the commitment (developer guide, "Algorithm suites", HKDF
//! of 0x0478).

use super::{
    DATA_KEY_LENGTH, EnvelopeFault,
    suite::{COMMITMENT_LENGTH, MESSAGE_ID_LENGTH, NONCE_LENGTH, SUITE, TAG_LENGTH},
};
use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    constant_time::verify_slices_are_equal,
    hkdf::{HKDF_SHA512, KeyType, Prk, Salt},
};
use zeroize::Zeroizing;

/// What is derived for one message.
pub(super) struct Keys {
    sealing: LessSafeKey,
    commitment: [u8; COMMITMENT_LENGTH],
}

impl Keys {
    pub(super) fn derive(data_key: &[u8; DATA_KEY_LENGTH], message_id: &[u8; MESSAGE_ID_LENGTH]) -> Self {
        let pseudorandom = Salt::new(HKDF_SHA512, message_id).extract(data_key);
        let sealing: Zeroizing<[u8; 32]> = Zeroizing::new(expand(&pseudorandom, &[&SUITE.to_be_bytes(), b"DERIVEKEY"]));
        let sealing = UnboundKey::new(&AES_256_GCM, sealing.as_slice()).expect("AES-256 takes any 32 bytes");
        Self { sealing: LessSafeKey::new(sealing), commitment: expand(&pseudorandom, &[b"COMMITKEY"]) }
    }

    pub(super) fn commitment(&self) -> &[u8; COMMITMENT_LENGTH] {
        &self.commitment
    }

    /// In constant time, so that nobody can feel their way to a commitment.
    pub(super) fn verify_commitment(&self, found: &[u8; COMMITMENT_LENGTH]) -> Result<(), EnvelopeFault> {
        verify_slices_are_equal(&self.commitment, found).map_err(|_| EnvelopeFault::CommitmentDiffers)
    }

    pub(super) fn header_tag(&self, header: &[u8]) -> Result<[u8; TAG_LENGTH], EnvelopeFault> {
        self.seal(HEADER_NONCE, header, &[], &mut [])
    }

    pub(super) fn verify_header(&self, header: &[u8], tag: &[u8]) -> Result<(), EnvelopeFault> {
        let opened = self.open(HEADER_NONCE, header, &[], tag, &mut []);
        opened.ok_or(EnvelopeFault::HeaderTag)
    }

    /// Seals `plaintext` into `ciphertext`, which has the same length. No nonce may come twice.
    pub(super) fn seal(
        &self,
        nonce: [u8; NONCE_LENGTH],
        authenticated: &[u8],
        plaintext: &[u8],
        ciphertext: &mut [u8],
    ) -> Result<[u8; TAG_LENGTH], EnvelopeFault> {
        let mut tag = [0; TAG_LENGTH];
        let nonce = Nonce::assume_unique_for_key(nonce);
        let sealed = self.sealing.seal_out_of_place_scatter(
            nonce,
            Aad::from(authenticated),
            plaintext,
            ciphertext,
            &[],
            &mut tag,
        );
        sealed.map_err(|cause| EnvelopeFault::Seal { what: "ciphertext", cause })?;
        Ok(tag)
    }

    /// Opens `ciphertext` into `plaintext`, which has the same length and is worth nothing when this fails.
    pub(super) fn open(
        &self,
        nonce: [u8; NONCE_LENGTH],
        authenticated: &[u8],
        ciphertext: &[u8],
        tag: &[u8],
        plaintext: &mut [u8],
    ) -> Option<()> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.sealing.open_separate_gather(nonce, Aad::from(authenticated), ciphertext, tag, plaintext).ok()
    }
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn expand<const N: usize>(pseudorandom: &Prk, info: &[&[u8]]) -> [u8; N] {
    let mut key = [0; N];
    let expanded = pseudorandom.expand(info, Length(N)).and_then(|material| material.fill(&mut key));
    expanded.expect("HKDF-SHA-512 gives up to 16,320 bytes (RFC 5869 section 2.3)");
    key
}

const HEADER_NONCE: [u8; NONCE_LENGTH] = [0; NONCE_LENGTH];
