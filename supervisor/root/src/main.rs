//! `cloister-supervisor`: what has to be root so that untrusted Python can run, each job in a sandbox of its own.

#![forbid(unsafe_code)]

use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use cloister_program::READY_PATH;
use cloister_supervisor::args::{Arguments, Command, ELSEWHERE};
use cloister_supervisor::{monitor, serve};

fn main() -> ExitCode {
    let done = match cloister_program::parse::<Arguments>(&ELSEWHERE).command {
        // It comes back with what kept it from starting alone.
        Command::Serve(arguments) => serve::serve(&arguments).map(|never| match never {}),
        Command::Probe(asked) => Ok(asked.probe.ask(READY_PATH, move || UnixStream::connect(asked.socket))),
        Command::Monitor => Ok(monitor::run()),
    };
    done.unwrap_or_else(|error| {
        eprintln!("cloister-supervisor: {error}");
        ExitCode::FAILURE
    })
}
