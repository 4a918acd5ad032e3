//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use cloister_engine::link::launcher::SUBCOMMAND;
use cloister_program::{Man, Shell};
use cloister_supervisor::args::Common;

use crate::keys::Keys;
use crate::layer::{Launcher, LayerName};
use crate::policy::Policy;
use crate::runtime::Runtime;

/// Look after Cloister: its host, its policy, its keys, and single scripts.
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
    /// Try every layer of the sandbox on this host and tell which hold. Needs root.
    Doctor(Doctor),
    /// Run one script in a throwaway sandbox and print its answer. Needs root.
    Run(Run),
    /// Run one script of your own and print what it uses beyond a profile, as a piece of policy. Needs root.
    Learn(Learn),
    /// Check and understand the policy file.
    ///
    /// Exit codes: 0 all is well, 1 the file has problems or cannot be read, 2 the command line has,
    /// 3 `diff` found something that gets looser.
    Policy(Policy),
    /// Lock, build, try, list and remove the packages of runtimes.
    Runtime(Runtime),
    /// Make, list, change and revoke the keys that clients need, and tell what they use.
    Keys(Keys),
    /// Print completions for a shell.
    Completions(Completions),
    /// Write man pages, one for each subcommand, the supervisor's too, or print the first.
    Man(Man),
    /// The guard of a launcher; started by the others.
    #[command(name = SUBCOMMAND, hide = true)]
    Launcher(Launcher),
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

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// The policy.
    #[command(flatten)]
    pub common: Common,
    /// Leave a layer out, to see that this is told.
    #[cfg(feature = "leave-out")]
    #[arg(long, value_name = "LAYER", value_enum)]
    pub without: Vec<LayerName>,
}

impl Doctor {
    /// The layers that are left out.
    #[must_use]
    pub fn without(&self) -> &[LayerName] {
        #[cfg(feature = "leave-out")]
        return &self.without;
        #[cfg(not(feature = "leave-out"))]
        &[]
    }
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct Run {
    /// The policy.
    #[command(flatten)]
    pub common: Common,
    /// The profile.
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Leave a layer out, to see that another holds without it; starts cold. Never do this with a stranger's script.
    #[arg(long, value_name = "LAYER", value_enum)]
    pub without: Vec<LayerName>,
    /// Tell the layers in force on standard error.
    #[arg(long)]
    pub explain: bool,
    /// The script; - is standard input.
    pub script: PathBuf,
}

/// Arguments of `learn`.
#[derive(Debug, Args)]
pub struct Learn {
    /// The policy.
    #[command(flatten)]
    pub common: Common,
    /// The profile.
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub profile: String,
    /// Refused: what is learned from is a sandbox of its own, never a daemon.
    #[arg(long, value_name = "PATH", hide = true)]
    pub socket: Option<PathBuf>,
    /// The script, your own: calls that the profile refuses are made; - is standard input.
    pub script: PathBuf,
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell.
    pub shell: Shell,
    /// The program.
    #[arg(long, value_enum, default_value_t = Program::Cloister)]
    pub program: Program,
}

/// A program that something is to be said of.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Program {
    /// This one.
    Cloister,
    /// The daemon that runs jobs.
    CloisterSupervisor,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Arguments;

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }
}
