//! The kernel's edge of Cloister: everything that makes a sandbox, as small functions named after
//! the thing they ask the kernel for.
//!
//! Three processes are built from here, each less trusted than the one before:
//!
//! 1. [`launcher`]: one per profile, root of a user namespace of unprivileged host ids, first
//!    process of a PID namespace whose death takes every sandbox of the profile with it;
//! 2. [`cell`]: one per job, the namespaces and the root file system, with a tiny init inside;
//! 3. [`enter`]: what a job's process does to itself, cold or forked from a warm interpreter,
//!    before it runs a line of untrusted code.
//!
//! The supervisor talks to the first over [`wire`] and keeps [`cgroup`] in its own hands.

pub mod bpf;
pub mod cell;
mod cell_root;
pub mod cgroup;
mod compiled;
pub mod credentials;
pub mod devices;
pub mod enter;
mod error;
pub mod etc;
pub mod forker;
mod kept;
pub mod landlock;
pub mod launcher;
pub mod limits;
pub mod loopback;
mod mount;
pub mod overlay;
pub mod paths;
pub mod process;
mod process_ids;
mod program;
pub mod recorder;
pub mod root;
pub mod sealed;
pub mod seccomp;
mod slot_namespaces;
pub mod spec;
pub mod sys;
mod user_namespace;
pub mod weaker;
pub mod wire;
pub mod zygote_place;

pub use error::{Context, Error, Result, is_shortage};
