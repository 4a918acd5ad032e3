//! Every key of the file, in one table: its kind, its bounds, its default and what it is for.
//!
//! The parser, `explain`, `diff`, the JSON Schema and the reference in `docs/policy.md` are made from this table, so that
//! they cannot differ; what the supervisor works from is filled from its values in
//! `build.rs`, which asks by the keys' constants. A key that is not here does not exist.

mod key;
pub(crate) mod profile;
pub(crate) mod runtime;
pub(crate) mod supervisor;
mod typed;

pub use key::{Default, Key, Kind, More};
pub use profile::PROFILE;
pub use runtime::RUNTIME;
pub use supervisor::SUPERVISOR;
pub(crate) use typed::{CallRules, Mounts, Of, Pairs, PathRules, Table, Text, Words};
