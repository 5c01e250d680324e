//! What the headers say of limits. <https://developers.cloudflare.com/changelog/2025-09-03-rate-limiting-improvement>

use claviger_config::{Moment, Span};
use http::HeaderMap;

/// No limit of Cloudflare lasts longer; a header that says so is not believed.
const LONGEST: i64 = 86_400;

/// The limits as one answer told them. What was not told is absent.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Rate {
    /// `Ratelimit`, `r`: calls that are left, of the policy that is closest to its end.
    pub remaining: Option<u64>,
    /// `Ratelimit`, `t`: when that policy begins anew.
    pub resets_at: Option<Moment>,
    /// `Ratelimit-Policy`, `q`: calls in a window, of the first policy.
    pub quota: Option<u64>,
    /// `Ratelimit-Policy`, `w`: the window.
    pub window: Option<Span>,
    /// `Retry-After`.
    pub retry_at: Option<Moment>,
}

impl Rate {
    /// Reads the headers of an answer that came at `now`.
    pub(super) fn read(headers: &HeaderMap, now: Moment) -> Self {
        let tightest =
            items(headers, "ratelimit").min_by_key(|item| (item.number('r'), -item.seconds('t').unwrap_or(0)));
        let policy = items(headers, "ratelimit-policy").next();
        Self {
            remaining: tightest.and_then(|item| item.number('r')),
            resets_at: tightest.and_then(|item| item.seconds('t')).map(|seconds| now + Span::seconds(seconds)),
            quota: policy.and_then(|item| item.number('q')),
            window: policy.and_then(|item| item.seconds('w')).map(Span::seconds),
            retry_at: text(headers, "retry-after").and_then(|value| retry_at(value, now)),
        }
    }

    /// Until when nothing may be sent, when this answer was the last that fitted.
    pub(super) fn closed_until(&self) -> Option<Moment> {
        if self.remaining == Some(0) { self.resets_at } else { None }
    }
}

/// `"default";r=50;t=30`: a name and parameters.
#[derive(Clone, Copy)]
struct Item<'a>(&'a str);

impl Item<'_> {
    fn number(self, key: char) -> Option<u64> {
        self.0.split(';').skip(1).filter_map(|parameter| parameter.split_once('=')).find_map(|(name, value)| {
            name.trim().eq(key.encode_utf8(&mut [0; 4])).then(|| value.trim().parse().ok())?
        })
    }

    fn seconds(self, key: char) -> Option<i64> {
        self.number(key).map(|seconds| i64::try_from(seconds).unwrap_or(LONGEST).min(LONGEST))
    }
}

fn items<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = Item<'a>> {
    text(headers, name).unwrap_or_default().split(',').map(str::trim).filter(|item| item.contains(';')).map(Item)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// Seconds or a date (RFC 9110 section 10.2.3), never in the past.
fn retry_at(value: &str, now: Moment) -> Option<Moment> {
    let told = match value.parse::<u64>() {
        Ok(seconds) => now + Span::seconds(i64::try_from(seconds).unwrap_or(LONGEST)),
        Err(_) => Moment(jiff::fmt::rfc2822::parse(value).ok()?.timestamp().as_millisecond()),
    };
    Some(told.clamp(now + Span::seconds(1), now + Span::seconds(LONGEST)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment(1_795_500_000_000);

    fn read(pairs: &[(&'static str, &str)]) -> Rate {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        Rate::read(&headers, NOW)
    }

    #[test]
    fn the_published_example_is_read() {
        let rate = read(&[("Ratelimit", "\"default\";r=50;t=30"), ("Ratelimit-Policy", "\"burst\";q=100;w=60")]);
        assert_eq!(rate.remaining, Some(50));
        assert_eq!(rate.resets_at, Some(NOW + Span::seconds(30)));
        assert_eq!(rate.quota, Some(100));
        assert_eq!(rate.window, Some(Span::minutes(1)));
        assert_eq!(rate.closed_until(), None);
    }

    #[test]
    fn of_several_policies_the_tightest_counts() {
        let rate = read(&[("ratelimit", "\"default\";r=900;t=300, \"burst\"; t=7 ; r=0")]);
        assert_eq!(rate.remaining, Some(0));
        assert_eq!(rate.closed_until(), Some(NOW + Span::seconds(7)));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_never_absurd() {
        assert_eq!(read(&[("retry-after", "120")]).retry_at, Some(NOW + Span::minutes(2)));
        assert_eq!(read(&[("retry-after", "0")]).retry_at, Some(NOW + Span::seconds(1)));
        assert_eq!(read(&[("retry-after", "99999999999")]).retry_at, Some(NOW + Span::days(1)));
        let date: Moment = "2026-11-24T10:05:00Z".parse().unwrap();
        let now = date - Span::minutes(5);
        let mut headers = HeaderMap::new();
        headers.append("retry-after", "Tue, 24 Nov 2026 10:05:00 GMT".parse().unwrap());
        assert_eq!(Rate::read(&headers, now).retry_at, Some(date));
    }

    #[test]
    fn headers_that_nobody_understands_say_nothing() {
        let rate = read(&[("ratelimit", "plenty"), ("ratelimit-policy", ";;=;q=-1"), ("retry-after", "soon")]);
        assert_eq!(rate, Rate::default());
    }
}
