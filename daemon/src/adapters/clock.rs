//! The only place that knows the time and draws lots.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use claviger_config::Moment;
use claviger_core::ports::Clock;

/// A clock that also knows how its time relates to the machine's, for those who must sleep.
pub trait Pace: Clock {
    /// How long to sleep, at most `cap`, until that instant.
    fn real_wait(&self, until: Moment, cap: Duration) -> Duration;
    /// How much of the machine's time has passed since that instant.
    fn real_since(&self, then: Moment) -> Duration;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl SystemClock {
    /// The machine's clock.
    pub const fn new() -> Self {
        Self
    }
}

/// Milliseconds since 1970 by the machine's clock.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
fn machine_time() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[expect(clippy::disallowed_methods, reason = "this draws the lots")]
fn draw() -> u64 {
    let mut bytes = [0; 8];
    // aws-lc's generator fails only when the system gives it no entropy at start; a lot from the time is still a lot.
    match aws_lc_rs::rand::fill(&mut bytes) {
        Ok(()) => u64::from_ne_bytes(bytes),
        Err(_) => machine_time().cast_unsigned().wrapping_mul(0x9E37_79B9_7F4A_7C15),
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        Moment(machine_time())
    }

    fn draw(&self) -> u64 {
        draw()
    }
}

impl Pace for SystemClock {
    fn real_wait(&self, until: Moment, cap: Duration) -> Duration {
        wait(until.since(self.now()).0 as f64, cap)
    }

    fn real_since(&self, then: Moment) -> Duration {
        wait(self.now().since(then).0 as f64, Duration::MAX)
    }
}

/// Time that runs faster than the machine's, from a given instant on: `clavigerd dev --speed 1d/s`.
#[derive(Clone, Copy, Debug)]
pub struct FastClock {
    began: i64,
    from: i64,
    speed: f64,
}

impl FastClock {
    /// Now it is `from`, and from now on time runs `speed` times as fast.
    pub fn new(from: Moment, speed: f64) -> Self {
        Self { began: machine_time(), from: from.0, speed: speed.max(0.001) }
    }

    /// How many seconds pass in one.
    pub const fn speed(&self) -> f64 {
        self.speed
    }
}

impl Clock for FastClock {
    fn now(&self) -> Moment {
        let passed = (machine_time() - self.began) as f64 * self.speed;
        Moment(self.from.saturating_add(passed as i64))
    }

    fn draw(&self) -> u64 {
        draw()
    }
}

impl Pace for FastClock {
    fn real_wait(&self, until: Moment, cap: Duration) -> Duration {
        // Where a day is a second, whatever is due within half an hour may as well be done together.
        wait(until.since(self.now()).0 as f64 / self.speed, cap).max(Duration::from_millis(20))
    }

    fn real_since(&self, then: Moment) -> Duration {
        wait(self.now().since(then).0 as f64 / self.speed, Duration::MAX)
    }
}

/// The machine's time and as many milliseconds more as a file says: whoever tests the daemon lets hours pass by writing a number.
#[cfg(feature = "dev")]
#[derive(Debug)]
pub struct SteeredClock {
    file: std::path::PathBuf,
    nap: Duration,
    ahead: std::sync::atomic::AtomicI64,
}

#[cfg(feature = "dev")]
impl SteeredClock {
    /// A clock that is ahead by what that file says; not at all while it says nothing.
    pub const fn new(file: std::path::PathBuf) -> Self {
        Self { file, nap: Duration::from_millis(20), ahead: std::sync::atomic::AtomicI64::new(0) }
    }

    /// The same, which lets others sleep for so long although time may leap meanwhile, as on a machine that was suspended.
    #[must_use]
    pub fn napping(self, nap: Duration) -> Self {
        Self { nap, ..self }
    }

    fn ahead(&self) -> i64 {
        use std::sync::atomic::Ordering;
        let said = std::fs::read_to_string(&self.file).ok().and_then(|text| text.trim().parse().ok());
        // Never back, whatever is written.
        said.map_or_else(
            || self.ahead.load(Ordering::Relaxed),
            |said: i64| self.ahead.fetch_max(said, Ordering::Relaxed).max(said),
        )
    }
}

#[cfg(feature = "dev")]
impl Clock for SteeredClock {
    fn now(&self) -> Moment {
        Moment(machine_time().saturating_add(self.ahead()))
    }

    fn draw(&self) -> u64 {
        draw()
    }
}

#[cfg(feature = "dev")]
impl Pace for SteeredClock {
    /// Short, because time may leap at any moment.
    fn real_wait(&self, until: Moment, cap: Duration) -> Duration {
        wait(until.since(self.now()).0 as f64, cap).min(self.nap)
    }

    fn real_since(&self, then: Moment) -> Duration {
        wait(self.now().since(then).0 as f64, Duration::MAX)
    }
}

/// At least a millisecond, so that a clock that stands still for a moment makes nobody spin.
fn wait(milliseconds: f64, cap: Duration) -> Duration {
    Duration::try_from_secs_f64(milliseconds.max(1.0) / 1_000.0).unwrap_or(cap).min(cap)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_a_second_shortens_every_wait() {
        let clock = FastClock::new(Moment(0), 86_400.0);
        let wait = clock.real_wait(Moment(86_400_000), Duration::from_secs(60));
        assert!(wait <= Duration::from_secs(1), "{wait:?}");
        assert!(clock.now() >= Moment(0));
    }

    #[test]
    fn nobody_waits_longer_than_the_cap_or_spins() {
        let clock = SystemClock::new();
        assert_eq!(clock.real_wait(Moment::MAX, Duration::from_secs(60)), Duration::from_secs(60));
        assert_eq!(clock.real_wait(Moment::MIN, Duration::from_secs(60)), Duration::from_millis(1));
    }

    #[cfg(feature = "dev")]
    #[test]
    fn a_steered_clock_leaps_when_its_file_says_so_and_never_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ahead");
        let clock = SteeredClock::new(file.clone());
        let before = clock.now();
        std::fs::write(&file, "3600000\n").unwrap();
        assert!(clock.now().since(before) >= claviger_config::Span::hours(1));
        std::fs::write(&file, "0").unwrap();
        assert!(clock.now().since(before) >= claviger_config::Span::hours(1));
        assert!(clock.real_wait(Moment::MAX, Duration::from_secs(60)) < Duration::from_secs(1));
    }

    #[test]
    fn lots_differ() {
        assert_ne!(SystemClock::new().draw(), SystemClock::new().draw());
    }
}
