//! The command line.

use clap::{Parser, Subcommand};
use cloister_program::{Completions, Man};

use crate::keys::Keys;
use crate::policy::Policy;

/// Look after Cloister: its policy and its keys.
#[derive(Debug, Parser)]
#[command(name = "cloister", version)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check and understand the policy file.
    ///
    /// Exit codes: 0 all is well, 1 the file has problems or cannot be read, 2 the command line has,
    /// 3 `diff` found something that gets looser.
    Policy(Policy),
    /// Make, list and revoke the keys that clients need.
    Keys(Keys),
    /// Print completions for a shell.
    Completions(Completions),
    /// Write man pages, one for each subcommand, or print the first.
    Man(Man),
}

/// What others might look for here, and where it is.
pub const ELSEWHERE: [(&str, &str); 7] = [
    ("serve", "the daemons are `cloister-supervisor serve` and `cloister-gateway serve`"),
    ("check", "it is `cloister policy check`"),
    ("explain", "it is `cloister policy explain`"),
    ("diff", "it is `cloister policy diff`"),
    ("schema", "it is `cloister policy schema`"),
    ("syscalls", "it is `cloister policy syscalls`"),
    ("init", "it is `cloister policy init`"),
];

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Arguments;

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }
}
