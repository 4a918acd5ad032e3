//! `cloister policy`: checks a policy file and shows what is in it, a module for each that has something of its own to say.

mod args;
mod check;
mod describe;
mod diff;
mod explain;
mod file;
mod resolve;

pub use args::Policy;
pub use file::{NoPolicy, checked, for_host};

use crate::said::Said;
use args::Command;

/// Does what is asked.
pub fn policy(command: &Command) -> Said {
    match command {
        Command::Check(arguments) => check::check(arguments),
        Command::Explain(arguments) => explain::explain(arguments),
        Command::Diff { old, new, output } => diff::diff(old, new, *output),
        Command::Schema => describe::schema(),
        Command::Syscalls { group, output } => describe::syscalls(group.as_deref(), *output),
        Command::Init => describe::init(),
        Command::Resolve { name } => resolve::resolve(name),
        Command::Reference => describe::reference(),
    }
}
