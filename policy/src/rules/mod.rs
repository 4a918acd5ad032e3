//! Rules of a profile for single system calls and single paths.

mod call;
mod condition;
mod errno;
mod path;

pub use call::{Action, CallRule};
pub use condition::{Comparison, Condition};
pub use errno::Errno;
pub use path::{Access, PathRule};

pub(crate) use call::{ACTIONS, call_rule};
pub(crate) use condition::PATTERN as CONDITION_PATTERN;
pub(crate) use errno::NAMES as ERRNO_NAMES;
pub(crate) use path::{ACCESS, path_rule};
