//! `cloister-supervisor`: runs untrusted Python, each job in a sandbox of its own.

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use cloister_supervisor::daemon::lifecycle;
use cloister_supervisor::tools::args::{Arguments, Command};
use cloister_supervisor::tools::{doctor, learn, run};

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Serve(arguments) => lifecycle::serve(&arguments),
        Command::Doctor(arguments) => doctor::doctor(&arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::Learn(arguments) => learn::learn(&arguments),
        Command::Completions(of) => {
            cloister_program::print(&of.generate(Arguments::command()));
            Ok(ExitCode::SUCCESS)
        }
        Command::Man(pages) => pages.generate(Arguments::command()).map(|text| {
            cloister_program::print(&text);
            ExitCode::SUCCESS
        }),
        Command::Launcher => {
            cloister_sandbox::launcher::guard().map(|()| ExitCode::SUCCESS).map_err(|error| error.to_string())
        }
    };
    done.unwrap_or_else(|message| {
        eprintln!("cloister-supervisor: {message}");
        ExitCode::FAILURE
    })
}
