//! Instants and lengths of time.

use std::{
    fmt,
    ops::{Add, Sub},
    str::FromStr,
};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name::BadName;

/// An instant: milliseconds since 1970, UTC; written as RFC 3339. Only a clock makes one out of nothing.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("format" = "date-time"))]
pub struct Moment(pub i64);

impl Moment {
    /// Before every other instant that RFC 3339 can write.
    pub const MIN: Self = Self(-62_135_596_800_000);
    /// After every other instant that RFC 3339 can write.
    pub const MAX: Self = Self(253_402_300_799_000);

    /// The length of time since `earlier`; negative when that lies in the future.
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }

    /// The same instant without its fraction of a second, as people read it.
    pub const fn to_second(self) -> Self {
        Self(self.0.div_euclid(1_000).saturating_mul(1_000))
    }
}

impl Add<Span> for Moment {
    type Output = Self;
    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0).clamp(Self::MIN.0, Self::MAX.0))
    }
}

impl Sub<Span> for Moment {
    type Output = Self;
    fn sub(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0).clamp(Self::MIN.0, Self::MAX.0))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clamped = self.0.clamp(Self::MIN.0, Self::MAX.0);
        match Timestamp::from_millisecond(clamped) {
            Ok(timestamp) => write!(f, "{timestamp}"),
            Err(_) => write!(f, "{clamped} ms since 1970"),
        }
    }
}

impl FromStr for Moment {
    type Err = BadName;
    fn from_str(found: &str) -> Result<Self, BadName> {
        found.parse::<Timestamp>().map(|timestamp| Self(timestamp.as_millisecond())).map_err(|_| BadName {
            what: "instant",
            found: found.to_owned(),
            accepted: "RFC 3339, for example `2027-01-08T10:00:00Z`",
        })
    }
}

impl TryFrom<String> for Moment {
    type Error = BadName;
    fn try_from(found: String) -> Result<Self, BadName> {
        found.parse()
    }
}

impl From<Moment> for String {
    fn from(moment: Moment) -> Self {
        moment.to_string()
    }
}

/// A length of time: milliseconds; written as `30d`, `12h`, `90s`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("format" = "duration"))]
pub struct Span(pub i64);

impl Span {
    /// What is accepted, as messages say it.
    pub const ACCEPTED: &'static str =
        "a whole number from 1 with `s`, `m`, `h` or `d` behind it, at most 100 years; for example `30d`";
    const CEILING: i64 = 36_500 * 86_400_000;

    /// `n` seconds.
    pub const fn seconds(n: i64) -> Self {
        Self(n.saturating_mul(1_000))
    }
    /// `n` minutes.
    pub const fn minutes(n: i64) -> Self {
        Self(n.saturating_mul(60_000))
    }
    /// `n` hours.
    pub const fn hours(n: i64) -> Self {
        Self(n.saturating_mul(3_600_000))
    }
    /// `n` days of 24 hours.
    pub const fn days(n: i64) -> Self {
        Self(n.saturating_mul(86_400_000))
    }
    /// `n` times as long.
    pub const fn times(self, n: i64) -> Self {
        Self(self.0.saturating_mul(n))
    }
    /// Whole days in it.
    pub const fn whole_days(self) -> i64 {
        self.0 / 86_400_000
    }
}

impl fmt::Display for Span {
    /// The largest unit that divides it: `90s`, `2h`, `365d`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, letter) in [(86_400_000, 'd'), (3_600_000, 'h'), (60_000, 'm')] {
            if self.0 != 0 && self.0 % unit == 0 {
                return write!(f, "{}{letter}", self.0 / unit);
            }
        }
        write!(f, "{}s", self.0 / 1_000)
    }
}

impl FromStr for Span {
    type Err = BadName;
    fn from_str(found: &str) -> Result<Self, BadName> {
        let bad = || BadName { what: "duration", found: found.to_owned(), accepted: Self::ACCEPTED };
        let unit = match found.as_bytes().last() {
            Some(b's') => 1_000,
            Some(b'm') => 60_000,
            Some(b'h') => 3_600_000,
            Some(b'd') => 86_400_000,
            _ => return Err(bad()),
        };
        let digits = &found[..found.len() - 1];
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(bad());
        }
        let count: i64 = digits.parse().map_err(|_| bad())?;
        let length = count.checked_mul(unit).filter(|length| (1..=Self::CEILING).contains(length)).ok_or_else(bad)?;
        Ok(Self(length))
    }
}

impl TryFrom<String> for Span {
    type Error = BadName;
    fn try_from(found: String) -> Result<Self, BadName> {
        found.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written_with_one_unit() {
        for text in ["30d", "12h", "90s", "1m"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn absurd_durations_are_refused() {
        for text in ["", "0s", "-1d", "1", "d", "1.5h", "1 d", "99999999999999999999d", "36501d", "１d"] {
            assert!(text.parse::<Span>().is_err(), "{text} should be refused");
        }
    }

    #[test]
    fn instants_are_rfc_3339_in_utc() {
        let moment: Moment = "2027-01-08T10:00:00Z".parse().unwrap();
        assert_eq!(moment.to_string(), "2027-01-08T10:00:00Z");
        assert_eq!("2027-01-08T11:00:00+01:00".parse::<Moment>().unwrap(), moment);
    }
}
