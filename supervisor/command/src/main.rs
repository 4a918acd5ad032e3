//! `cloister`: what an operator asks of a host, of a policy, of a script and of keys. Serves nobody.

#![forbid(unsafe_code)]
#![allow(clippy::disallowed_types, reason = "what is made here is told of the operator's own file")]

mod args;
mod beside;
mod cause;
mod doctor;
mod error;
mod keys;
mod layer;
mod learn;
mod manual;
mod policy;
mod run;
mod runtime;
mod said;
mod scope;
mod script;

use std::process::ExitCode;

use crate::args::{Arguments, Command, ELSEWHERE};

fn main() -> ExitCode {
    let command = cloister_program::parse::<Arguments>(&ELSEWHERE).command;
    if makes_sandboxes(&command)
        && let Err(error) = scope::have_own_group()
    {
        eprintln!("cloister: start in a control group of its own with systemd-run: {error}");
        return ExitCode::FAILURE;
    }
    let done = match command {
        Command::Doctor(arguments) => doctor::doctor(&arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::Learn(arguments) => learn::learn(&arguments),
        Command::Runtime(of) => runtime::runtime(&of).map(said::Said::tell),
        Command::Policy(policy) => Ok(policy::policy(&policy.command).tell()),
        Command::Keys(keys) => Ok(keys::keys(keys).tell()),
        Command::Completions(of) => Ok(manual::completions(&of).tell()),
        Command::Man(pages) => Ok(manual::man(&pages).tell()),
        Command::Launcher(arguments) => layer::launcher(&arguments).map(|()| ExitCode::SUCCESS).map_err(Into::into),
    };
    done.unwrap_or_else(|error: error::Error| {
        eprintln!("cloister: {error}");
        ExitCode::FAILURE
    })
}

/// Whether a command makes sandboxes, for which it needs a control group of its own.
fn makes_sandboxes(command: &Command) -> bool {
    match command {
        Command::Doctor(_) | Command::Run(_) | Command::Learn(_) => true,
        Command::Runtime(of) => of.makes_sandboxes(),
        _ => false,
    }
}
