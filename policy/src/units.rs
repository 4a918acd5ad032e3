//! Quantities with their units: sizes such as `64MiB`, times such as `10s`.

use std::time::Duration;

use cloister_terms::Bytes;

use crate::suggest::meant;

/// The units that a size may have: binary ones by their names in ISO 80000-13, decimal ones by SI.
const SIZES: [(&str, u64); 8] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

/// A time as a person would write it.
pub(crate) fn show_time(time: Duration) -> String {
    humantime::format_duration(time).to_string()
}

/// Why a text is no quantity, for a person.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoQuantity {
    #[error("a size is a whole number and a unit, such as \"64MiB\"")]
    NoNumber,
    #[error("a size needs a unit: \"{0}MiB\" or \"{0}B\"?")]
    SizeWithoutUnit(u64),
    #[error("unknown unit {unit:?}: {}", meant(near))]
    OtherUnit { unit: String, near: &'static str },
    #[error("unknown unit {unit:?}: expected one of {}", SIZES.map(|(name, _)| name).join(", "))]
    UnknownUnit { unit: String },
    #[error("the size is too large to count")]
    TooLarge,
    #[error("a time needs a unit: \"{0}s\" or \"{0}ms\"?")]
    TimeWithoutUnit(String),
    #[error("{0}; expected a time such as \"10s\" or \"250ms\"")]
    NoTime(humantime::DurationError),
}

/// Reads a size.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn size(text: &str) -> Result<Bytes, NoQuantity> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = (&text[..digits], text[digits..].trim());
    let number: u64 = number.parse().map_err(|_| NoQuantity::NoNumber)?;
    if unit.is_empty() {
        return Err(NoQuantity::SizeWithoutUnit(number));
    }
    let Some((_, factor)) = SIZES.iter().find(|(name, _)| *name == unit) else {
        let close = SIZES.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit) || name.starts_with(unit));
        return Err(match close {
            Some((name, _)) => NoQuantity::OtherUnit { unit: unit.to_owned(), near: name },
            None => NoQuantity::UnknownUnit { unit: unit.to_owned() },
        });
    };
    number.checked_mul(*factor).map(Bytes).ok_or(NoQuantity::TooLarge)
}

/// Reads a time span, such as `10s`, `250ms` or `1h 30m`.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn duration(text: &str) -> Result<Duration, NoQuantity> {
    if text.trim().chars().all(|c| c.is_ascii_digit()) {
        return Err(NoQuantity::TimeWithoutUnit(text.trim().to_owned()));
    }
    humantime::parse_duration(text).map_err(NoQuantity::NoTime)
}

#[cfg(test)]
mod tests {
    use super::{duration, size};

    #[test]
    fn sizes_carry_their_units() {
        for (text, bytes) in [("1B", 1), ("64MiB", 64 << 20), ("2 GiB", 2 << 30), ("1kB", 1000), ("0B", 0)] {
            assert_eq!(size(text).map(|size| size.0).ok(), Some(bytes), "{text}");
        }
        for (text, said) in [
            ("512", "needs a unit"),
            ("64mib", "did you mean MiB"),
            ("64M", "did you mean MiB"),
            ("", "whole number"),
            ("-1MiB", "whole number"),
            ("1.5GiB", "unknown unit"),
            ("99999999999999TiB", "too large"),
        ] {
            assert!(size(text).is_err_and(|error| error.to_string().contains(said)), "{text}: {:?}", size(text));
        }
    }

    #[test]
    fn times_carry_their_units() {
        assert_eq!(duration("250ms").map(|time| time.as_millis()).ok(), Some(250));
        assert_eq!(duration("1h 30m").map(|time| time.as_secs()).ok(), Some(5400));
        for text in ["10", "", "ten seconds", "10 sec onds"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
