//! What a job may do and use, in the terms that the policy and the sandbox share, and the policy that is made of them.
//!
//! Plain data, and nothing is asked of anybody here: the policy's reader makes it from a file, without a privilege, and
//! what builds sandboxes is told it.

#![forbid(unsafe_code)]

mod amount;
mod amounts;
mod call;
mod id;
mod network;
mod never;
mod package;
mod path;
mod policy;
mod rlimits;
mod sound;
mod syscall;

pub use amount::{Bytes, Millicpus, UNLIMITED};
pub use amounts::{MOST_SESSIONS, MOST_SLOTS, MOST_WAITING};
pub use call::{Action, CallRule, Comparison, Condition};
pub use id::{LAST, LEAST, LEAST_ON_HOST, NOBODY, READERS, Uid};
pub use network::Network;
pub use never::NEVER;
pub use package::{Package, is_module};
pub use path::{Access, KERNELS, Mount, OUT, PathRule, WRITABLE};
pub use policy::{
    Children, DEFAULT_PROFILE, Filesystem, Policy, Profile, Runner, Runtime, SessionLimits, Supervisor, ToolLimits,
    Warm,
};
pub use rlimits::{Bound, Rlimits};
pub use sound::Unsound;
pub use syscall::{NoSyscall, Syscall};
