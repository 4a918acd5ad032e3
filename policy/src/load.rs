//! From a file's text to a policy or everything that is wrong with it.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use cloister_terms::Policy;
use sha2::{Digest, Sha256};

use crate::build::build;
use crate::check::{host, whole};
use crate::diagnostic::Diagnostics;
use crate::packages::{self, Looked, Packaged};
use crate::read::Tables;

/// The longest file that is read, in bytes. What is shipped, with all its comments, is a hundredth of it.
const LONGEST: u64 = 1 << 20;

/// Why there is no policy.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The file cannot be read.
    #[error("read the policy {path}: {1}: give another with --policy", path = .0.display())]
    Read(PathBuf, io::Error),
    /// It is longer than any policy.
    #[error("the policy {} is longer than the {LONGEST} bytes that are read: is it the right file?", .0.display())]
    TooLong(PathBuf),
    /// It is a policy with mistakes.
    #[error(transparent)]
    Invalid(#[from] Diagnostics),
}

/// A policy with what is known of its file: where each value was said, and what is doubtful.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What the supervisor works from.
    pub policy: Policy,
    /// What is probably not meant.
    pub warnings: Diagnostics,
    pub(crate) tables: Tables,
    looked: Option<(Looked, Diagnostics)>,
}

impl Checked {
    /// Reads a policy from its file; `name` is what the messages call it. Nothing else on the host is looked at.
    ///
    /// # Errors
    /// [`PolicyError`], displayed as sentences for a person.
    pub fn read(file: impl Read, name: &Path) -> Result<Self, PolicyError> {
        let mut text = String::new();
        let read = file.take(LONGEST + 1).read_to_string(&mut text);
        // Cut off, it may end within a character.
        if text.len() as u64 > LONGEST || read.as_ref().is_ok_and(|read| *read as u64 > LONGEST) {
            return Err(PolicyError::TooLong(name.to_owned()));
        }
        read.map_err(|error| PolicyError::Read(name.to_owned(), error))?;
        Ok(Self::parse(&text, name)?)
    }

    /// The policy, if on this host nothing stands against it, see [`check_host`](Self::check_host).
    ///
    /// # Errors
    /// [`PolicyError`], displayed as sentences for a person.
    pub fn for_host(self) -> Result<Policy, PolicyError> {
        let looked = self.look();
        let found = looked.check_host();
        if found.has_errors() { Err(found.into()) } else { Ok(looked.policy) }
    }

    /// Looks at this host for the packages of the runtimes, and takes them into the policy as far as they are there. Names in the
    /// file are from the directory that `name` was in when it was read.
    #[must_use]
    pub fn look(mut self) -> Self {
        if self.looked.is_none() {
            let mut problems = self.warnings.emptied();
            let looked = packages::look(&self.tables, &self.directory(), &mut problems);
            looked.fill(&mut self.policy);
            self.looked = Some((looked, problems));
        }
        self
    }

    /// The runtimes that have packages, whatever this host has of them.
    #[must_use]
    pub fn packaged(&self) -> Vec<Packaged> {
        packages::packaged(&self.tables, &self.directory())
    }

    /// Where their builds lie.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        packages::store(&self.tables)
    }

    /// The file's own, from which it names others.
    fn directory(&self) -> PathBuf {
        let name = std::path::absolute(self.warnings.path()).unwrap_or_else(|_| self.warnings.path().to_owned());
        name.parent().unwrap_or(Path::new("/")).to_owned()
    }

    /// What is known of the runtimes, if it was looked for.
    pub(crate) fn looked(&self) -> Option<&Looked> {
        self.looked.as_ref().map(|(looked, _)| looked)
    }

    /// Reads a policy from its text; `name` is what the messages call it. Nothing on the host is looked at.
    ///
    /// # Errors
    /// Every problem, in the order of the text.
    pub fn parse(text: &str, name: &Path) -> Result<Self, Diagnostics> {
        let (tables, mut problems) = Tables::read(text, name);
        whole::check(&tables, &mut problems);
        problems.sort();
        if problems.has_errors() {
            return Err(problems);
        }
        let digest = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { policy: build(&tables, digest), warnings: problems, tables, looked: None })
    }

    /// Looks at this host for what the policy names: paths that are not there or lead to sockets and
    /// secrets, accounts in its range of ids, more memory than there is.
    #[must_use]
    pub fn check_host(&self) -> Diagnostics {
        let mut problems = self.warnings.emptied();
        host::check(&self.tables, &mut problems);
        match &self.looked {
            Some((_, found)) => problems.extend(found.clone()),
            None => drop(packages::look(&self.tables, &self.directory(), &mut problems)),
        }
        problems.sort();
        problems
    }
}

/// What of a policy's paths is not there on this host.
#[must_use]
pub fn missing_on_host(policy: &Policy) -> Vec<String> {
    let runtimes = policy.runtimes.values().flat_map(|runtime| &runtime.mounts);
    let extra = policy.profiles.values().flat_map(|profile| &profile.filesystem.read_only);
    let mut missing: Vec<String> = runtimes
        .chain(extra)
        .filter(|mount| !mount.host.exists())
        .map(|mount| format!("{} does not exist on this host", mount.host.display()))
        .collect();
    missing.sort();
    missing.dedup();
    missing
}
