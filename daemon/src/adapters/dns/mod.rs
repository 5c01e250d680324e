//! DNS, read only: what the world sees of a customer's records.
//!
//! "Unknown is not missing": only a server's own word that a name or type does not exist (RFC 2308 sections 2.1 and 2.2) makes
//! an answer empty. Time-outs, SERVFAIL, REFUSED, referrals and answers beyond the caps are answers of nobody.

mod resolver;
mod values;

#[cfg(test)]
mod tests;

pub use resolver::{BadResolvers, Resolver};
