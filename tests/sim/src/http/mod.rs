//! The models behind real sockets on the loopback interface, in plain HTTP.

mod acme;
#[cfg(test)]
mod amazon;
mod cloudflare;
mod dns;
mod kms;
mod server;
mod sts;
#[cfg(test)]
mod trial;
mod world;

pub use self::world::{Addresses, Calls, Options, Ports, Running, World};

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method};

use crate::answer::Answer;
use crate::fault::Service;
use crate::http::world::Shared;

/// A request, read to its end.
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Where the server listens, as the caller sees it.
    pub(crate) here: SocketAddr,
}

impl Ask {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// How one service looks over HTTP.
#[derive(Clone, Copy)]
pub(crate) struct Front {
    pub(crate) service: Service,
    /// The operation's name, for counts, faults and hooks.
    pub(crate) operation: fn(&Ask) -> String,
    pub(crate) answer: fn(&Arc<Shared>, &Ask) -> Answer,
    /// The service's way to say "slower".
    pub(crate) throttled: fn() -> Answer,
}
