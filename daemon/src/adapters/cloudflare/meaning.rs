//! The one table that says what Cloudflare's codes and statuses mean.
//! <https://developers.cloudflare.com/cloudflare-for-platforms/cloudflare-for-saas/reference/status-codes/custom-hostnames/>

use std::ops::RangeInclusive;

use claviger_config::Reason::{
    self, AnswerNotUnderstood, BudgetSpent, EdgeDenied, EdgeQuotaExceeded, EdgeRefused, EdgeUnreachable,
    HostnameClaimed, Missing,
};

use Then::{Denied, Later, Long, Never, Throttled};

/// What a code or status means.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meaning {
    /// Why.
    pub(super) reason: Reason,
    /// When it may be tried again.
    pub(super) then: Then,
    /// In our words.
    pub(super) words: &'static str,
    /// The one next step.
    pub(super) fix: &'static str,
}

/// When it may be tried again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Then {
    /// After a pause, and others stop too: it is about the token.
    Denied,
    /// By the back-off, or when Cloudflare says.
    Later,
    /// After a pause: a person must act outside, and nobody will tell us.
    Long,
    /// Not before the document changes.
    Never,
    /// When the limit allows.
    Throttled,
}

/// The first code that the table knows decides, else the status.
pub(super) fn meaning(status: u16, mut codes: impl Iterator<Item = u64>) -> Meaning {
    let known = codes.find_map(|code| find(CODES, code));
    known.or_else(|| find(STATUSES, u64::from(status))).unwrap_or(UNKNOWN)
}

pub(super) const ADDRESS: &str =
    "check that `endpoints.cloudflare` leads to Cloudflare's API, and report it if it does";
pub(super) const BUG: &str = "report it: claviger should not have sent this";
pub(super) const REACH: &str = "check the way to Cloudflare's API and https://www.cloudflarestatus.com";
pub(super) const SLOWER: &str = "nothing: it goes on by itself; ask Cloudflare for a higher limit if it happens often";

const CERTIFICATE: &str = "replace the uploaded certificate in Cloudflare's dashboard";
const DEFAULTS: &str = "change `edge.cloudflare.defaults`";
const NAME: &str = "give a host name that a public CA would sign, in punycode";
const PERMISSION: &str = "give the token \"SSL and Certificates Write\" for the zone in `edge.cloudflare.zoneId`";
const READ: &str = "read Cloudflare's words";
const SWITCH_ON: &str = "switch on Cloudflare for SaaS in this zone";

const fn means(reason: Reason, then: Then, words: &'static str, fix: &'static str) -> Meaning {
    Meaning { reason, then, words, fix }
}

const UNKNOWN: Meaning = means(AnswerNotUnderstood, Later, "Cloudflare's answer is not understood", ADDRESS);
const SLOW_DOWN: Meaning = means(BudgetSpent, Throttled, "Cloudflare limits the rate", SLOWER);
const BAD_TOKEN: Meaning = means(EdgeDenied, Denied, "Cloudflare does not accept the token", PERMISSION);
const TLS_SETTING: Meaning = means(EdgeRefused, Never, "Cloudflare does not accept a TLS setting", DEFAULTS);
const UPLOADED: Meaning = means(EdgeRefused, Never, "Cloudflare does not accept the uploaded certificate", CERTIFICATE);
const REFUSED: Meaning = means(EdgeRefused, Later, "Cloudflare refuses", READ);
const BROKEN: Meaning = means(EdgeUnreachable, Later, "Cloudflare has an error of its own", REACH);

type Row = (RangeInclusive<u64>, Meaning);

#[rustfmt::skip]
const CODES: &[Row] = &[
    (971..=971, SLOW_DOWN),
    (1000..=1005, BAD_TOKEN),
    (1400..=1400, means(EdgeRefused, Never, "Cloudflare cannot read the request", BUG)),
    (1404..=1404, means(EdgeQuotaExceeded, Long, "custom host names are not switched on", SWITCH_ON)),
    (1405..=1405, means(EdgeQuotaExceeded, Later, "the quota of custom host names is used up",
        "raise the quota, or delete host names that nobody needs: pending ones count too")),
    (1406..=1406, means(HostnameClaimed, Later, "another zone at Cloudflare holds the host name, or ours does not list it yet",
        "have it removed from the other zone, then ask again")),
    (1407..=1411, means(EdgeRefused, Never, "Cloudflare does not take a host name of this form", NAME)),
    (1413..=1414, means(EdgeRefused, Never, "the zone's plan does not include this",
        "remove metadata and origin from the host name, or buy the entitlement")),
    (1415..=1421, means(EdgeRefused, Later, "Cloudflare does not accept the origin of the host name",
        "make the origin a proxied DNS record of the account")),
    (1422..=1425, TLS_SETTING),
    (1426..=1429, UPLOADED),
    (1431..=1434, means(EdgeRefused, Never, "Cloudflare does not accept how control shall be proven",
        "choose another `validation`")),
    (1436..=1436, means(Missing, Later, "Cloudflare does not know the host name", "nothing: it is looked up again by name")),
    (1437..=1438, means(EdgeRefused, Never, "Cloudflare does not accept how the list is asked for", BUG)),
    (1439..=1439, means(EdgeRefused, Later, "Cloudflare does not let the host name be changed now",
        "look at its state in Cloudflare's dashboard: it may be about to be deleted")),
    (1440..=1440, means(EdgeRefused, Never, "Cloudflare misses method and type together", BUG)),
    (1441..=1441, UPLOADED),
    (1442..=1443, TLS_SETTING),
    (1444..=1447, UPLOADED),
    (1448..=1448, means(EdgeRefused, Never, "Cloudflare does not take a wildcard as a host name", NAME)),
    (1449..=1449, means(EdgeRefused, Never, "Cloudflare does not accept the bundle method", BUG)),
    (1456..=1456, means(EdgeRefused, Long, "custom host names are not switched on", SWITCH_ON)),
    (1459..=1459, means(EdgeRefused, Never, "the zone's plan does not include the choice of a CA", BUG)),
    (1469..=1469, means(EdgeRefused, Never, "the host name is longer than 64 characters", BUG)),
    (1500..=1500, BROKEN),
    (1551..=1551, means(Missing, Later, "the zone has no fallback origin", "set one in Cloudflare's dashboard")),
    (6003..=6003, means(EdgeDenied, Denied, "Cloudflare does not accept the form of the token", PERMISSION)),
    (7000..=7003, means(EdgeRefused, Long, "Cloudflare does not know the zone", "correct `edge.cloudflare.zoneId`")),
    (9103..=9109, means(EdgeDenied, Denied, "Cloudflare does not accept the token for this zone", PERMISSION)),
    (10000..=10001, means(EdgeDenied, Denied, "the token lacks a permission", PERMISSION)),
    (10100..=10100, SLOW_DOWN),
];

#[rustfmt::skip]
const STATUSES: &[Row] = &[
    (200..=299, REFUSED),
    (300..=399, means(AnswerNotUnderstood, Later, "something sends us elsewhere, which is not followed", ADDRESS)),
    (401..=401, BAD_TOKEN),
    (403..=403, means(EdgeDenied, Denied, "Cloudflare, or something before it, forbids the call", PERMISSION)),
    (404..=404, means(EdgeRefused, Later, "there is nothing at this address", ADDRESS)),
    (408..=408, means(EdgeUnreachable, Later, "Cloudflare did not get the request in time", REACH)),
    (429..=429, SLOW_DOWN),
    (400..=499, REFUSED),
    (500..=599, BROKEN),
];

fn find(table: &[Row], number: u64) -> Option<Meaning> {
    table.iter().find(|(numbers, _)| numbers.contains(&number)).map(|(_, meaning)| *meaning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_in_order_so_that_none_hides_another() {
        let mut before = 0;
        for (codes, meaning) in CODES {
            assert!(*codes.start() > before, "{codes:?}");
            before = *codes.end();
            assert!(!meaning.words.ends_with('.') && !meaning.fix.is_empty(), "{codes:?}");
        }
    }

    #[test]
    fn codes_outrank_the_status_and_unknown_codes_fall_back_to_it() {
        let reason = |status, codes: &[u64]| meaning(status, codes.iter().copied()).reason;
        assert_eq!(reason(403, &[1405]), EdgeQuotaExceeded);
        assert_eq!(reason(403, &[4_711, 1405]), EdgeQuotaExceeded);
        assert_eq!(reason(403, &[4_711]), EdgeDenied);
        assert_eq!(reason(400, &[4_711]), EdgeRefused);
        assert_eq!(reason(302, &[]), AnswerNotUnderstood);
        assert_eq!(reason(101, &[]), AnswerNotUnderstood);
    }

    #[test]
    fn a_form_that_is_refused_waits_for_another_document() {
        for code in [1407, 1411, 1413, 1414, 1422, 1426, 1431, 1440, 1448, 1459, 1469] {
            assert_eq!(meaning(400, [code].into_iter()).then, Never, "{code}");
        }
    }
}
