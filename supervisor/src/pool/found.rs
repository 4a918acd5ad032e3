//! What a profile's scripts find of Python and packages, for whoever chooses a profile by it.
//!
//! It is told and compared, and never understood here: which version fits what is the gateway's business.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use cloister_protocol::Interpreter;
use cloister_terms::{Package, Runtime};

/// How many packages of a lock are told of.
const MOST: usize = 2048;

/// What they find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The version of Python that the runtime's lock is for.
    pub python: Option<String>,
    /// The packages of its lock.
    pub packages: Arc<[Package]>,
    /// What the interpreter said of itself when it was tried.
    pub interpreter: Option<Interpreter>,
    /// All of it in a word, which is another if any of it is. Every request of a chosen profile is compared by it.
    pub word: String,
}

impl Found {
    /// What is known of a runtime before it was tried.
    pub fn of(runtime: &Runtime) -> Self {
        let packages = runtime.packages.iter().take(MOST).cloned().collect();
        Self::new(runtime.python.clone(), packages, None)
    }

    /// The same when its interpreter has said what it is.
    #[must_use]
    pub fn with(&self, interpreter: Interpreter) -> Self {
        Self::new(self.python.clone(), Arc::clone(&self.packages), Some(interpreter))
    }

    fn new(python: Option<String>, packages: Arc<[Package]>, interpreter: Option<Interpreter>) -> Self {
        let mut hasher = DefaultHasher::new();
        (&python, &packages).hash(&mut hasher);
        if let Some(Interpreter { version, packages }) = &interpreter {
            (version, packages).hash(&mut hasher);
        }
        Self { python, packages, interpreter, word: format!("{:016x}", hasher.finish()) }
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
        let of = |packages: &[Package]| Found::new(None, packages.into(), None);
        let make = || {
            let interpreter = Interpreter { version: "3.11.7".to_owned(), packages: Vec::new() };
            [
                of(&[]),
                of(&[package("numpy", "2.4.0")]),
                of(&[package("numpy", "2.4.1")]),
                of(&[package("numpy", "2.4.0"), package("scipy", "1.11")]),
                Found::new(Some("3.11.7".to_owned()), [].into(), None),
                of(&[]).with(interpreter),
            ]
        };
        let words = make().map(|found| found.word);
        for (at, word) in words.iter().enumerate() {
            assert!(word.len() == 16 && !words[at + 1..].contains(word), "{words:?}");
        }
        assert_eq!(words, make().map(|found| found.word));
    }
}
