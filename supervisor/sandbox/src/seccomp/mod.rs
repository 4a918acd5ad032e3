//! The system call filter of a job: an allow-list in BPF, `seccomp(2)`.
//!
//! The list of names is the policy's; what this file adds are the conditions on arguments that make
//! a name safe to allow, and the ways to refuse: `EPERM` for what is not on the list, `ENOSYS` for what
//! programs probe and fall back from (each call that is newer than what all of them expect to be there),
//! death for another architecture's calls, and for a few listed calls an answer instead of the call.

mod answered;
mod arguments;
mod compile;
mod frame;
mod halves;
mod own;
mod recorded;
mod rules;
#[cfg(test)]
mod sampled;
mod search_tree;
mod shorter;
mod sockets;
mod ways;

pub use crate::bpf::Filter;
pub use answered::is_unsupported;
pub use compile::{apply, compile};
pub use halves::Halves;
pub use own::{compile_supervisor, compile_waiting};
pub use recorded::{LISTENER, apply_recorded, compile_recorded};
