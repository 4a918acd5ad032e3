//! Quantities with their units: sizes such as `64MiB`, times such as `10s`.

use std::time::Duration;

use crate::model::Bytes;

/// The units of a size: binary ones by their names in ISO 80000-13, decimal ones by SI.
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

/// The word for no limit.
pub(crate) const UNLIMITED: &str = "unlimited";

/// A size in the largest binary unit that it is a whole number of.
pub(crate) fn show_size(size: Bytes) -> String {
    if size.0 == u64::MAX {
        return UNLIMITED.to_owned();
    }
    let whole = |factor: u64| size.0 != 0 && size.0.is_multiple_of(factor);
    let unit = SIZES[..5].iter().rev().find(|(_, factor)| whole(*factor)).unwrap_or(&SIZES[0]);
    format!("{}{}", size.0 / unit.1, unit.0)
}

/// A time as a person would write it.
pub(crate) fn show_time(time: Duration) -> String {
    humantime::format_duration(time).to_string()
}

/// Reads a size.
///
/// # Errors
/// What is wrong with it, for a person.
pub(crate) fn size(text: &str) -> Result<Bytes, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = (&text[..digits], text[digits..].trim());
    let number: u64 =
        number.parse().map_err(|_| "a size is a whole number and a unit, such as \"64MiB\"".to_owned())?;
    if unit.is_empty() {
        return Err(format!("a size needs a unit: \"{number}MiB\" or \"{number}B\"?"));
    }
    let Some((_, factor)) = SIZES.iter().find(|(name, _)| *name == unit) else {
        let known = SIZES.map(|(name, _)| name).join(", ");
        let close = SIZES.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit) || name.starts_with(unit));
        return Err(match close {
            Some((name, _)) => format!("unknown unit {unit:?}: did you mean {name}?"),
            None => format!("unknown unit {unit:?}: expected one of {known}"),
        });
    };
    number.checked_mul(*factor).map(Bytes).ok_or_else(|| "the size is too large to count".to_owned())
}

/// Reads a time span, such as `10s`, `250ms` or `1h 30m`.
///
/// # Errors
/// What is wrong with it, for a person.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    if text.trim().chars().all(|c| c.is_ascii_digit()) {
        return Err(format!("a time needs a unit: \"{}s\" or \"{}ms\"?", text.trim(), text.trim()));
    }
    humantime::parse_duration(text).map_err(|error| format!("{error}; expected a time such as \"10s\" or \"250ms\""))
}

#[cfg(test)]
mod tests {
    use super::{duration, show_size, size};
    use crate::model::Bytes;

    #[test]
    fn sizes_are_shown_so_that_they_can_be_read() {
        for (bytes, shown) in
            [(0, "0B"), (1000, "1000B"), (1 << 20, "1MiB"), (3 << 29, "1536MiB"), (u64::MAX, "unlimited")]
        {
            assert_eq!(show_size(Bytes(bytes)), shown);
        }
    }

    #[test]
    fn sizes_carry_their_units() {
        for (text, bytes) in [("1B", 1), ("64MiB", 64 << 20), ("2 GiB", 2 << 30), ("1kB", 1000), ("0B", 0)] {
            assert_eq!(size(text).map(|size| size.0), Ok(bytes), "{text}");
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
            assert!(size(text).is_err_and(|message| message.contains(said)), "{text}: {:?}", size(text));
        }
    }

    #[test]
    fn times_carry_their_units() {
        assert_eq!(duration("250ms").map(|time| time.as_millis()), Ok(250));
        assert_eq!(duration("1h 30m").map(|time| time.as_secs()), Ok(5400));
        for text in ["10", "", "ten seconds", "10 sec onds"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
