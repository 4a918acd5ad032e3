//! How fast a key may send: a token bucket, and what a client is told of it.
//!
//! The arithmetic (GCRA, which is a token bucket without a thread that fills it) is the governor
//! crate's; one check is one atomic exchange.

use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

/// The longest that an empty bucket may take to fill, 100 years. The arithmetic adds such times up in nanoseconds
/// of 64 bits, which are 584 years.
const LONGEST: Duration = Duration::from_secs(100 * 366 * 24 * 3600);

/// A number of requests in a time, written `10/s`, `600/min` or `1000/h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    count: NonZeroU32,
    unit: Unit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Second,
    Minute,
    Hour,
}

impl Unit {
    const ALL: [(Self, &str, Duration); 3] = [
        (Self::Second, "s", Duration::from_secs(1)),
        (Self::Minute, "min", Duration::from_secs(60)),
        (Self::Hour, "h", Duration::from_secs(3600)),
    ];

    fn parts(self) -> (&'static str, Duration) {
        let [second, minute, hour] = Self::ALL.map(|(_, name, time)| (name, time));
        match self {
            Self::Second => second,
            Self::Minute => minute,
            Self::Hour => hour,
        }
    }
}

impl Rate {
    /// The time in which one request more may be sent.
    fn period(self) -> Duration {
        (self.unit.parts().1 / self.count.get()).max(Duration::from_nanos(1))
    }

    /// As many at once as a second's worth, and one at the least.
    pub fn usual_burst(self) -> NonZeroU32 {
        let a_second = self.count.get() / u32::try_from(self.unit.parts().1.as_secs()).unwrap_or(u32::MAX);
        NonZeroU32::new(a_second).unwrap_or(NonZeroU32::MIN)
    }

    /// Whether a bucket of this burst can be reckoned with.
    pub fn fills(self, burst: NonZeroU32) -> bool {
        self.period().saturating_mul(burst.get()) <= LONGEST
    }
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.count, self.unit.parts().0)
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("{text:?} is no rate: expected a number and a unit, such as 10/s, 600/min or 1000/h");
        let (count, unit) = text.split_once('/').ok_or_else(expected)?;
        let count = count.parse().map_err(|_| expected())?;
        let (unit, ..) = Unit::ALL.into_iter().find(|(_, name, _)| *name == unit).ok_or_else(expected)?;
        Ok(Self { count, unit })
    }
}

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
    fn rates_are_written_with_their_unit() {
        for text in ["1/s", "600/min", "1000/h"] {
            assert_eq!(rate(text).to_string(), text);
        }
        for wrong in ["", "10", "0/s", "-1/s", "1.5/s", "10/d", "/s", "10/s/s", " 10/s", "99999999999/s"] {
            assert!(wrong.parse::<Rate>().expect_err(wrong).contains("such as 10/s"), "{wrong}");
        }
    }

    #[test]
    fn the_usual_burst_is_a_seconds_worth() {
        assert_eq!(["10/s", "600/min", "30/min", "1000/h"].map(|text| rate(text).usual_burst().get()), [10, 10, 1, 1]);
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
