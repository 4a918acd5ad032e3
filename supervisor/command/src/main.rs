//! `cloister`: what an operator asks of a host, of a policy and of keys. Serves nobody.

#![forbid(unsafe_code)]
#![allow(clippy::disallowed_types, reason = "what is made here is told of the operator's own file")]

mod args;
mod keys;
mod policy;
mod said;

use std::process::ExitCode;

use clap::CommandFactory;

use crate::args::{Arguments, Command, ELSEWHERE};
use crate::said::Said;

fn main() -> ExitCode {
    let said = match cloister_program::parse::<Arguments>(&ELSEWHERE).command {
        Command::Policy(policy) => policy::policy(&policy.command),
        Command::Keys(keys) => keys::keys(keys),
        Command::Completions(of) => Said::well(of.generate(Arguments::command())),
        Command::Man(pages) => pages.generate(Arguments::command()).into(),
    };
    said.tell()
}
