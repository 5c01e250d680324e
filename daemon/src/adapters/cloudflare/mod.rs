//! Cloudflare SSL for SaaS: custom host names. <https://developers.cloudflare.com/api/resources/custom_hostnames/>
//!
//! The `cloudflare` crate gives the shape of an endpoint (`EndpointSpec`); sending and reading are ours, since its own transport
//! hides headers, drops error codes above 65,535 and takes a successful create for a failure when `messages` holds strings.
//!
//! # Where we read more than the reference says
//!
//! - `messages` may hold strings or objects; error codes below the schema's minimum (971) count.
//! - 200, 201 and 202 are equal; `success: false` is a refusal whatever the status; a bare `{"id": …}` is a result.
//! - Words of `status` and `ssl.status` that are not in the reference are kept.
//! - Dates may lack their offset (UTC then); `ssl` may be null, absent, empty or the text `null`.
//! - `ssl.certificates[]` is not in the reference, and is the only place that tells when a managed certificate expires.
//! - "Not there" is an empty list asked for by exact name, never a bare 404.

mod complaint;
mod edge;
mod envelope;
mod fault;
mod meaning;
mod rate;
mod seen;
mod sender;
mod standing;
mod token;
mod wire;

#[cfg(test)]
mod tests;

pub use edge::{CloudflareEdge, Observed, Observer};
pub use rate::Rate;
pub use seen::{FallbackOrigin, Quota};
pub use sender::BadSender;
