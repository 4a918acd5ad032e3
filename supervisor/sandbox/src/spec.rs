//! What a launcher is told once about its profile: plain data, already checked by the policy.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Everything a launcher and the jobs under it need to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// The interpreter's arguments, its absolute path inside the sandbox first.
    pub command: Vec<String>,
    /// The interpreter's whole environment, `NAME=value`.
    pub environment: Vec<String>,
    /// Host paths shown read-only.
    pub mounts: Vec<Mount>,
    /// Symbolic links in the root: name and target.
    pub links: Vec<(String, PathBuf)>,
    /// Host name inside.
    pub hostname: String,
    /// `/tmp`.
    pub tmp: Tmpfs,
    /// `/dev/shm`.
    pub shm: Tmpfs,
    /// Limits of each process.
    pub rlimits: Rlimits,
    /// Numbers of the system calls that are allowed.
    pub syscalls: Vec<i64>,
    /// The least Landlock ABI that will do.
    pub landlock_min_abi: u32,
    /// Layers left out, so that another can be seen to hold alone. Empty in a service.
    pub without: Vec<Layer>,
}

/// A host path shown read-only in the sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Absolute path on the host.
    pub host: PathBuf,
    /// Absolute path inside.
    pub inside: PathBuf,
}

/// Bounds of a tmpfs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tmpfs {
    /// Size in bytes.
    pub bytes: u64,
    /// Files and directories at most.
    pub inodes: u64,
}

/// Bounds of each process, `setrlimit(2)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimits {
    /// Open files.
    pub open_files: u64,
    /// Largest file in bytes.
    pub file_size: u64,
    /// Stack in bytes.
    pub stack: u64,
    /// CPU seconds; a second line behind the sandbox's own CPU limit.
    pub cpu_seconds: u64,
}

/// A layer that a diagnostic run can leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// The system call filter.
    Seccomp,
    /// The Landlock ruleset.
    Landlock,
    /// The limit of zero on further user namespaces.
    UsernsLimit,
    /// Dropping of the capabilities that a user namespace's creator has in it.
    Capabilities,
}

/// Which of a profile's host ids a job gets: every slot has one of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Slot(pub u32);

impl Slot {
    /// The job's uid and gid in the launcher's user namespace, where 0 is the launcher itself.
    #[must_use]
    pub fn id(self) -> u32 {
        self.0 + 1
    }
}

/// The host ids that a launcher's user namespace maps from 0 up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdRange {
    /// The host id that is root inside.
    pub base: u32,
    /// How many ids are mapped, root's included.
    pub count: u32,
}

/// The job's uid and gid as it sees them itself.
pub const JOB_ID: u32 = 1000;
