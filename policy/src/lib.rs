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
#![cfg_attr(not(feature = "text"), allow(dead_code, unused_imports, reason = "the text half is all that uses them"))]

mod checks;
mod diagnostic;
#[cfg(feature = "text")]
pub mod diff;
#[cfg(feature = "text")]
mod explain;
mod host;
mod inside;
pub mod keys;
mod load;
mod model;
mod paths;
mod profile;
mod read;
#[cfg(feature = "text")]
pub mod reference;
pub mod rules;
#[cfg(feature = "text")]
mod schema;
pub mod seccomp;
mod section;
mod show;
mod tables;
mod units;
mod values;

pub use diagnostic::{Diagnostic, Diagnostics, Severity};
#[cfg(feature = "text")]
pub use explain::Explanation;
pub use load::{Checked, PolicyError};
pub use model::{
    Bytes, Children, Filesystem, Network, Policy, Profile, ReadOnlyMount, Rlimits, Runner, Runtime, Supervisor, Warm,
};
pub use paths::{Danger, danger};
pub use rules::{CallRule, PathRule};
#[cfg(feature = "text")]
pub use schema::schema;

/// The file that is shipped, to start from: every key with its default.
#[cfg(feature = "text")]
pub const SHIPPED: &str = include_str!("../policy.toml");
