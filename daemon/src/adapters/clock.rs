//! The only place that knows the time and draws lots.

use std::{
    str::FromStr,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use claviger_config::{Moment, Span, name::BadName};
use claviger_core::ports::Clock;

/// A clock that can also say how long to wait, in real time.
pub trait Wait: Clock {
    /// How long to wait until `until`, at most `cap`. The cap keeps a leap of the wall clock and a suspended machine from being slept
    /// through: timers stand still while a machine is suspended.
    fn real_wait(&self, until: Moment, cap: Duration) -> Duration;
}

/// The machine's clock and dice.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        #[expect(clippy::disallowed_methods, reason = "the clock")]
        let now = SystemTime::now();
        Moment(match now.duration_since(UNIX_EPOCH) {
            Ok(since) => milliseconds(since),
            Err(before) => -milliseconds(before.duration()),
        })
    }

    fn draw(&self) -> u64 {
        draw()
    }
}

impl Wait for SystemClock {
    fn real_wait(&self, until: Moment, cap: Duration) -> Duration {
        real(until.since(self.now())).min(cap)
    }
}

/// A clock that runs faster, for `clavigerd dev`. It starts at a given instant and does not follow the wall clock.
#[derive(Debug)]
pub struct SpeedClock {
    epoch: Moment,
    begin: Instant,
    speed: Speed,
}

impl SpeedClock {
    /// Starts it at `epoch`: now, or where an earlier run ended.
    pub fn start(epoch: Moment, speed: Speed) -> Self {
        #[expect(clippy::disallowed_methods, reason = "the clock")]
        let begin = Instant::now();
        Self { epoch, begin, speed }
    }
}

impl Clock for SpeedClock {
    fn now(&self) -> Moment {
        let real = i128::from(milliseconds(self.begin.elapsed()));
        let virtual_time = real * i128::from(self.speed.0.get()) / 1_000;
        self.epoch + Span(i64::try_from(virtual_time).unwrap_or(i64::MAX))
    }

    fn draw(&self) -> u64 {
        draw()
    }
}

impl Wait for SpeedClock {
    fn real_wait(&self, until: Moment, cap: Duration) -> Duration {
        let wait = real(until.since(self.now()));
        // Upwards, so that the instant has come when the wait is over.
        let nanoseconds = (wait.as_nanos() * 1_000).div_ceil(u128::from(self.speed.0.get()));
        u64::try_from(nanoseconds).map_or(cap, |nanoseconds| Duration::from_nanos(nanoseconds).min(cap))
    }
}

/// How fast a clock runs: milliseconds in a real second. Written as `1d/s`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Speed(std::num::NonZeroU64);

impl Speed {
    /// What is accepted, as messages say it.
    pub const ACCEPTED: &'static str = "a length of time in each second, for example `1d/s`; `1s/s` is real time";
}

impl FromStr for Speed {
    type Err = BadName;
    fn from_str(found: &str) -> Result<Self, BadName> {
        let span = found.strip_suffix("/s").and_then(|span| span.parse::<Span>().ok());
        let milliseconds = span.and_then(|span| u64::try_from(span.0).ok()).and_then(std::num::NonZeroU64::new);
        milliseconds.map(Self).ok_or_else(|| BadName {
            what: "speed",
            found: found.to_owned(),
            accepted: Self::ACCEPTED,
        })
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn real(span: Span) -> Duration {
    Duration::from_millis(u64::try_from(span.0).unwrap_or(0))
}

/// A random number. Should the system's source fail, which it does not once it has been seeded, a counter steps in: lots serve to
/// spread work, never as secrets.
fn draw() -> u64 {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let mut bytes = [0; 8];
    #[expect(clippy::disallowed_methods, reason = "the dice")]
    let filled = aws_lc_rs::rand::fill(&mut bytes);
    match filled {
        Ok(()) => u64::from_ne_bytes(bytes),
        Err(_) => COUNTER.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_lies_between_this_release_and_the_end_of_rfc_3339() {
        let now = SystemClock.now();
        assert!(now > "2026-11-01T00:00:00Z".parse().unwrap() && now < Moment::MAX);
        assert_ne!(SystemClock.draw(), SystemClock.draw());
    }

    #[test]
    fn waiting_ends_at_the_instant_or_at_the_cap() {
        let cap = Duration::from_secs(60);
        let now = SystemClock.now();
        assert_eq!(SystemClock.real_wait(now - Span::days(1), cap), Duration::ZERO);
        assert_eq!(SystemClock.real_wait(Moment::MAX, cap), cap);
        let soon = SystemClock.real_wait(SystemClock.now() + Span::seconds(10), cap);
        assert!(soon <= Duration::from_secs(10) && soon > Duration::from_secs(5), "{soon:?}");
    }

    #[test]
    fn a_fast_clock_starts_where_it_is_told_and_waits_less() {
        let epoch: Moment = "2027-01-01T00:00:00Z".parse().unwrap();
        let clock = SpeedClock::start(epoch, "1d/s".parse().unwrap());
        let now = clock.now();
        assert!(now >= epoch && now < epoch + Span::days(30), "{now}");
        let wait = clock.real_wait(clock.now() + Span::days(10), Duration::from_secs(60));
        assert!(wait <= Duration::from_secs(10) && wait > Duration::from_secs(5), "{wait:?}");
        assert_eq!(clock.real_wait(Moment::MAX, Duration::from_secs(1)), Duration::from_secs(1));
    }

    #[test]
    fn when_a_wait_is_over_the_instant_has_come() {
        let clock = SpeedClock::start(Moment(0), "1d/s".parse().unwrap());
        let until = clock.now() + Span::hours(1);
        std::thread::sleep(clock.real_wait(until, Duration::from_secs(1)) + Duration::from_millis(1));
        assert!(clock.now() >= until);
    }

    #[test]
    fn a_speed_is_a_length_of_time_in_each_second() {
        assert_eq!("1d/s".parse::<Speed>().unwrap().0.get(), 86_400_000);
        for odd in ["", "1d", "/s", "0s/s", "-1d/s", "1d/m", "fast"] {
            assert!(odd.parse::<Speed>().is_err(), "{odd}");
        }
    }
}
