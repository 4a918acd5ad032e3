//! Amounts, each with a type of its own.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A size in bytes; `u64::MAX` where a limit may be left out and was. Displayed in the largest binary unit that it is a
/// whole number of, as a policy file has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Bytes(pub u64);

/// The word for no limit.
pub const UNLIMITED: &str = "unlimited";

/// The binary units, by their names in ISO 80000-13.
const UNITS: [(&str, u64); 5] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().find(|(_, factor)| self.0 != 0 && self.0.is_multiple_of(*factor)) {
            _ if self.0 == u64::MAX => f.write_str(UNLIMITED),
            Some((unit, factor)) => write!(f, "{}{unit}", self.0 / factor),
            None => f.write_str("0B"),
        }
    }
}

/// A share of the machine's CPU time: thousandths of a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Millicpus(pub u32);

impl Millicpus {
    /// In CPUs.
    #[must_use]
    pub fn cpus(self) -> f64 {
        f64::from(self.0) / 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::Bytes;

    #[test]
    fn sizes_are_shown_so_that_they_can_be_read() {
        for (bytes, shown) in [
            (0, "0B"),
            (1000, "1000B"),
            (1 << 20, "1MiB"),
            (3 << 29, "1536MiB"),
            (1 << 41, "2TiB"),
            (u64::MAX, "unlimited"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), shown);
        }
    }
}
