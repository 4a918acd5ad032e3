//! What a launcher is told once about its profile: plain data, already checked by the policy.

use std::path::PathBuf;

pub use cloister_terms::{Action, Bytes, CallRule, Mount, Network, PathRule, Rlimits, Uid};
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
    /// CPU time of each process in seconds; a second line behind the sandbox's own CPU limit.
    pub cpu_seconds: u64,
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
    /// Layers left out, so that another can be seen to hold alone. Empty in a service.
    pub without: Vec<Layer>,
    /// Whether what the filter refuses is put to a recorder, who answers for it. Never in a service.
    pub recorded: bool,
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

/// Bounds of a tmpfs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tmpfs {
    /// Size.
    pub bytes: Bytes,
    /// Files and directories at most.
    pub inodes: u64,
}

/// A layer that can be left out: the first four by a diagnostic run, behind which others hold; the rest by the build
/// that tests the canary alone (feature `leave-out`), and by no other whatever it is told.
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
    /// A job's own user namespace, with its limit and its drop of capabilities.
    UserNamespace,
    /// A cell's own PID namespace.
    PidNamespace,
    /// An IPC namespace of a launcher's own, and of a cell's.
    IpcNamespace,
    /// A UTS namespace of a launcher's own, and of a cell's.
    UtsNamespace,
    /// A network namespace of a launcher's own, and of a cell's.
    NetworkNamespace,
    /// A job's own cgroup namespace.
    CgroupNamespace,
    /// That a root holds nothing of the host: its `/var` appears.
    HostTree,
    /// That a cell's root is read-only.
    ReadOnlyRoot,
    /// That what is mounted is read-only.
    ReadOnlyRuntime,
    /// That `/proc` is the processes' part alone.
    ProcSubset,
    /// `PR_SET_NO_NEW_PRIVS`.
    NoNewPrivileges,
    /// That a job is not dumpable.
    NotDumpable,
    /// Limits of a process.
    Rlimits,
    /// Closing of descriptors.
    Descriptors,
    /// That nothing of the supervisor's environment is in a job's.
    Environment,
    /// The supervisor's own confinement, part of which its jobs inherit.
    Confinement,
}

impl Spec {
    /// Whether a layer is left out, which only some can be outside of the build that tests the canary.
    #[must_use]
    pub fn leaves_out(&self, layer: Layer) -> bool {
        let diagnostic = matches!(layer, Layer::Seccomp | Layer::Landlock | Layer::UsernsLimit | Layer::Capabilities);
        (diagnostic || cfg!(feature = "leave-out")) && self.without.contains(&layer)
    }

    /// Of these `CLONE_NEW*` flags those that are not left out.
    #[must_use]
    pub fn namespaces(&self, flags: libc::c_int) -> libc::c_int {
        let left_out = [
            (Layer::PidNamespace, libc::CLONE_NEWPID),
            (Layer::IpcNamespace, libc::CLONE_NEWIPC),
            (Layer::UtsNamespace, libc::CLONE_NEWUTS),
            (Layer::NetworkNamespace, libc::CLONE_NEWNET),
        ];
        left_out
            .iter()
            .filter(|(layer, _)| self.leaves_out(*layer))
            .fold(flags, |flags, (_, left_out)| flags & !left_out)
    }
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
