//! `cloister-engine`: runs untrusted Python, each job in a sandbox of its own. What it takes to be root for is made before it
//! begins, by `cloister-supervisor`, which then becomes this program.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use cloister_engine::daemon::lifecycle::{self, ServeError};
use cloister_engine::link::launcher::SUBCOMMAND;
use cloister_supervisor::args::Serve;

/// The part of the supervisor that runs jobs; started by that.
#[derive(Debug, Parser)]
#[command(name = "cloister-engine", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the gateway over a Unix socket, as `cloister-supervisor serve` has been told.
    Serve(Serve),
    /// The guard of a launcher; started by the other.
    #[command(name = SUBCOMMAND, hide = true)]
    Launcher,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Serve(arguments) => lifecycle::serve(&arguments),
        Command::Launcher => cloister_sandbox::launcher::guard().map(|()| ExitCode::SUCCESS).map_err(ServeError::from),
    };
    done.unwrap_or_else(|error| {
        // To whoever started it, it is the one program that was asked for.
        eprintln!("cloister-supervisor: {error}");
        ExitCode::FAILURE
    })
}
