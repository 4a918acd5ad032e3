//! How fast a key may send, as it is written.

use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use crate::as_text::as_text;

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
    #[must_use]
    pub fn period(self) -> Duration {
        (self.unit.parts().1 / self.count.get()).max(Duration::from_nanos(1))
    }

    /// As many at once as a second's worth, and one at the least.
    #[must_use]
    pub fn usual_burst(self) -> NonZeroU32 {
        let a_second = self.count.get() / u32::try_from(self.unit.parts().1.as_secs()).unwrap_or(u32::MAX);
        NonZeroU32::new(a_second).unwrap_or(NonZeroU32::MIN)
    }

    /// Whether a bucket of this burst can be reckoned with.
    #[must_use]
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

as_text!(Rate);

#[cfg(test)]
mod tests {
    use super::Rate;

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
}
