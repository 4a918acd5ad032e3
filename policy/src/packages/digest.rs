//! The name of a build: what it was made of.

use sha2::{Digest, Sha256};

/// Hexadecimal digits of a build's name.
const DIGITS: usize = 32;

/// The name of a build in the store: 32 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BuildId(String);

/// The build of a lock for a base: the digest over the text of both.
#[must_use]
pub fn build_id(lock: &str, base: &str) -> BuildId {
    let mut digest = Sha256::new();
    for part in [lock, "\n", base] {
        digest.update(part);
    }
    let digits: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    BuildId(digits[..DIGITS].to_owned())
}

impl BuildId {
    /// The build that a directory of this name holds.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        let hexadecimal = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
        (name.len() == DIGITS && name.bytes().all(hexadecimal)).then(|| Self(name.to_owned()))
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for BuildId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{BuildId, build_id};

    #[test]
    fn a_build_is_another_when_either_of_what_it_was_made_of_is() {
        let one = build_id("a==1", "{}");
        assert_eq!(BuildId::of(one.as_str()), Some(one.clone()));
        assert!(one != build_id("a==2", "{}") && one != build_id("a==1", "{ }"));
        for name in ["", "..", ".new-1", "ABCDEF0123456789abcdef0123456789", "abcdef0123456789abcdef012345678"] {
            assert_eq!(BuildId::of(name), None, "{name}");
        }
    }
}
