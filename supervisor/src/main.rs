//! `cloister-supervisor`: runs untrusted Python, each job in a sandbox of its own.

mod activation;
mod args;
mod canary;
mod confine;
mod connection;
mod denial;
mod doctor;
mod files;
mod host;
mod job;
mod launcher;
mod learn;
mod notify;
mod output;
mod profile;
mod reload;
mod report;
mod run;
mod running;
mod serve;
mod server;
mod service;
mod slots;
mod stats;
mod stream;
mod tally;
mod verdict;
mod watch;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::args::{Arguments, Command};

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Serve(arguments) => serve::serve(&arguments),
        Command::Doctor(arguments) => doctor::doctor(&arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::Learn(arguments) => learn::learn(&arguments),
        Command::Completions(of) => print(&of.generate(Arguments::command())),
        Command::Man(pages) => pages.generate(Arguments::command()).and_then(|text| print(&text)),
        Command::Launcher => {
            cloister_sandbox::launcher::guard().map(|()| ExitCode::SUCCESS).map_err(|error| error.to_string())
        }
    };
    done.unwrap_or_else(|message| {
        eprintln!("cloister-supervisor: {message}");
        ExitCode::FAILURE
    })
}

/// A reader that goes away early, such as `head`, is no failure.
fn print(text: &str) -> Result<ExitCode, String> {
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(ExitCode::SUCCESS)
}
