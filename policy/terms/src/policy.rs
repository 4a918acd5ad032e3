//! The policy: what a file comes to, and what the supervisor works from.
//!
//! Who reads a file makes one of it when nothing in it is wrong. It crosses a pipe to the supervisor, which looks again
//! at what must hold of any ([`check`](Policy::check)).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::amount::{Bytes, Millicpus};
use crate::call::CallRule;
use crate::id::Uid;
use crate::network::Network;
use crate::package::Package;
use crate::path::{Mount, PathRule};
use crate::rlimits::Rlimits;
use crate::syscall::Syscall;

/// The profile of a request that names none.
pub const DEFAULT_PROFILE: &str = "default";

/// A whole policy file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// What holds for all profiles together.
    pub supervisor: Supervisor,
    /// The interpreters, by name.
    pub runtimes: BTreeMap<String, Runtime>,
    /// The profiles, by name; `default` is always there. Inheritance is already applied.
    pub profiles: BTreeMap<String, Profile>,
    /// SHA-256 of the file's text, 64 hexadecimal digits.
    pub digest: String,
}

/// Slots, queue and the host ids that jobs run as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Supervisor {
    /// Jobs at once, 1 to 4096.
    pub slots: u32,
    /// Requests that may wait for a slot; beyond that they are refused at once.
    pub queue: u32,
    /// How long a request waits at most.
    pub queue_wait: Duration,
    /// What answers may hold that are not read yet, before those who have some wait.
    pub answers: Bytes,
    /// Sessions that may be open, of all profiles and tenants, 0 to 4096.
    pub sessions: u32,
    /// What all of them may hold; without it a quarter of the host's memory.
    pub sessions_memory: Option<Bytes>,
    /// First host uid (and gid) of the range that Cloister uses; no account may lie in it.
    pub uid_base: Uid,
    /// Ids in that range.
    pub uid_count: u32,
    /// The least Landlock ABI that the kernel must offer.
    pub landlock_min_abi: u32,
}

/// An interpreter and what of the host it needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Runtime {
    /// The interpreter's path inside the sandbox.
    pub interpreter: PathBuf,
    /// Who serves a request in it.
    pub runner: Runner,
    /// What is mounted read-only for it.
    pub mounts: Vec<Mount>,
    /// Symbolic links in the sandbox's root, such as `lib` to `usr/lib`: (name, target).
    pub links: Vec<(String, PathBuf)>,
    /// Environment of every job, beside PATH, HOME, TMPDIR and LANG, and in place of what is else usual.
    pub environment: BTreeMap<String, String>,
    /// The version of the Python that it is, such as 3.11.7, if its tree says.
    pub python: Option<String>,
    /// The packages that are in it, by what its lock says, or else its tree; empty where neither says.
    pub packages: Vec<Package>,
    /// The top-level modules that these bring: only they may be imported ahead on account of what somebody asks for.
    pub modules: Vec<String>,
}

/// Who serves a request in an interpreter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Runner {
    /// Cloister's runner for Python, which the interpreter is started with.
    Python,
    /// The program itself, which speaks as that runner does.
    Own,
}

/// What a job may do and use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The profile's name.
    pub name: String,
    /// A key of [`Policy::runtimes`].
    pub runtime: String,
    /// Where a job starts: what the profile says, or else its runtime.
    pub working_directory: PathBuf,
    /// Time from request to verdict.
    pub wall_time: Duration,
    /// CPU time of all processes together.
    pub cpu_time: Duration,
    /// Memory of all processes together, tmpfs included.
    pub memory: Bytes,
    /// Swap on top of it.
    pub swap: Bytes,
    /// Processes and threads at once.
    pub processes: u32,
    /// The most CPU time at once.
    pub cpus: Millicpus,
    /// Share of CPU time where there is not enough for all, 1 to 10000; 100 is usual.
    pub cpu_weight: u32,
    /// The network that a job sees.
    pub network: Network,
    /// Host name inside.
    pub hostname: String,
    /// Largest script.
    pub script_bytes: Bytes,
    /// Largest result.
    pub result_bytes: Bytes,
    /// Standard output kept.
    pub stdout_bytes: Bytes,
    /// Standard error kept.
    pub stderr_bytes: Bytes,
    /// Files that a request may bring.
    pub files_in: u64,
    /// What is in them together.
    pub files_in_bytes: Bytes,
    /// Files that a job leaves and that are returned.
    pub files_out: u64,
    /// What is in them together.
    pub files_out_bytes: Bytes,
    /// The parts of the file system.
    pub filesystem: Filesystem,
    /// Resource limits of each process. Core files, locked memory and priorities are always 0.
    pub rlimits: Rlimits,
    /// The system calls that are allowed, sorted, each once.
    pub syscalls: Vec<Syscall>,
    /// What becomes of single calls; those that refuse or log come before what is allowed.
    pub call_rules: Vec<CallRule>,
    /// What Landlock grants at these paths in place of what it would.
    pub path_rules: Vec<PathRule>,
    /// Its calls of tools of the client's.
    pub tools: ToolLimits,
    /// Its sessions.
    pub sessions: SessionLimits,
    /// Whether a request may lower its wall time.
    pub may_lower_timeout: bool,
    /// A warm pool, if the profile keeps one.
    pub warm: Option<Warm>,
}

/// What a job may have of the tools of whoever sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolLimits {
    /// How long it waits for what one call returns.
    pub wait: Duration,
    /// How long for all of them.
    pub total: Duration,
    /// How many calls it may make.
    pub most: u32,
    /// Largest arguments of a call, and largest value of one, as JSON.
    pub bytes: Bytes,
}

/// How many sessions there may be, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionLimits {
    /// How many of the profile a tenant may have open.
    pub most: u32,
    /// How long one stays without a cell.
    pub idle: Duration,
    /// How long one stays at all.
    pub lifetime: Duration,
    /// How long a cell that was interrupted may go on.
    pub interrupt_wait: Duration,
}

/// The writable and the extra read-only parts of a sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filesystem {
    /// Size of `/tmp`.
    pub tmp: Bytes,
    /// Files and directories in `/tmp` at most.
    pub tmp_inodes: u64,
    /// Size of `/dev/shm`.
    pub shm: Bytes,
    /// Files in `/dev/shm` at most.
    pub shm_inodes: u64,
    /// Extra paths, read-only.
    pub read_only: Vec<Mount>,
}

/// Interpreters kept warm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Warm {
    /// Modules imported ahead of requests.
    pub imports: Vec<String>,
    /// Children parked ahead of requests.
    pub parked: u32,
    /// How often the zygote is replaced.
    pub renew: Duration,
    /// What the zygotes may hold that are kept for what scripts import; without it a quarter of the host's memory.
    pub memory: Option<Bytes>,
    /// How long such a zygote stays that nothing is asked of.
    pub idle: Duration,
    /// How the children come to be.
    pub children: Children,
}

/// How parked children come to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Children {
    /// Each is an interpreter of its own, with a layout and a secret of `hash(str)` of its own.
    Started,
    /// Forked from a zygote, with which they share both.
    Forked,
}
