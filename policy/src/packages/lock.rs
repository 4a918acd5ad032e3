//! A lock: which version of which package, and the digests of the wheels that it may be. It says nothing else.
//!
//! A line that names an index, a path, an address or another file is no line of a lock: what is installed is found by name,
//! where the operator's pip looks, and is what its digest says.

use std::collections::BTreeMap;

use cloister_terms::Package;

/// What a line begins with that says of what the lock was made.
const HEADER: &str = "# ";

/// How a digest is written.
const HASH: &str = "--hash=sha256:";

/// Digits of a digest.
const DIGITS: usize = 64;

/// A lock as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// The version of Python that it was made for, such as 3.11.
    pub python: String,
    /// The platform, in the words of wheels.
    pub platform: String,
    /// The digest of what it was made of.
    pub input: String,
    /// What is locked, in order.
    pub packages: Vec<Package>,
}

/// Why a text is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotALock {
    /// It does not say what it was made for.
    #[error("its head does not say its {0}")]
    Headless(&'static str),
    /// A line is not a package with its digests.
    #[error("line {0} is no package of one version with its digests, NAME==VERSION --hash=sha256:...: {1:?}")]
    Line(usize, String),
    /// A package has no digest.
    #[error("line {0}: {1} has no digest, so that anything could be installed for it")]
    Unhashed(usize, String),
    /// A package is there twice.
    #[error("line {0}: {1} is there twice")]
    Twice(usize, String),
}

impl Lock {
    /// The head of a lock: what it was made for, and of what.
    #[must_use]
    pub fn head(python: &str, platform: &str, input: &str) -> String {
        format!("{HEADER}python: {python}\n{HEADER}platform: {platform}\n{HEADER}input: sha256:{input}\n")
    }

    /// Reads a lock.
    ///
    /// # Errors
    /// The first thing that is none of a lock's.
    pub fn parse(text: &str) -> Result<Self, NotALock> {
        let mut packages: Vec<Package> = Vec::new();
        for (number, line) in joined(text) {
            let package = package(number, &line)?;
            if packages.iter().any(|other| other.name == package.name) {
                return Err(NotALock::Twice(number, package.name));
            }
            packages.push(package);
        }
        packages.sort();
        let said = |what: &'static str| {
            let name = format!("{HEADER}{what}: ");
            let found =
                text.lines().take_while(|line| line.starts_with('#')).find_map(|line| line.strip_prefix(&*name));
            found.map(|value| value.trim().to_owned()).ok_or(NotALock::Headless(what))
        };
        Ok(Self { python: said("python")?, platform: said("platform")?, input: said("input")?, packages })
    }

    /// What is different in another lock: each package with its version there and here.
    #[must_use]
    pub fn changes<'a>(&'a self, older: &'a Self) -> Vec<(&'a str, Option<&'a str>, Option<&'a str>)> {
        changes(&older.packages, &self.packages)
    }
}

/// What is different: each package's name, its version before and its version after.
pub(crate) fn changes<'a>(
    before: &'a [Package],
    after: &'a [Package],
) -> Vec<(&'a str, Option<&'a str>, Option<&'a str>)> {
    let mut all: BTreeMap<&str, (Option<&str>, Option<&str>)> = BTreeMap::new();
    for package in before {
        all.entry(&package.name).or_default().0 = Some(&package.version);
    }
    for package in after {
        all.entry(&package.name).or_default().1 = Some(&package.version);
    }
    all.into_iter().filter(|(_, (old, new))| old != new).map(|(name, (old, new))| (name, old, new)).collect()
}

/// The lines that say something, those that go on joined to one, each with its number.
fn joined(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('#') || (line.is_empty() && !goes_on) {
            continue;
        }
        let (said, more) = line.strip_suffix('\\').map_or((line, false), |said| (said.trim_end(), true));
        match lines.last_mut().filter(|_| goes_on) {
            Some((_, line)) => *line = format!("{line} {said}"),
            None => lines.push((number + 1, said.to_owned())),
        }
        goes_on = more;
    }
    lines
}

fn package(number: usize, line: &str) -> Result<Package, NotALock> {
    let none = || NotALock::Line(number, line.chars().take(100).collect());
    let mut words = line.split_whitespace();
    let (name, version) = words.next().and_then(|word| word.split_once("==")).ok_or_else(none)?;
    let package = Package { name: Package::normalized(name), version: version.to_owned() };
    // Normalizing drops what it does not know how to say only where that stands between words.
    let letters = |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'-' | b'_' | b'.');
    if !name.bytes().all(letters) || !package.is_plain() {
        return Err(none());
    }
    let is_digest = |word: &str| {
        word.strip_prefix(HASH)
            .is_some_and(|digits| digits.len() == DIGITS && digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
    };
    let mut digests = 0;
    for word in words {
        if !is_digest(word) {
            return Err(none());
        }
        digests += 1;
    }
    if digests == 0 { Err(NotALock::Unhashed(number, package.name)) } else { Ok(package) }
}

#[cfg(test)]
mod tests {
    use super::{Lock, NotALock};

    fn lock(lines: &str) -> Result<Lock, NotALock> {
        Lock::parse(&format!("{}{lines}\n", Lock::head("3.11", "x86_64-manylinux_2_36", "00")))
    }

    #[test]
    fn a_lock_is_its_packages_whatever_stands_between_them() {
        let hash = format!("--hash=sha256:{}", "0a".repeat(32));
        let read =
            lock(&format!("\nPyYAML==6.0.2 \\\n    {hash} \\\n    {hash}\n    # via -r x\nattrs==25.1 {hash}\n"));
        let read = read.expect("a lock");
        let names: Vec<_> = read.packages.iter().map(|package| (&*package.name, &*package.version)).collect();
        assert_eq!(names, [("attrs", "25.1"), ("pyyaml", "6.0.2")]);
        assert_eq!((&*read.python, &*read.platform, &*read.input), ("3.11", "x86_64-manylinux_2_36", "sha256:00"));
    }

    #[test]
    fn a_lock_names_no_index_no_path_and_no_address() {
        let hash = format!("--hash=sha256:{}", "0a".repeat(32));
        for line in [
            "--index-url https://index.example/simple".to_owned(),
            "-i x".to_owned(),
            "--extra-index-url=x".to_owned(),
            "--find-links ./wheels".to_owned(),
            "-r other.txt".to_owned(),
            "-e .".to_owned(),
            "./a-1.0-py3-none-any.whl".to_owned(),
            format!("a @ file:///tmp/a-1.0-py3-none-any.whl {hash}"),
            format!("a @ git+https://git.example/a {hash}"),
            "git+https://git.example/a@main#egg=a".to_owned(),
            format!("a>=1 {hash}"),
            format!("a==1 ; python_version > '3' {hash}"),
            format!("a[b]==1 {hash}"),
            format!("a==1 {hash} --index-url x"),
            "a==1 --hash=md5:00".to_owned(),
            "a==1 --hash=sha256:00".to_owned(),
            format!("../a==1 {hash}"),
            format!("a==1/../../b {hash}"),
        ] {
            assert!(matches!(lock(&line), Err(NotALock::Line(4, _))), "{line}: {:?}", lock(&line));
        }
        assert_eq!(lock("a==1"), Err(NotALock::Unhashed(4, "a".to_owned())));
        assert_eq!(lock(&format!("A==1 {hash}\na==2 {hash}")), Err(NotALock::Twice(5, "a".to_owned())));
    }

    #[test]
    fn a_lock_says_what_it_is_for() {
        assert_eq!(Lock::parse("# python: 3.11\n# platform: x\n"), Err(NotALock::Headless("input")));
        assert_eq!(Lock::parse(""), Err(NotALock::Headless("python")));
    }

    #[test]
    fn what_changed_is_told_by_name() {
        let hash = format!("--hash=sha256:{}", "0a".repeat(32));
        let [old, new] = [format!("a==1 {hash}\nb==1 {hash}"), format!("b==2 {hash}\nc==1 {hash}")]
            .map(|text| lock(&text).expect("a lock"));
        assert_eq!(new.changes(&old), [("a", Some("1"), None), ("b", Some("1"), Some("2")), ("c", None, Some("1"))]);
    }
}
