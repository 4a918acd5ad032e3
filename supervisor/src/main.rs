//! `cloister-supervisor`: runs untrusted Python, each job in a sandbox of its own.

use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use cloister_protocol::READY_PATH;
use cloister_supervisor::daemon::args::{Arguments, Command, ELSEWHERE};
use cloister_supervisor::daemon::lifecycle::{self, ServeError};

fn main() -> ExitCode {
    let done = match cloister_program::parse::<Arguments>(&ELSEWHERE).command {
        Command::Serve(arguments) => lifecycle::serve(&arguments),
        Command::Probe(asked) => Ok(asked.probe.ask(READY_PATH, move || UnixStream::connect(asked.socket))),
        Command::Launcher => cloister_sandbox::launcher::guard().map(|()| ExitCode::SUCCESS).map_err(ServeError::from),
    };
    done.unwrap_or_else(|error| {
        eprintln!("cloister-supervisor: {error}");
        ExitCode::FAILURE
    })
}
