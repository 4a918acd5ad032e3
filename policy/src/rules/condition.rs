//! Conditions on a system call's arguments: `int1 == 0x5401`, `arg2 & 0x10 == 0`.

use std::fmt;

/// A condition's form, for the schema.
pub(crate) const PATTERN: &str =
    r"^\s*(arg|int)[0-5]\s*(&\s*[0-9a-fA-Fxob_]+\s*)?(==|!=|<=?|>=?)\s*[0-9a-fA-Fxob_]+\s*$";

/// What one argument of a call must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Which: 0 to 5.
    pub argument: u8,
    /// Whether only the lower 32 bits are looked at, as the kernel does where it takes an `int`.
    pub narrow: bool,
    /// The bits that are looked at; only with [`Comparison::Equal`].
    pub mask: Option<u64>,
    /// How it is compared.
    pub comparison: Comparison,
    /// With what.
    pub value: u64,
}

/// How an argument is compared, without sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    More,
    /// `>=`
    AtLeast,
}

/// Longer ones first, so that `<=` is not taken for `<`.
const COMPARISONS: [(&str, Comparison); 6] = [
    ("==", Comparison::Equal),
    ("!=", Comparison::NotEqual),
    ("<=", Comparison::AtMost),
    (">=", Comparison::AtLeast),
    ("<", Comparison::Less),
    (">", Comparison::More),
];

impl Condition {
    /// Reads a condition.
    ///
    /// # Errors
    /// What is wrong with it, for a person.
    pub fn parse(text: &str) -> Result<Self, String> {
        let found = COMPARISONS.iter().find_map(|(sign, comparison)| Some((text.split_once(sign)?, *comparison)));
        let ((left, right), comparison) = found.ok_or("it has no comparison: ==, !=, <, <=, > or >=")?;
        let (name, mask) = match left.split_once('&') {
            Some((name, mask)) => (name.trim(), Some(number(mask)?)),
            None => (left.trim(), None),
        };
        let (narrow, digit) = match (name.strip_prefix("int"), name.strip_prefix("arg")) {
            (Some(digit), _) => (true, digit),
            (_, Some(digit)) => (false, digit),
            _ => return Err(format!("{name:?} is no argument: arg0 to arg5, or int0 to int5 for an int")),
        };
        let argument = match digit.as_bytes() {
            [digit @ b'0'..=b'5'] => digit - b'0',
            _ => return Err(format!("{name:?} is no argument: a call has arg0 to arg5")),
        };
        if mask.is_some() && comparison != Comparison::Equal {
            return Err("bits are compared with == only".to_owned());
        }
        let value = number(right)?;
        if mask.is_some_and(|mask| value & !mask != 0) {
            return Err("it never holds: the value has bits that the mask has not".to_owned());
        }
        if narrow && (value | mask.unwrap_or(0)) > u64::from(u32::MAX) {
            return Err("an int has 32 bits, the number has more: use arg instead of int".to_owned());
        }
        Ok(Self { argument, narrow, mask, comparison, value })
    }

    /// Whether a caller could get past a refusal with this condition by setting bits that the kernel
    /// does not look at where it takes an `int`.
    #[must_use]
    pub(crate) fn is_evaded_by_upper_bits(&self) -> bool {
        let short = self.value <= u64::from(u32::MAX);
        let equal = self.comparison == Comparison::Equal && self.mask.is_none_or(|mask| mask > u64::from(u32::MAX));
        let below = matches!(self.comparison, Comparison::Less | Comparison::AtMost);
        !self.narrow && short && (equal || below)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.narrow { "int" } else { "arg" };
        let sign =
            COMPARISONS.iter().find(|(_, comparison)| *comparison == self.comparison).map_or("", |(sign, _)| sign);
        write!(f, "{name}{}", self.argument)?;
        if let Some(mask) = self.mask {
            write!(f, " & {mask:#x}")?;
        }
        write!(f, " {sign} {:#x}", self.value)
    }
}

/// A number in decimal, or with `0x`, `0o` or `0b` in front; `_` between digits.
fn number(text: &str) -> Result<u64, String> {
    let plain: String = text.trim().chars().filter(|c| *c != '_').collect();
    let (digits, radix) = match plain.get(..2) {
        Some("0x") => (&plain[2..], 16),
        Some("0o") => (&plain[2..], 8),
        Some("0b") => (&plain[2..], 2),
        _ => (plain.as_str(), 10),
    };
    if digits.starts_with('+') {
        return Err(format!("{:?} is no number", text.trim()));
    }
    u64::from_str_radix(digits, radix)
        .map_err(|_| format!("{:?} is no number from 0 to 2^64 - 1, such as 42 or 0x2a", text.trim()))
}

#[cfg(test)]
mod tests {
    use super::Condition;

    #[test]
    fn conditions_are_read_and_shown_alike() {
        for (text, shown) in [
            ("int1 == 0x5401", "int1 == 0x5401"),
            ("arg0<=10", "arg0 <= 0xa"),
            (" arg5 & 0xff00 == 0x100 ", "arg5 & 0xff00 == 0x100"),
            ("int0 != 1_000", "int0 != 0x3e8"),
            ("arg2 >= 0b11", "arg2 >= 0x3"),
        ] {
            assert_eq!(Condition::parse(text).map(|condition| condition.to_string()), Ok(shown.to_owned()), "{text}");
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
            let error = Condition::parse(text).expect_err(text);
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn upper_bits_evade_what_compares_all_of_them() {
        let evaded = |text| Condition::parse(text).expect("valid").is_evaded_by_upper_bits();
        assert!(evaded("arg0 == 2") && evaded("arg0 < 2"));
        assert!(!evaded("int0 == 2") && !evaded("arg0 & 0xff == 2") && !evaded("arg0 > 2"));
    }
}
