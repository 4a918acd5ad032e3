//! The command line of `cloister policy`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use cloister_supervisor::args::INSTALLED;
use cloister_supervisor::reader::RESOLVE;

/// Arguments of `policy`.
#[derive(Debug, Args)]
pub struct Policy {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Read a policy file and tell everything that is wrong with it, on its own and on this host.
    Check(Check),
    /// Show what holds in the end: each value, where it was said, and the system calls that are allowed.
    Explain(Explain),
    /// Tell what gets looser and what gets stricter from one policy to another. Exit code 3: something gets looser.
    Diff {
        /// The policy as it is.
        old: PathBuf,
        /// The policy as it would be.
        new: PathBuf,
        #[command(flatten)]
        output: Output,
    },
    /// Print the JSON Schema of the file, for editors.
    Schema,
    /// List the groups of system calls, or the calls in one.
    Syscalls {
        /// A group, such as @python.
        group: Option<String>,
        #[command(flatten)]
        output: Output,
    },
    /// Print a commented file to start from.
    Init,
    /// Read a policy from standard input and print what it comes to; started by the supervisor, as nobody.
    #[command(name = RESOLVE, hide = true)]
    Resolve {
        /// What messages call the file.
        #[arg(long)]
        name: PathBuf,
    },
    /// Print the reference of every key that docs/policy.md holds.
    #[command(hide = true)]
    Reference,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct Check {
    /// The file.
    #[arg(default_value = INSTALLED)]
    pub file: PathBuf,
    /// Also start each profile's interpreter in its sandbox. Needs root.
    #[arg(long = "try")]
    pub attempt: bool,
    /// Look at the file alone, not at what this host has of what it names.
    #[arg(long, conflicts_with = "attempt")]
    pub file_only: bool,
    /// Take warnings for errors.
    #[arg(long)]
    pub strict: bool,
    /// How to tell.
    #[command(flatten)]
    pub output: Output,
}

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// The profile; without it, everything.
    pub profile: Option<String>,
    /// The policy file.
    #[arg(long, value_name = "FILE", default_value = INSTALLED)]
    pub policy: PathBuf,
    /// How to tell.
    #[command(flatten)]
    pub output: Output,
}

/// How results are told.
#[derive(Clone, Copy, Debug, Args)]
pub struct Output {
    /// Print JSON, for machines.
    #[arg(long)]
    pub json: bool,
}
