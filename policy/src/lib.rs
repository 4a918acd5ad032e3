//! Cloister's policy file: its keys, parsing, checks and messages.
//!
//! A file is parsed into a [`Policy`] in one step: [`Checked::parse`] reports everything that is wrong
//! with it at once, each problem with its place in the file, and returns a policy only when nothing is.
//! It is none of the supervisor's: that has the policy from a process that reads it here, without a privilege.
//!
//! ```
//! let text = r#"
//! version = 1
//! [runtime.python]
//! interpreter = "/usr/bin/python3"
//! mounts = ["/var/lib/cloister/python/usr:/usr"]
//! [profile.default]
//! memory = "512"
//! "#;
//! let problems = cloister_policy::Checked::parse(text, "policy.toml".as_ref()).unwrap_err();
//! assert!(problems.to_string().contains("a size needs a unit"));
//! ```

#![forbid(unsafe_code)]
#![allow(clippy::disallowed_types, reason = "what is made here is told of the operator's own file")]

mod build;
mod check;
mod danger;
mod diagnostic;
pub mod keys;
mod load;
pub mod packages;
mod read;
pub mod seccomp;
mod suggest;
#[cfg(feature = "text")]
mod text;
mod units;

pub use cloister_terms::{
    Access, Action, Bytes, CallRule, Children, Comparison, Condition, DEFAULT_PROFILE, Filesystem, Millicpus, Mount,
    Network, Package, PathRule, Policy, Profile, Rlimits, Runner, Runtime, Supervisor, Uid, WRITABLE, Warm, is_module,
};
pub use danger::{Danger, danger};
pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use load::{Checked, PolicyError, missing_on_host};
#[cfg(feature = "text")]
pub use text::{Explanation, NoProfile, diff, reference, schema};

/// The file that is shipped, to start from: every key with its default.
#[cfg(feature = "text")]
pub const SHIPPED: &str = include_str!("../policy.toml");

/// Reads a size with its unit, such as "64MiB".
///
/// # Errors
/// What is wrong with it, in words.
pub fn parse_size(text: &str) -> Result<Bytes, String> {
    units::size(text).map_err(|error| error.to_string())
}
