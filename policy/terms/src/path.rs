//! What of the host a sandbox shows, and what may be done there.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The file systems of a job's own, the only ones that it may write to.
pub const WRITABLE: [&str; 2] = ["/tmp", "/dev/shm"];

/// The kernel's own places: a sandbox has its own of these and never the host's.
pub const KERNELS: [&str; 3] = ["/proc", "/sys", "/dev"];

/// The directory, in the one where files are put, in which those that a script leaves are found.
pub const OUT: &str = "out";

/// A host file or directory shown read-only, nosuid and nodev in the sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Absolute path on the host.
    pub host: PathBuf,
    /// Absolute path inside.
    pub inside: PathBuf,
}

/// Where a sandbox's own file systems lie.
const OWN: [&str; 6] = ["/", "/dev", "/proc", "/tmp", "/cell", "/lower"];

impl Mount {
    /// Whether it can have its place inside at all.
    #[must_use]
    pub fn has_place(&self) -> bool {
        !is_own(&self.inside)
    }
}

/// Whether a path inside is, or lies in, what every sandbox has of its own.
#[must_use]
pub(crate) fn is_own(inside: &Path) -> bool {
    inside == Path::new(OWN[0]) || OWN[1..].iter().any(|own| inside.starts_with(own))
}

/// What Landlock grants at and below a path, in place of what it would.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathRule {
    /// Absolute path inside the sandbox.
    pub path: PathBuf,
    /// What may be done.
    pub access: Vec<Access>,
}

/// Something that may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    /// Files may be read.
    Read,
    /// Directories may be listed.
    List,
    /// Programs and libraries may be run.
    Execute,
    /// Files and directories may be made, written and removed.
    Write,
}

impl Access {
    /// All that there is.
    pub const ALL: [Self; 4] = [Self::Read, Self::List, Self::Execute, Self::Write];

    /// Its word in a policy file.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::List => "list",
            Self::Execute => "execute",
            Self::Write => "write",
        }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
