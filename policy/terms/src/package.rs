//! The packages that a runtime has, as it is told of them: names and versions, never a path or a command.

use serde::{Deserialize, Serialize};

/// A package of a runtime.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Package {
    /// Its normalized name: lower case, with `-` between the words.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// The longest name or version, in bytes.
const LONGEST: usize = 128;

/// The most that a runtime has of either, packages or modules.
const MOST: usize = 10_000;

impl Package {
    /// Whether both are what they are said to be.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        let name = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'-';
        let ends = |text: &str| text.starts_with('-') || text.ends_with('-');
        is_of(&self.name, name) && !ends(&self.name) && is_version(&self.version)
    }

    /// A name in the one form in which names are compared: PyPA's rules for names, "Name normalization".
    #[must_use]
    pub fn normalized(name: &str) -> String {
        let words = name.split(['-', '_', '.']).filter(|word| !word.is_empty());
        words.collect::<Vec<_>>().join("-").to_ascii_lowercase()
    }
}

/// The first that is not what it is said to be: a version of Python, packages, modules.
pub(crate) fn odd(python: Option<&str>, packages: &[Package], modules: &[String]) -> Option<String> {
    if packages.len() > MOST || modules.len() > MOST {
        return Some("packages".to_owned());
    }
    let version = python.filter(|version| !is_version(version)).map(str::to_owned);
    let package = || packages.iter().find(|package| !package.is_plain()).map(|package| package.name.clone());
    let module = || modules.iter().find(|module| !is_module(module)).cloned();
    version.or_else(package).or_else(module)
}

/// A version, of a package or of Python: the letters of PEP 440.
fn is_version(text: &str) -> bool {
    is_of(text, |letter| letter.is_ascii_alphanumeric() || matches!(letter, b'.' | b'!' | b'+' | b'-' | b'_'))
}

/// Whether this can be the name of a top-level module.
#[must_use]
pub fn is_module(name: &str) -> bool {
    let letter = |c: char| c.is_alphanumeric() || c == '_';
    name.len() <= LONGEST && name.chars().all(letter) && name.starts_with(|c: char| !c.is_numeric())
}

fn is_of(text: &str, letter: impl Fn(u8) -> bool) -> bool {
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(letter)
}

#[cfg(test)]
mod tests {
    use super::{Package, odd};

    fn package(name: &str, version: &str) -> Package {
        Package { name: name.to_owned(), version: version.to_owned() }
    }

    #[test]
    fn names_have_one_form() {
        for name in ["Python_DateUtil", "python.dateutil", "python--dateutil", "python-dateutil"] {
            assert_eq!(Package::normalized(name), "python-dateutil");
        }
    }

    #[test]
    fn what_is_no_name_or_version_is_found() {
        let well = [package("python-dateutil", "2.9.0.post0"), package("a", "1!2.0+cpu")];
        assert_eq!(odd(Some("3.14.0rc1"), &well, &["dateutil".to_owned(), "_x".to_owned()]), None);
        for (name, version) in
            [("", "1"), ("A", "1"), ("a/b", "1"), ("-a", "1"), ("a", ""), ("a", "1 2"), ("a", "../1")]
        {
            assert_eq!(odd(None, &[package(name, version)], &[]), Some(name.to_owned()), "{name} {version}");
        }
        for module in ["", "a.b", "1a", "a-b", "a b"] {
            assert_eq!(odd(None, &[], &[module.to_owned()]), Some(module.to_owned()), "{module}");
        }
        assert!(odd(Some("3.11; rm"), &[], &[]).is_some() && odd(None, &[], &vec!["a".to_owned(); 20_000]).is_some());
    }
}
