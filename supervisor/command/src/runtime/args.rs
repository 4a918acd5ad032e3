//! The command line of `cloister runtime`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use cloister_policy::{Bytes, is_module, parse_size};
use cloister_supervisor::args::INSTALLED;

/// Arguments of `runtime`.
#[derive(Debug, Args)]
pub struct Runtime {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Settle which version of which package a runtime has: resolve what its `packages` names, and write the lock beside it.
    Lock(Lock),
    /// Install what locks say, each into a directory of its own, and import each module once in a sandbox. Needs root.
    Build(Build),
    /// List the runtimes with packages, and the builds with their sizes and with what uses them.
    List(Common),
    /// Import each module of a build anew in a sandbox, and tell what that takes and which can be kept warm. Needs root.
    Try(Try),
    /// Remove builds that neither the policy nor what runs on this host uses, and what can be fetched again. Needs root.
    Gc(Gc),
    /// Write to these directories and nowhere else from now on, and become a program.
    #[command(name = HOLD, hide = true)]
    Hold(Hold),
    /// Compile the modules of a build, by its base's interpreter, with nothing of the host in sight.
    #[command(name = COMPILE, hide = true)]
    Compile(Compile),
    /// Import each module of a directory in a sandbox, and print what came of it.
    #[command(name = IMPORTS, hide = true)]
    Imports(Imports),
}

/// The name of [`Command::Hold`].
pub const HOLD: &str = "hold";

/// The name of [`Command::Compile`].
pub const COMPILE: &str = "compile";

/// The name of [`Command::Imports`].
pub const IMPORTS: &str = "imports";

/// What every subcommand takes.
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// The policy file.
    #[arg(long, value_name = "FILE", default_value = INSTALLED)]
    pub policy: PathBuf,
    /// Print JSON, for machines.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `lock`.
#[derive(Debug, Args)]
pub struct Lock {
    /// Runtimes of the policy; without any, all that have packages.
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Take the newest versions of all packages; without it those of the older lock stay where they will do.
    #[arg(long)]
    pub upgrade: bool,
    /// Take the newest version of this package.
    #[arg(long, value_name = "PACKAGE")]
    pub upgrade_package: Vec<String>,
    /// The policy, and how to tell.
    #[command(flatten)]
    pub common: Common,
}

/// Arguments of `build`.
#[derive(Debug, Args)]
pub struct Build {
    /// Runtimes of the policy; without any, all that have packages.
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// The most that all builds together may take on disk, with what they were made of.
    #[arg(long, value_name = "SIZE", default_value = "20GiB", value_parser = parse_size)]
    pub most: Bytes,
    /// The policy, and how to tell.
    #[command(flatten)]
    pub common: Common,
}

/// Arguments of `try`.
#[derive(Debug, Args)]
pub struct Try {
    /// A runtime of the policy.
    pub name: String,
    /// Modules to try instead of all top-level ones, such as scipy.stats: what came of them is told and not kept.
    #[arg(value_name = "MODULE", value_parser = module)]
    pub modules: Vec<String>,
    /// The policy, and how to tell.
    #[command(flatten)]
    pub common: Common,
}

fn module(text: &str) -> Result<String, String> {
    let is_one = text.split('.').all(is_module);
    is_one.then(|| text.to_owned()).ok_or_else(|| "expected the name of a module, such as scipy.stats".to_owned())
}

/// Arguments of `gc`.
#[derive(Debug, Args)]
pub struct Gc {
    /// Tell what would be removed, and remove nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// The policy, and how to tell.
    #[command(flatten)]
    pub common: Common,
}

/// Arguments of `hold`.
#[derive(Debug, Args)]
pub struct Hold {
    /// Who started it.
    #[arg(long)]
    pub parent: i32,
    /// A directory that may be written to.
    #[arg(long)]
    pub write: Vec<PathBuf>,
    /// The program with its arguments.
    #[arg(last = true, required = true)]
    pub program: Vec<OsString>,
}

/// Arguments of `compile`.
#[derive(Debug, Args)]
pub struct Compile {
    /// Who started it.
    #[arg(long)]
    pub parent: i32,
    /// What is shown at /usr.
    #[arg(long)]
    pub usr: PathBuf,
    /// What is shown at the place of packages, and written to.
    #[arg(long)]
    pub packages: PathBuf,
    /// That place.
    #[arg(long)]
    pub site: PathBuf,
    /// An empty directory.
    #[arg(long)]
    pub root: PathBuf,
    /// The interpreter, as it is seen in there.
    #[arg(long)]
    pub interpreter: PathBuf,
    /// A link in the root, NAME=TARGET.
    #[arg(long)]
    pub link: Vec<String>,
    /// Whom it runs as.
    #[arg(long)]
    pub id: u32,
}

/// Arguments of `imports`.
#[derive(Debug, Args)]
pub struct Imports {
    /// Who started it.
    #[arg(long)]
    pub parent: i32,
    /// The policy file.
    #[arg(long)]
    pub policy: PathBuf,
    /// The runtime.
    #[arg(long)]
    pub runtime: String,
    /// Its packages, in place of those that it has.
    #[arg(long)]
    pub packages: PathBuf,
    /// Where they are seen.
    #[arg(long)]
    pub site: PathBuf,
    /// The modules.
    #[arg(last = true)]
    pub modules: Vec<String>,
}
