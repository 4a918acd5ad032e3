//! `cloister-policy`: checks a policy file and shows what is in it.

#![forbid(unsafe_code)]
#![allow(clippy::disallowed_types, reason = "what is made here is told of the operator's own file")]

mod args;
mod commands;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::args::{Arguments, Command};
use crate::commands::{Said, check, describe, diff, explain};

fn main() -> ExitCode {
    let said = match Arguments::parse().command {
        Command::Check(arguments) => check::check(&arguments),
        Command::Explain(arguments) => explain::explain(&arguments),
        Command::Diff { old, new, output } => diff::diff(&old, &new, output),
        Command::Schema => describe::schema(),
        Command::Syscalls { group, output } => describe::syscalls(group.as_deref(), output),
        Command::Init => describe::init(),
        Command::Reference => describe::reference(),
        Command::Completions(of) => Said::well(of.generate(Arguments::command())),
        Command::Man(pages) => match pages.generate(Arguments::command()) {
            Ok(text) => Said::well(text),
            Err(error) => Said::problem(format!("error: {error}")),
        },
    };
    tell(said)
}

/// Prints what was said.
fn tell(said: Said) -> ExitCode {
    cloister_program::print(&said.out);
    let _ = std::io::stderr().write_all(said.error.as_bytes());
    ExitCode::from(said.code)
}
