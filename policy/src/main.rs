//! `cloister-policy`: checks a policy file and shows what is in it.

#![forbid(unsafe_code)]

mod args;
mod commands;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::args::{Arguments, Command};
use crate::commands::{Said, check, describe, diff, explain, generate};

fn main() -> ExitCode {
    let said = match Arguments::parse().command {
        Command::Check(arguments) => check::check(&arguments),
        Command::Explain(arguments) => explain::explain(&arguments),
        Command::Diff { old, new, output } => diff::diff(&old, &new, output),
        Command::Schema => describe::schema(),
        Command::Syscalls { group, output } => describe::syscalls(group.as_deref(), output),
        Command::Init => describe::init(),
        Command::Reference => describe::reference(),
        Command::Completions { shell } => generate::completions(shell),
        Command::Man { directory } => generate::man(directory.as_deref()),
    };
    tell(said)
}

/// Prints what was said. A reader that goes away early, such as `head`, is no failure.
fn tell(said: Said) -> ExitCode {
    let _ = std::io::stdout().write_all(said.out.as_bytes());
    let _ = std::io::stderr().write_all(said.error.as_bytes());
    ExitCode::from(said.code)
}
