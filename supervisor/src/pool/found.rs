//! What a profile's scripts find of Python and packages, for whoever chooses a profile by it.
//!
//! It is told and compared, and never understood here: which version fits what is the gateway's business.

use std::hash::{DefaultHasher, Hash, Hasher};

use cloister_protocol::Interpreter;
use cloister_terms::{Package, Runtime};

/// How many packages of a lock are told of.
const MOST: usize = 2048;

/// What they find.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The version of Python that the runtime's lock is for.
    pub python: Option<String>,
    /// The packages of its lock.
    pub packages: Vec<Package>,
    /// What the interpreter said of itself when it was tried.
    pub interpreter: Option<Interpreter>,
}

impl Found {
    /// What is known of a runtime before it was tried.
    pub fn of(runtime: &Runtime) -> Self {
        let packages = runtime.packages.iter().take(MOST).cloned().collect();
        Self { python: runtime.python.clone(), packages, interpreter: None }
    }

    /// The same when its interpreter has said what it is.
    #[must_use]
    pub fn with(&self, interpreter: Interpreter) -> Self {
        Self { interpreter: Some(interpreter), ..self.clone() }
    }

    /// All of it in a word, which is another if any of it is.
    #[must_use]
    pub fn word(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.python.hash(&mut hasher);
        self.packages.hash(&mut hasher);
        if let Some(Interpreter { version, packages }) = &self.interpreter {
            (version, packages).hash(&mut hasher);
        }
        format!("{:016x}", hasher.finish())
    }
}

#[cfg(test)]
mod tests {
    use cloister_protocol::Interpreter;
    use cloister_terms::Package;

    use super::Found;

    #[test]
    fn another_package_is_another_word() {
        let package = |name: &str, version: &str| Package { name: name.to_owned(), version: version.to_owned() };
        let of = |packages: &[Package]| Found { packages: packages.to_vec(), ..Found::default() };
        let interpreter = Interpreter { version: "3.11.7".to_owned(), packages: Vec::new() };
        let found = [
            Found::default(),
            of(&[package("numpy", "2.4.0")]),
            of(&[package("numpy", "2.4.1")]),
            of(&[package("numpy", "2.4.0"), package("scipy", "1.11")]),
            Found { python: Some("3.11.7".to_owned()), ..Found::default() },
            Found::default().with(interpreter),
        ];
        let words: Vec<_> = found.iter().map(Found::word).collect();
        for (at, word) in words.iter().enumerate() {
            assert!(word.len() == 16 && !words[at + 1..].contains(word), "{words:?}");
            assert_eq!(word, &found[at].word());
        }
    }
}
