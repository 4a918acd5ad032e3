//! What is said of the programs that an operator meets: completions and man pages. The supervisor has none of its own,
//! so that it holds no more than it serves with.

use clap::{Command, CommandFactory};
use cloister_program::Man;
use cloister_supervisor::args::Arguments as Supervisor;

use crate::args::{Arguments, Completions, Program};
use crate::said::Said;

fn definition(program: Program) -> Command {
    match program {
        Program::Cloister => Arguments::command(),
        Program::CloisterSupervisor => Supervisor::command(),
    }
}

/// Prints completions.
pub fn completions(arguments: &Completions) -> Said {
    Said::well(cloister_program::completions(arguments.shell, definition(arguments.program)))
}

/// Writes the pages.
pub fn man(pages: &Man) -> Said {
    let first = pages.generate(definition(Program::Cloister));
    let all = match pages.directory {
        Some(_) => first.and_then(|text| pages.generate(definition(Program::CloisterSupervisor)).map(|_| text)),
        None => first,
    };
    all.into()
}
