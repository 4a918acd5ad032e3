//! What a key may still send: a token bucket, and what a client is told of it.
//!
//! The arithmetic (GCRA, which is a token bucket without a thread that fills it) is the governor
//! crate's; one check is one atomic exchange.

use std::num::NonZeroU32;
use std::time::Duration;

use cloister_keys::Rate;
use governor::clock::{Clock, MonotonicClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

/// A key's bucket. It starts full.
#[derive(Debug)]
pub struct Bucket {
    limiter: RateLimiter<NotKeyed, InMemoryState, MonotonicClock, StateInformationMiddleware>,
    clock: MonotonicClock,
    period: Duration,
    burst: NonZeroU32,
}

/// Where a key stands after a request, as the RateLimit header fields tell it
/// (draft-ietf-httpapi-ratelimit-headers).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Requests that may be sent at once when nothing was sent for a while.
    pub burst: u32,
    /// The seconds in which an empty bucket fills.
    pub window: u64,
    /// Requests that may be sent now.
    pub remaining: u32,
    /// Seconds until all of the burst may be sent; for one who may send nothing: until one may.
    pub reset: u64,
}

impl Bucket {
    /// A full bucket of `burst` requests that fills at `rate`.
    ///
    /// # Panics
    /// When it takes longer than [`Rate::fills`] allows, which no key file gets past.
    pub fn new(rate: Rate, burst: NonZeroU32) -> Self {
        let (period, clock) = (rate.period(), MonotonicClock);
        let quota = Quota::with_period(period).expect("a period is more than nothing").allow_burst(burst);
        let limiter = RateLimiter::direct_with_clock(quota, clock.clone()).with_middleware();
        Self { limiter, clock, period, burst }
    }

    /// Takes one request out.
    ///
    /// # Errors
    /// It is empty; `reset` says for how long.
    pub fn take(&self) -> Result<Standing, Standing> {
        let burst = self.burst.get();
        let window = seconds(self.period.saturating_mul(burst));
        match self.limiter.check() {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                let reset = seconds(self.period.saturating_mul(burst.saturating_sub(remaining)));
                Ok(Standing { burst, window, remaining, reset })
            }
            Err(until) => {
                let reset = seconds(until.wait_time_from(self.clock.now()));
                Err(Standing { burst, window, remaining: 0, reset })
            }
        }
    }
}

/// Whole seconds, never too few: who waits them out is not refused.
fn seconds(time: Duration) -> u64 {
    (time.as_secs() + u64::from(time.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::{Bucket, Rate};

    fn rate(text: &str) -> Rate {
        text.parse().expect("a rate")
    }

    #[test]
    fn every_bucket_that_fills_can_be_used() {
        for text in ["1/h", "7/min", "4294967295/s"] {
            let (mut fits, mut too_many) = (1, u32::MAX);
            let fills = |burst| rate(text).fills(NonZeroU32::new(burst).expect("not zero"));
            while too_many - fits > 1 {
                let middle = fits + (too_many - fits) / 2;
                *if fills(middle) { &mut fits } else { &mut too_many } = middle;
            }
            let bucket = Bucket::new(rate(text), NonZeroU32::new(fits).expect("not zero"));
            assert_eq!(bucket.take().expect("full").burst, fits, "{text}");
            assert!(bucket.take().is_ok(), "{text}");
        }
        assert!(!rate("1/h").fills(NonZeroU32::new(6_000_000).expect("not zero")));
    }

    #[test]
    fn a_bucket_tells_what_is_left_and_when_there_is_more() {
        let bucket = Bucket::new(rate("6/h"), NonZeroU32::new(3).expect("not zero"));
        let left = [0; 3].map(|_| bucket.take().expect("not empty"));
        assert_eq!(left.map(|standing| standing.remaining), [2, 1, 0]);
        assert_eq!(left.map(|standing| standing.reset), [600, 1200, 1800]);
        assert!(left.iter().all(|standing| standing.burst == 3 && standing.window == 1800));
        let refused = bucket.take().expect_err("empty");
        assert_eq!((refused.remaining, refused.reset), (0, 600));
    }
}
