//! A custom hostname and the machine of its ownership.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::certificate::Ssl;

/// A hostname. Both machines' states are Cloudflare's words, so that a test may set any of them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hostname {
    /// A UUID.
    pub id: String,
    /// The id of its zone.
    pub zone: String,
    /// Lower case.
    pub hostname: String,
    /// When it was made.
    pub created: i64,
    /// The state of ownership, for example `pending`.
    pub status: String,
    /// Why it is not proven yet.
    pub verification_errors: Vec<String>,
    /// The TXT value that proves ownership; it stays the same until the hostname is deleted.
    pub ownership: String,
    /// Values of the customer.
    pub custom_metadata: Option<Value>,
    /// Another origin.
    pub custom_origin_server: Option<String>,
    /// Its SNI.
    pub custom_origin_sni: Option<String>,
    /// The certificate's side; absent when none was asked for.
    pub ssl: Option<Ssl>,
    /// Did it ever point at the zone?
    pub pointed: bool,
    /// Back-off of the ownership checks.
    pub(super) checks: Backoff,
    /// When the state began; matters for `moved` and `active_redeploying`.
    pub(super) since: i64,
    pub(super) listed_at: i64,
    pub(super) wake: i64,
}

impl Hostname {
    /// The earliest moment at which something may happen by itself.
    pub(super) fn next_wake(&self) -> i64 {
        let own = match self.status.as_str() {
            "pending" => self.checks.next,
            "active" => self.checks.next,
            "active_redeploying" => self.since + REDEPLOYING,
            "moved" => self.since + LONGEST_MOVED,
            _ => i64::MAX,
        };
        own.min(self.ssl.as_ref().map_or(i64::MAX, Ssl::next_wake))
    }

    pub(super) fn enter(&mut self, now: i64, status: &str) {
        (self.status, self.since) = (status.to_owned(), now);
    }
}

/// Cloudflare's back-off: a minute that grows by a twentieth for ten tries, then by three twentieths as if it had
/// always done so, up to four hours.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Backoff {
    pub(super) tries: u32,
    pub(super) next: i64,
}

impl Backoff {
    /// The first try is at once.
    pub(super) fn begin(now: i64) -> Self {
        Self { tries: 0, next: now }
    }

    /// Plans the next try after one that failed.
    pub(super) fn failed(&mut self, now: i64) {
        let base: f64 = if self.tries < 10 { 1.05 } else { 1.15 };
        let growth = base.powi(self.tries as i32);
        self.next = now + (60_000.0 * growth).min(14_400_000.0) as i64;
        self.tries += 1;
    }
}

/// The tries within seven days.
pub(super) const HOSTNAME_TRIES: u32 = 75;
/// How often an active hostname is looked at.
pub(super) const RECHECK: i64 = 3_600_000;
pub(super) const REDEPLOYING: i64 = 10_000;
pub(super) const LONGEST_MOVED: i64 = 7 * 86_400_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_tries_fall_into_twenty_minutes_and_the_last_gap_is_four_hours() {
        let mut backoff = Backoff::begin(0);
        while backoff.tries < 10 {
            backoff.failed(backoff.next);
        }
        assert!(backoff.next < 20 * 60_000, "{}", backoff.next);
        while backoff.tries < HOSTNAME_TRIES {
            backoff.failed(backoff.next);
        }
        let before = backoff.next;
        backoff.failed(before);
        assert_eq!(backoff.next - before, 4 * 3_600_000);
        let days = before as f64 / 86_400_000.0;
        assert!((6.8..7.2).contains(&days), "{days}");
    }
}
