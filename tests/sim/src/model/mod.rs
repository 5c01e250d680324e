//! The services as state machines: no sockets, no clock, no dice but their own. Every call takes `now` in milliseconds
//! since 1970, and a whole model can be written down and read again.

pub mod bucket;
mod bytes;
mod elliptic;
pub mod kms;
