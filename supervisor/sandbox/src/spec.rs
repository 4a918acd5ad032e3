//! What a launcher is told once about its profile: plain data, already checked by the policy.

use std::path::{Path, PathBuf};

use cloister_terms::WRITABLE;
pub use cloister_terms::{Action, Bytes, CallRule, Mount, Network, PathRule, Rlimits, Uid};
use serde::{Deserialize, Serialize};

/// Everything a launcher and the jobs under it need to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// The interpreter's arguments, its absolute path inside the sandbox first.
    pub command: Vec<String>,
    /// How what the interpreter runs can be compiled once for many.
    pub compiler: Option<Compiler>,
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
    /// CPU time of each process in seconds; a second line behind the sandbox's own CPU limit.
    pub cpu_seconds: u64,
    /// Where a job starts.
    pub working_directory: PathBuf,
    /// That directory, if it is one of the job's own that lies neither in `/tmp` nor in `/dev/shm`. It shares the bounds of
    /// `/tmp`.
    pub own_directory: Option<PathBuf>,
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
    /// The directories that a job may write to, each with the bounds of its file system.
    pub fn writable(&self) -> impl Iterator<Item = (&Path, Tmpfs)> {
        let [tmp, shm] = WRITABLE.map(Path::new);
        let own = self.own_directory.as_deref().map(|own| (own, self.tmp));
        [(tmp, self.tmp), (shm, self.shm)].into_iter().chain(own)
    }

    /// Of these the one that a path lies in, if it lies in one.
    #[must_use]
    pub fn own_file_system(&self, path: &Path) -> Option<(&Path, Tmpfs)> {
        self.writable().find(|(writable, _)| path.starts_with(writable))
    }

    /// The same, without a word of where things are on the host: for a zygote, whose memory its jobs can read.
    #[must_use]
    pub fn inside(mut self) -> Self {
        self.mounts.iter_mut().for_each(|mount| mount.host = PathBuf::new());
        self.devices = None;
        self
    }
}

/// How an interpreter compiles its program, and is started with what came of that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compiler {
    /// Which of the command's arguments is the program's text.
    pub program: usize,
    /// The command that compiles the text, which is its last argument and not in here: what it writes to its standard output is
    /// the code.
    pub compile: Vec<String>,
    /// What stands in the text's place where its code is open at [`CODE`](crate::sealed::CODE), which it closes.
    pub load: String,
}

/// Bounds of a tmpfs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tmpfs {
    /// Size.
    pub bytes: Bytes,
    /// Files and directories at most.
    pub inodes: u64,
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
    pub base: Uid,
    /// How many ids are mapped, root's included.
    pub count: u32,
}

/// The job's uid and gid as it sees them itself.
pub const JOB_ID: u32 = 1000;
