//! The algorithm suite and its lengths.

/// The algorithm suite: AES-256-GCM, 12-byte nonces, 16-byte tags, HKDF-SHA-512, key commitment, no signature.
pub(super) const SUITE: u16 = 0x0478;
pub(super) const TAG_LENGTH: usize = 16;
pub(super) const NONCE_LENGTH: usize = 12;
pub(super) const COMMITMENT_LENGTH: usize = 32;
pub(super) const MESSAGE_ID_LENGTH: usize = 32;
