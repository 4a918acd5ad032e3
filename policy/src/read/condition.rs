//! Reads conditions on a system call's arguments: `int1 == 0x5401`, `arg2 & 0x10 == 0`.

use cloister_terms::{Comparison, Condition};

/// A condition's form, for the schema.
#[cfg(feature = "text")]
pub(crate) const PATTERN: &str =
    r"^\s*(arg|int)[0-5]\s*(&\s*[0-9a-fA-Fxob_]+\s*)?(==|!=|<=?|>=?)\s*[0-9a-fA-Fxob_]+\s*$";

/// Longer ones first, so that `<=` is not taken for `<`.
const COMPARISONS: [Comparison; 6] = [
    Comparison::Equal,
    Comparison::NotEqual,
    Comparison::AtMost,
    Comparison::AtLeast,
    Comparison::Less,
    Comparison::More,
];

/// Why a text is no condition, for a person.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoCondition {
    #[error("it has no comparison: ==, !=, <, <=, > or >=")]
    NoComparison,
    #[error("{0:?} is no argument: arg0 to arg5, or int0 to int5 for an int")]
    NoArgument(String),
    #[error("{0:?} is no argument: a call has arg0 to arg5")]
    NoSuchArgument(String),
    #[error("bits are compared with == only")]
    MaskedOtherwise,
    #[error("it never holds: the value has bits that the mask has not")]
    NeverHolds,
    #[error("an int has 32 bits, the number has more: use arg instead of int")]
    TooWide,
    #[error("{0:?} is no number")]
    Signed(String),
    #[error("{0:?} is no number from 0 to 2^64 - 1, such as 42 or 0x2a")]
    NoNumber(String),
}

/// Reads a condition.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse(text: &str) -> Result<Condition, NoCondition> {
    let found = COMPARISONS.iter().find_map(|comparison| Some((text.split_once(comparison.sign())?, *comparison)));
    let ((left, right), comparison) = found.ok_or(NoCondition::NoComparison)?;
    let (name, mask) = match left.split_once('&') {
        Some((name, mask)) => (name.trim(), Some(number(mask)?)),
        None => (left.trim(), None),
    };
    let (narrow, digit) = match (name.strip_prefix("int"), name.strip_prefix("arg")) {
        (Some(digit), _) => (true, digit),
        (_, Some(digit)) => (false, digit),
        _ => return Err(NoCondition::NoArgument(name.to_owned())),
    };
    let argument = match digit.as_bytes() {
        [digit @ b'0'..=b'5'] => digit - b'0',
        _ => return Err(NoCondition::NoSuchArgument(name.to_owned())),
    };
    let comparison = match mask {
        Some(mask) if comparison == Comparison::Equal => Comparison::EqualIn(mask),
        Some(_) => return Err(NoCondition::MaskedOtherwise),
        None => comparison,
    };
    let value = number(right)?;
    if mask.is_some_and(|mask| value & !mask != 0) {
        return Err(NoCondition::NeverHolds);
    }
    if narrow && (value | mask.unwrap_or(0)) > u64::from(u32::MAX) {
        return Err(NoCondition::TooWide);
    }
    Ok(Condition { argument, narrow, comparison, value })
}

/// Whether a caller could get past a refusal with this condition by setting bits that the kernel
/// does not look at where it takes an `int`.
pub(super) fn is_evaded_by_upper_bits(condition: &Condition) -> bool {
    let upper = |mask| mask > u64::from(u32::MAX);
    let evaded = match condition.comparison {
        Comparison::Equal | Comparison::Less | Comparison::AtMost => true,
        Comparison::EqualIn(mask) => upper(mask),
        Comparison::NotEqual | Comparison::More | Comparison::AtLeast => false,
    };
    !condition.narrow && !upper(condition.value) && evaded
}

/// A number in decimal, or with `0x`, `0o` or `0b` in front; `_` between digits.
fn number(text: &str) -> Result<u64, NoCondition> {
    let plain: String = text.trim().chars().filter(|c| *c != '_').collect();
    let (digits, radix) = match plain.get(..2) {
        Some("0x") => (&plain[2..], 16),
        Some("0o") => (&plain[2..], 8),
        Some("0b") => (&plain[2..], 2),
        _ => (plain.as_str(), 10),
    };
    if digits.starts_with('+') {
        return Err(NoCondition::Signed(text.trim().to_owned()));
    }
    u64::from_str_radix(digits, radix).map_err(|_| NoCondition::NoNumber(text.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::{is_evaded_by_upper_bits, parse};

    #[test]
    fn conditions_are_read_and_shown_alike() {
        for (text, shown) in [
            ("int1 == 0x5401", "int1 == 0x5401"),
            ("arg0<=10", "arg0 <= 0xa"),
            (" arg5 & 0xff00 == 0x100 ", "arg5 & 0xff00 == 0x100"),
            ("int0 != 1_000", "int0 != 0x3e8"),
            ("arg2 >= 0b11", "arg2 >= 0x3"),
        ] {
            assert_eq!(parse(text).map(|condition| condition.to_string()).ok().as_deref(), Some(shown), "{text}");
        }
    }

    #[test]
    fn what_is_no_condition_is_told_why() {
        for (text, said) in [
            ("", "no comparison"),
            ("arg6 == 1", "arg0 to arg5"),
            ("fd == 1", "is no argument"),
            ("arg1 & 1 != 1", "compared with =="),
            ("arg1 & 1 == 2", "never holds"),
            ("int1 == 0x100000000", "32 bits"),
            ("arg1 == -1", "is no number"),
            ("arg1 == +1", "is no number"),
            ("arg1 === 1", "is no number"),
            ("arg1 == 1 ä", "is no number"),
        ] {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn upper_bits_evade_what_compares_all_of_them() {
        let evaded = |text| is_evaded_by_upper_bits(&parse(text).expect("valid"));
        assert!(evaded("arg0 == 2") && evaded("arg0 < 2"));
        assert!(!evaded("int0 == 2") && !evaded("arg0 & 0xff == 2") && !evaded("arg0 > 2"));
    }
}
