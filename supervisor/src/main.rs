//! `cloister-supervisor`: runs untrusted Python, each job in a sandbox of its own.

mod activation;
mod answers;
mod args;
mod canary;
mod claim;
mod confine;
mod connection;
mod connections;
mod denial;
mod devices;
mod doctor;
mod files;
mod forkers;
mod host;
mod interpreter;
mod job;
mod launcher;
mod learn;
mod line;
mod locks;
mod notify;
mod output;
mod places;
mod prepare_error;
mod profile;
mod pulse;
mod reload;
mod report;
mod requests;
mod run;
mod serve;
mod server;
mod service;
mod slots;
mod stall;
mod stats;
mod stream;
mod tally;
mod trial;
mod verdict;
mod watch;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::args::{Arguments, Command};

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Serve(arguments) => serve::serve(&arguments),
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
