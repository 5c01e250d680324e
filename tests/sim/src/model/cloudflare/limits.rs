//! The request limit of a token, and the issuance limit.

use serde::{Deserialize, Serialize};

use super::error::{CloudflareError, throttled};
use super::{Cloudflare, Outcome};
use crate::model::bucket::Bucket;

/// Requests of one token.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Window {
    /// When the window began.
    pub began: i64,
    /// Requests since then.
    pub count: u32,
    /// Everything is blocked until then.
    pub blocked_until: i64,
    issuance: Bucket,
    no_issuance_until: i64,
}

impl Cloudflare {
    /// Counts a request. Too many in one window block all requests of the token for as long as a window lasts.
    ///
    /// # Errors
    /// 429 with the time to wait.
    pub fn count_request(&mut self, now: i64, token: &str) -> Outcome<()> {
        let Some((most, length)) = self.steering.requests else { return Ok(()) };
        let window = self.windows.entry(token.to_owned()).or_default();
        if window.blocked_until > now {
            return Err(throttled(window.blocked_until - now));
        }
        if window.began + length <= now {
            (window.began, window.count) = (now, 0);
        }
        window.count += 1;
        if window.count <= most {
            return Ok(());
        }
        window.blocked_until = now + length;
        Err(throttled(length))
    }

    /// `Ratelimit` and `Ratelimit-Policy`, which every answer carries.
    pub fn rate_headers(&self, now: i64, token: &str) -> Option<(String, String)> {
        let (most, length) = self.steering.requests?;
        let window = self.windows.get(token).copied().unwrap_or_default();
        let blocked = window.blocked_until > now;
        let left = if blocked { 0 } else { most.saturating_sub(window.count) };
        let ends = if blocked { window.blocked_until } else { window.began + length };
        let seconds = (ends - now).max(0) / 1000;
        Some((format!("\"default\";r={left};t={seconds}"), format!("\"default\";q={most};w={}", length / 1000)))
    }

    /// One bucket for the account, whoever asks.
    pub(super) fn take_issuance(&mut self, now: i64) -> Outcome<()> {
        let Some(rate) = self.steering.issuance else { return Ok(()) };
        let window = self.windows.entry(ACCOUNT.into()).or_default();
        if window.no_issuance_until > now {
            return Err(too_many(window.no_issuance_until - now));
        }
        window.issuance.take(now, rate).map_err(|_| {
            window.no_issuance_until = now + PAUSE;
            too_many(PAUSE)
        })
    }
}

fn too_many(wait: i64) -> CloudflareError {
    let text = "The limit of certificate issuances per minute is exceeded. Please wait 30 seconds.";
    CloudflareError { message: text.into(), ..throttled(wait) }
}

const ACCOUNT: &str = "account";
const PAUSE: i64 = 30_000;
