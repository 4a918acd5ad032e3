//! From the text of a file to values with their places, each of the kind that its key has. What is wrong is reported,
//! and the tables are whole all the same.

mod call_rule;
mod calls;
mod condition;
mod errno;
mod lists;
mod path_rule;
mod paths;
mod profiles;
mod reader;
mod runtimes;
mod section;
mod tables;
mod value;
mod values;

pub(crate) use tables::Tables;
pub(crate) use value::Placed;
pub(crate) use values::Values;

#[cfg(feature = "text")]
pub(crate) use {
    call_rule::ACTIONS,
    condition::PATTERN as CONDITION_PATTERN,
    errno::{Errno, NAMES as ERRNO_NAMES},
    runtimes::is_own as is_said_beside_a_base,
    value::{Origin, Value},
};
