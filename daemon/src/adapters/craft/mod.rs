//! Everything that is made and read of keys and certificates, as pure functions: no network, no waiting, no clock.
//!
//! A certificate's way through this folder: [`keys`] makes the private key, [`envelope`] seals it so that it may be
//! stored, [`csr`] asks for the certificate, [`chain`] judges what the certificate authority sent before anything is
//! delivered.
//!
//! What a hostile or broken far side may send (PEM, DER, envelopes) is capped in length before it is read and never
//! panics.

pub mod chain;
pub mod csr;
pub mod envelope;

pub mod keys;
pub(crate) mod keystore;
pub(crate) mod pair;
pub mod pem;
mod port;

pub use port::{AwsLc, Roots};
