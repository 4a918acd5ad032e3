//! For whom a request is: who shares of places, children and memory are counted for.

use std::fmt;

/// One for whom shares are counted: the holder of a key, or whoever comes from an address. A number that the gateway
/// makes of either, 32 lower-case hexadecimal digits on the socket; two that differ are two tenants, and it means
/// nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tenant(u128);

impl Tenant {
    /// The tenant of this number.
    #[must_use]
    pub const fn new(number: u128) -> Self {
        Self(number)
    }

    /// Reads the 32 digits back; anything else is `None`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if digits { u128::from_str_radix(text, 16).ok().map(Self) } else { None }
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Tenant;

    #[test]
    fn digits_are_read_back_and_nothing_else() {
        for number in [0, 1, u128::MAX] {
            assert_eq!(Tenant::parse(&Tenant::new(number).to_string()), Some(Tenant::new(number)));
        }
        for wrong in ["", "1", &"g".repeat(32), &"A".repeat(32), &"+".repeat(32), &"0".repeat(33)] {
            assert_eq!(Tenant::parse(wrong), None, "{wrong}");
        }
    }
}
