//! `cloister-policy`: checks a policy file and shows what is in it.

#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use cloister_policy::Policy;
use cloister_policy::seccomp::{GROUPS, group};

/// Check and understand Cloister's policy file.
///
/// Exit codes: 0 all is well, 1 the file has problems, 2 the command line has.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Read a policy file and tell everything that is wrong with it.
    Check {
        /// The file.
        #[arg(default_value = "/etc/cloister/policy.toml")]
        file: PathBuf,
    },
    /// List the groups of system calls, or the calls in one.
    Syscalls {
        /// A group, such as @python.
        group: Option<String>,
    },
}

fn main() -> ExitCode {
    let said = match Arguments::parse().command {
        Command::Check { file } => check(&file),
        Command::Syscalls { group: None } => Ok(list_groups()),
        Command::Syscalls { group: Some(name) } => list_calls(&name),
    };
    match said {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(text) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}

fn check(file: &std::path::Path) -> Result<String, String> {
    let policy = Policy::load(file).map_err(|error| error.to_string())?;
    let missing = policy.missing_on_host();
    if !missing.is_empty() {
        return Err(format!("{}: {}", file.display(), missing.join("\n")));
    }
    let profiles = policy.profiles.keys().cloned().collect::<Vec<_>>().join(", ");
    Ok(format!("{}: no problems; profiles: {profiles}; digest {}", file.display(), &policy.digest[..12]))
}

fn list_groups() -> String {
    GROUPS.map(|(name, purpose, _)| format!("{name:<12} {purpose}")).join("\n")
}

fn list_calls(name: &str) -> Result<String, String> {
    let calls =
        group(name).ok_or_else(|| format!("there is no group {name:?}; `cloister-policy syscalls` lists them"))?;
    Ok(calls.iter().map(|call| call.name()).collect::<Vec<_>>().join("\n"))
}
