//! What a job may do and use, in the terms that the policy and the sandbox share.
//!
//! Plain data, and nothing is asked of anybody here: the policy's reader makes it from a file, without a privilege, and
//! what builds sandboxes is told it.

#![forbid(unsafe_code)]

mod amount;
mod call;
mod id;
mod path;
mod rlimits;

pub use amount::{Bytes, Millicpus, UNLIMITED};
pub use call::{Action, CallRule, Comparison, Condition};
pub use id::Uid;
pub use path::{Access, Mount, OUT, PathRule, WRITABLE};
pub use rlimits::{Bound, Rlimits};

/// The profile of a request that names none.
pub const DEFAULT_PROFILE: &str = "default";

/// The network that a job sees. In neither is there anything but what the job itself brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Network {
    /// A namespace of its own with no interface up, and no family of sockets but Unix.
    None,
    /// A namespace of its own in which the loopback interface is up, with TCP and UDP.
    Loopback,
}
