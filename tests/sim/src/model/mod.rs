//! The services as state machines: no sockets, no clock, no dice but their own. Every call takes `now` in milliseconds
//! since 1970, and a whole model can be written down and read again.

pub mod acme;
pub mod bucket;
mod bytes;
pub mod cloudflare;
pub mod dns;
mod elliptic;
pub mod kms;
