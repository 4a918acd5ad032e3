//! What the supervisor tells of its profiles, for whoever is to write scripts for them.
//!
//! It is the policy's and the interpreter's. Nothing in it comes from a request.

use std::collections::BTreeMap;

use cloister_terms::Package;
use serde::{Deserialize, Serialize};

/// The longest text of an interpreter's, in bytes: a version, or a package with its own.
const LONGEST_TEXT: usize = 128;

/// How many packages are told of.
const MOST_PACKAGES: usize = 256;

/// What an interpreter says of itself when it is tried.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Interpreter {
    /// Its version, such as `3.11.2`.
    pub version: String,
    /// The packages beside its own library, each with its version, such as `numpy 2.1.0`.
    #[serde(default)]
    pub packages: Vec<String>,
}

/// A profile as its scripts find it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct ProfileInfo {
    /// The interpreter, if it has said what it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interpreter: Option<Interpreter>,
    /// The version of the Python of its runtime, as its lock has it, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python: Option<String>,
    /// The packages of its runtime, as its lock has them; some thousand at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<Package>,
    /// The runtime in a word, which is another for another interpreter or other packages.
    #[serde(default)]
    pub runtime: String,
    /// Wall time.
    pub wall_ms: u64,
    /// Whether a request may lower it.
    pub may_lower_timeout: bool,
    /// How many processors it may use at once, in thousandths.
    #[serde(default)]
    pub millicpus: u32,
    /// Memory of all its processes, files included.
    pub memory_bytes: u64,
    /// What may be written to `/tmp`.
    pub tmp_bytes: u64,
    /// The largest result.
    pub result_bytes: u64,
    /// What is kept of standard output.
    pub stdout_bytes: u64,
    /// Files that a request may bring.
    pub files_in: u64,
    /// What may be in them together.
    pub files_in_bytes: u64,
    /// Files that come back.
    pub files_out: u64,
    /// What may be in them together.
    pub files_out_bytes: u64,
    /// Whether there is a network to speak of: one that ends at the job itself.
    pub loopback: bool,
    /// Where a script is started, and its files are put.
    pub working_directory: String,
}

/// All profiles of the policy in force, by name.
pub type Profiles = BTreeMap<String, ProfileInfo>;

impl Interpreter {
    /// Whether it has more packages than are told of, for all that is known.
    #[must_use]
    pub fn may_have_more(&self) -> bool {
        self.packages.len() >= MOST_PACKAGES
    }

    /// The same with what is too long or too much left out, and what would not be one line of plain text.
    #[must_use]
    pub fn bounded(self) -> Option<Self> {
        let is_plain = |text: &String| {
            !text.is_empty() && text.len() <= LONGEST_TEXT && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        };
        let Self { version, mut packages } = self;
        packages.retain(is_plain);
        packages.truncate(MOST_PACKAGES);
        is_plain(&version).then_some(Self { version, packages })
    }
}

#[cfg(test)]
mod tests {
    use super::{Interpreter, MOST_PACKAGES};

    #[test]
    fn what_an_interpreter_says_is_short_and_plain() {
        let said = |version: &str, packages: Vec<String>| {
            Interpreter { version: version.to_owned(), packages }.bounded().map(|told| told.packages.len())
        };
        assert_eq!(said("3.11.2", vec!["numpy 2.4.6".to_owned()]), Some(1));
        for odd in ["", "3\n", "3\u{e9}", "\u{7f}", &"3".repeat(129)] {
            assert_eq!(said(odd, Vec::new()), None, "{odd:?}");
            assert_eq!(said("3", vec![odd.to_owned(), "a 1".to_owned()]), Some(1), "{odd:?}");
        }
        assert_eq!(said("3", vec!["a 1".to_owned(); 10_000]), Some(MOST_PACKAGES));
        let more = |count: usize| {
            Interpreter { version: "3".to_owned(), packages: vec!["a 1".to_owned(); count] }.may_have_more()
        };
        assert!(more(MOST_PACKAGES) && !more(MOST_PACKAGES - 1));
    }
}
