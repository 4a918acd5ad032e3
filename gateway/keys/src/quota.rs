//! What a key may use in a day, as it is written, and the days that are counted by: those of UTC.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use crate::as_text::as_text;

/// A day has so many seconds; UTC as Unix counts it has no others.
const A_DAY: u64 = 24 * 3600;

/// Processor time, such as `1h` or `90s`, and more than none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CpuTime(Duration);

/// A day of UTC, by its number since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(u64);

impl CpuTime {
    /// How long it is.
    #[must_use]
    pub fn duration(self) -> Duration {
        self.0
    }
}

impl fmt::Display for CpuTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without blanks, as it is typed.
        f.write_str(&humantime::format_duration(self.0).to_string().replace(' ', ""))
    }
}

impl FromStr for CpuTime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match humantime::parse_duration(text) {
            Ok(Duration::ZERO) => Err("expected more than no time".to_owned()),
            Ok(time) => Ok(Self(time)),
            Err(error) => {
                Err(format!("{text:?} is no time: {error}: expected a number and a unit, such as 90s, 30min or 1h"))
            }
        }
    }
}

impl Day {
    /// The day of a moment.
    #[must_use]
    pub fn of(time: SystemTime) -> Self {
        Self(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs() / A_DAY)
    }

    /// When it is over.
    #[must_use]
    pub fn end(self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.0.saturating_add(1).saturating_mul(A_DAY))
    }

    fn begin(self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.0 * A_DAY)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let second = humantime::format_rfc3339_seconds(self.begin()).to_string();
        f.write_str(second.split('T').next().unwrap_or_default())
    }
}

impl FromStr for Day {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let begin = humantime::parse_rfc3339(&format!("{text}T00:00:00Z"));
        begin.map(Self::of).map_err(|_| format!("{text:?} is no day: expected one such as 2030-01-31"))
    }
}

as_text!(CpuTime, Day);

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{CpuTime, Day};

    #[test]
    fn times_are_written_with_their_units() {
        for text in ["1h", "90s", "30min", "1day", "1500ms"] {
            let time: CpuTime = text.parse().expect(text);
            assert_eq!(time.to_string().parse(), Ok(time), "{text}");
        }
        for wrong in ["", "0s", "10", "-1h", "fast"] {
            wrong.parse::<CpuTime>().expect_err(wrong);
        }
    }

    #[test]
    fn a_day_ends_at_midnight_of_utc() {
        let at = |seconds| Day::of(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(1_796_083_199).to_string(), "2026-11-30");
        assert_eq!(at(1_796_083_200).to_string(), "2026-12-01");
        assert_eq!(at(1_796_083_199).end(), SystemTime::UNIX_EPOCH + Duration::from_secs(1_796_083_200));
        assert_eq!("2026-12-01".parse(), Ok(at(1_796_083_200)));
        for wrong in ["", "2026-13-01", "2026-12-01T", "today", "2026-12-01T00:00:00Z"] {
            wrong.parse::<Day>().expect_err(wrong);
        }
    }
}
