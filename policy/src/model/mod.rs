//! The validated policy: what the supervisor works from.

mod build;
mod policy;

pub(crate) use build::build;
pub use policy::{Children, Filesystem, Policy, Profile, Runner, Runtime, Supervisor, Warm};
