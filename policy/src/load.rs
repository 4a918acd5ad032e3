//! From a file, or its text, to a policy or everything that is wrong with it.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::{fmt, io};

use sha2::{Digest, Sha256};

use crate::check::{host, whole};
use crate::diagnostic::Diagnostics;
use crate::model::{self, Policy};
use crate::read::Tables;
use crate::trust::{is_trusted, open_to_others};

/// Why there is no policy.
#[derive(Debug)]
pub enum PolicyError {
    /// The file cannot be read.
    Read(PathBuf, io::Error),
    /// Others than its owner and root could have written it.
    Writable(PathBuf, u32),
    /// It belongs to another account than root and the one that reads it.
    Owner(PathBuf, u32),
    /// Others than root and the one that reads it could put another in its place, for they may write to this directory.
    Directory(PathBuf, PathBuf),
    /// It is a policy with mistakes.
    Invalid(Diagnostics),
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(path, error) => {
                write!(f, "read the policy {}: {error}: give another with --policy", path.display())
            }
            Self::Writable(path, mode) => write!(
                f,
                "the policy {0} may be written by others than its owner (mode {mode:04o}): chmod go-w {0}",
                path.display()
            ),
            Self::Owner(path, uid) => write!(
                f,
                "the policy {0} belongs to uid {uid}, who could change it at any time: chown root {0}",
                path.display()
            ),
            Self::Directory(path, directory) => write!(
                f,
                "the policy {} lies in {1}, where others could put another in its place: chown root {1}; chmod go-w {1}",
                path.display(),
                directory.display()
            ),
            Self::Invalid(diagnostics) => diagnostics.fmt(f),
        }
    }
}

impl std::error::Error for PolicyError {}

/// A policy with what is known of its file: where each value was said, and what is doubtful.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What the supervisor works from.
    pub policy: Policy,
    /// What is probably not meant.
    pub warnings: Diagnostics,
    pub(crate) tables: Tables,
}

impl Checked {
    /// Reads a policy file.
    ///
    /// # Errors
    /// [`PolicyError`], displayed as sentences for a person.
    pub fn load(path: &Path) -> Result<Self, PolicyError> {
        let read = |error| PolicyError::Read(path.to_owned(), error);
        // Opened once: what is looked at is what is read.
        let mut file = File::open(path).map_err(read)?;
        let metadata = file.metadata().map_err(read)?;
        let mode = metadata.mode() & 0o7777;
        if metadata.is_file() && mode & 0o022 != 0 {
            return Err(PolicyError::Writable(path.to_owned(), mode));
        }
        if !is_trusted(metadata.uid()) {
            return Err(PolicyError::Owner(path.to_owned(), metadata.uid()));
        }
        if metadata.is_file()
            && let Some(open) = open_to_others(path).map_err(read)?
        {
            return Err(PolicyError::Directory(path.to_owned(), open));
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(read)?;
        Self::parse(&text, path).map_err(PolicyError::Invalid)
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
        Ok(Self { policy: model::build(&tables, digest), warnings: problems, tables })
    }

    /// Looks at this host for what the policy names: paths that are not there or lead to sockets and
    /// secrets, accounts in its range of ids, more memory than there is.
    #[must_use]
    pub fn check_host(&self) -> Diagnostics {
        let mut problems = self.warnings.emptied();
        host::check(&self.tables, &mut problems);
        problems.sort();
        problems
    }
}

impl Policy {
    /// Reads a policy file.
    ///
    /// # Errors
    /// [`PolicyError`], displayed as sentences for a person.
    pub fn load(path: &Path) -> Result<Self, PolicyError> {
        Checked::load(path).map(|checked| checked.policy)
    }

    /// Reads a policy file and looks at this host for what it names, see [`Checked::check_host`].
    ///
    /// # Errors
    /// [`PolicyError`], displayed as sentences for a person.
    pub fn load_for_host(path: &Path) -> Result<Self, PolicyError> {
        let checked = Checked::load(path)?;
        let found = checked.check_host();
        if found.has_errors() { Err(PolicyError::Invalid(found)) } else { Ok(checked.policy) }
    }

    /// Reads a policy from its text; `name` is what the messages call it. Nothing on the host is looked at.
    ///
    /// # Errors
    /// Every problem, in the order of the text.
    pub fn parse(text: &str, name: &Path) -> Result<Self, Diagnostics> {
        Checked::parse(text, name).map(|checked| checked.policy)
    }

    /// Looks at this host for what the policy names: paths that are not there.
    #[must_use]
    pub fn missing_on_host(&self) -> Vec<String> {
        let runtimes = self.runtimes.values().flat_map(|runtime| &runtime.mounts);
        let extra = self.profiles.values().flat_map(|profile| &profile.filesystem.read_only);
        let mut missing: Vec<String> = runtimes
            .chain(extra)
            .filter(|mount| !mount.host.exists())
            .map(|mount| format!("{} does not exist on this host", mount.host.display()))
            .collect();
        missing.sort();
        missing.dedup();
        missing
    }
}
