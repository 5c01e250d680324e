//! A token bucket in one number, as the services that we play count their callers.

use serde::{Deserialize, Serialize};

/// How many calls may come at once and how long one of them takes to grow again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// Calls that may come at once.
    pub burst: u32,
    /// Microseconds until one more may come.
    pub refill_micros: i64,
}

impl Rate {
    /// `count` in every `millis`, all of which may come at once.
    pub const fn per(count: u32, millis: i64) -> Self {
        Self { burst: count, refill_micros: millis * 1000 / count as i64 }
    }
}

/// The state of one bucket (GCRA: the moment at which it will be full again).
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Bucket {
    full_at_micros: i64,
}

impl Bucket {
    /// How long a caller must wait before the bucket would give something; 0 when it would give now.
    pub fn wait_millis(&self, now: i64, rate: Rate) -> i64 {
        let depth = rate.refill_micros * i64::from(rate.burst);
        let level = self.full_at_micros.max(now * 1000) + rate.refill_micros - now * 1000;
        (level - depth + 999).div_euclid(1000).max(0)
    }

    /// Takes one token, or says how many milliseconds to wait.
    ///
    /// # Errors
    /// The milliseconds until a token will be there.
    pub fn take(&mut self, now: i64, rate: Rate) -> Result<(), i64> {
        match self.wait_millis(now, rate) {
            0 => {
                self.full_at_micros = self.full_at_micros.max(now * 1000) + rate.refill_micros;
                Ok(())
            }
            wait => Err(wait),
        }
    }

    /// Nothing was taken lately: it may be forgotten.
    pub fn is_full(&self, now: i64) -> bool {
        self.full_at_micros <= now * 1000
    }

    /// How many tokens are left.
    pub fn left(&self, now: i64, rate: Rate) -> i64 {
        let missing = (self.full_at_micros - now * 1000).max(0);
        i64::from(rate.burst) - (missing + rate.refill_micros - 1).div_euclid(rate.refill_micros.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_grows_evenly() {
        let (rate, mut bucket) = (Rate::per(3, 3_000), Bucket::default());
        for _ in 0..3 {
            assert_eq!(bucket.take(50_000, rate), Ok(()));
        }
        assert_eq!((bucket.take(50_000, rate), bucket.left(50_000, rate)), (Err(1_000), 0));
        assert_eq!(bucket.take(51_000, rate), Ok(()));
        assert_eq!(bucket.take(51_500, rate), Err(500));
        assert_eq!(bucket.left(60_000, rate), 3);
    }
}
