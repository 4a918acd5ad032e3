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
    /// The directory of the host in which each slot has device nodes of its own, if there are any: else all share the host's.
    pub devices: Option<PathBuf>,
    /// Host name inside.
    pub hostname: String,
    /// `/tmp`.
    pub tmp: Tmpfs,
    /// `/dev/shm`.
    pub shm: Tmpfs,
    /// Limits of each process.
    pub rlimits: Rlimits,
    /// Where a job starts.
    pub working_directory: PathBuf,
    /// The directory in which what a job leaves is found, on a file system of its own.
    pub out: PathBuf,
    /// The network that a job sees.
    pub network: Network,
    /// Numbers of the system calls that are allowed.
    pub syscalls: Vec<i64>,
    /// What becomes of single calls.
    pub call_rules: Vec<CallRule>,
    /// What Landlock grants at these paths, in place of what it would.
    pub path_rules: Vec<PathRule>,
    /// The least Landlock ABI that will do.
    pub landlock_min_abi: u32,
}

impl Spec {
    /// The same, without a word of where things are on the host: for a zygote, whose memory its jobs can read.
    #[must_use]
    pub fn inside(mut self) -> Self {
        self.mounts.iter_mut().for_each(|mount| mount.host = PathBuf::new());
        self.devices = None;
        self
    }
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

/// The network that a job sees. In neither is there anything but what the job itself brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// No interface is up, and no family of sockets but Unix is allowed.
    None,
    /// The loopback interface is up, with TCP and UDP.
    Loopback,
}

/// What becomes of a system call with certain arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRule {
    /// The call's number.
    pub number: i64,
    /// What has to hold, all of it.
    pub conditions: Vec<Condition>,
    /// What becomes of it then.
    pub action: CallAction,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CallAction {
    /// It is made.
    Allow,
    /// It is made, and the kernel logs it.
    Log,
    /// It fails with this error.
    Errno(u16),
    /// It ends the job.
    Kill,
}

/// A condition on an argument, without sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// Which argument, from 0.
    pub argument: u8,
    /// Whether its lower 32 bits alone are compared.
    pub narrow: bool,
    /// How.
    pub comparison: Comparison,
    /// With what.
    pub value: u64,
}

/// How an argument is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Comparison {
    /// `==`
    Equal,
    /// `==`, these bits alone.
    EqualIn(u64),
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    More,
    /// `>=`
    AtLeast,
}

/// What Landlock grants at and below a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathRule {
    /// Absolute path inside.
    pub path: PathBuf,
    /// Files may be read.
    pub read: bool,
    /// Directories may be listed.
    pub list: bool,
    /// Files may be run.
    pub execute: bool,
    /// Files and directories may be made, written and removed.
    pub write: bool,
}

/// Bounds of each process, `setrlimit(2)`. `u64::MAX` leaves what the supervisor itself has.
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
    /// Address space in bytes.
    pub address_space: u64,
    /// Heap and private mappings in bytes.
    pub data: u64,
    /// Processes and threads of the job's id.
    pub processes: u64,
    /// Queued signals and timers.
    pub pending_signals: u64,
    /// POSIX message queues in bytes.
    pub message_queues: u64,
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
