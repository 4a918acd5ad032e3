//! Cloister's policy file: its types, parsing, checks and messages.
//!
//! A file is parsed into a [`Policy`] in one step: [`Policy::load`] reports everything that is wrong
//! with it at once, each problem with its place in the file, and returns a policy only when nothing is.
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
//! let problems = cloister_policy::Policy::parse(text, "policy.toml".as_ref()).unwrap_err();
//! assert!(problems.to_string().contains("a size needs a unit"));
//! ```

#![forbid(unsafe_code)]
#![allow(clippy::disallowed_types, reason = "what is made here is told of the operator's own file")]

mod check;
mod danger;
mod diagnostic;
pub mod keys;
mod load;
mod model;
mod read;
pub mod seccomp;
mod suggest;
#[cfg(feature = "text")]
mod text;
mod trust;
mod units;

pub use cloister_terms::{
    Access, Action, Bytes, CallRule, Comparison, Condition, DEFAULT_PROFILE, Millicpus, Mount, Network, PathRule,
    Rlimits, Uid, WRITABLE,
};
pub use danger::{Danger, danger};
pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use load::{Checked, PolicyError};
pub use model::{Children, Filesystem, Policy, Profile, Runner, Runtime, Supervisor, Warm};
#[cfg(feature = "text")]
pub use text::{Explanation, NoProfile, diff, reference, schema};

/// The file that is shipped, to start from: every key with its default.
#[cfg(feature = "text")]
pub const SHIPPED: &str = include_str!("../policy.toml");
