//! Versions and what is asked of them (PEP 440), by pep440_rs, and in a few corners as the PEP has it and the crate does not.

use std::str::FromStr;

use pep440_rs::{Operator, Version, VersionSpecifier, VersionSpecifiers};

/// How many numbers a version is taken to have at least: `==1.2.*` compares only those that both have.
const NUMBERS: usize = 8;

/// The longest version that is looked at, in bytes.
const LONGEST: usize = 256;

/// A version that is there.
#[derive(Clone, Debug)]
pub struct There {
    plain: Version,
    /// With zeros behind its numbers.
    padded: Version,
}

impl There {
    /// Reads a version; `None` for what is none.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = Some(text).filter(|text| text.len() <= LONGEST).and_then(|text| Version::from_str(text).ok())?;
        let zeros = NUMBERS.saturating_sub(plain.release().len());
        let numbers: Vec<u64> = plain.release().iter().copied().chain(std::iter::repeat_n(0, zeros)).collect();
        Some(Self { padded: plain.clone().with_release(numbers), plain })
    }

    /// Whether it is one that all of these ask for. What is there is there: one that precedes a release is as good.
    pub fn satisfies(&self, specifiers: &VersionSpecifiers) -> bool {
        specifiers.iter().all(|specifier| self.fits(specifier))
    }

    /// Whether it is one that this asks for.
    pub fn fits(&self, specifier: &VersionSpecifier) -> bool {
        let asked = specifier.version();
        match specifier.operator() {
            // Of two that precede the same release the lower one is below the other.
            Operator::LessThan if asked.any_prerelease() => self.plain.clone().without_local() < *asked,
            Operator::EqualStar | Operator::NotEqualStar => specifier.contains(&self.padded),
            _ => specifier.contains(&self.plain),
        }
    }
}

/// Reads what is asked of a version, such as `>=1.11, <2`.
///
/// # Errors
/// What is wrong with it, in a line.
pub fn specifiers(text: &str) -> Result<VersionSpecifiers, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(VersionSpecifiers::empty());
    }
    // Python's own tools let a comma be the last.
    text.strip_suffix(',').unwrap_or(text).split(',').map(specifier).collect()
}

/// Reads one condition, such as `>=1.11`.
///
/// # Errors
/// As [`specifiers`].
pub fn specifier(text: &str) -> Result<VersionSpecifier, String> {
    let text = text.trim();
    if text.len() > LONGEST {
        return Err(format!("a condition is {} bytes long, expected at most {LONGEST}", text.len()));
    }
    VersionSpecifier::from_str(text).map_err(|error| error.to_string().lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::{There, specifiers};

    #[test]
    fn what_is_pathological_is_read_or_refused_at_once() {
        let many = [">=1."; 3000].concat();
        let numbers = format!("=={}", ["1"; 120].join("."));
        let local = format!("==1+{}", ["a"; 120].join("."));
        for (text, is_read) in [
            (many.as_str(), false),
            (">=99999999999999999999!1", false),
            (">=18446744073709551615!1", true),
            (">=1.99999999999999999999999", false),
            (numbers.as_str(), true),
            (local.as_str(), true),
            (">=1.\u{661}", false),
            (">=1.0\u{0}", false),
            ("==1.*.*", false),
            ("~=1", false),
            (">=1.*", false),
            ("=>1", false),
            (">=1,,<2", false),
            (">= 1 , < 2", true),
            ("", true),
        ] {
            let read = specifiers(text);
            assert_eq!(read.is_ok(), is_read, "{text:.80}: {read:?}");
            if let Err(why) = read {
                assert!(why.len() < 600 && !why.contains('\n'), "{why}");
            }
        }
        assert!(There::parse(&"1.".repeat(200)).is_none());
    }
}
