//! `cloister-gateway`: the internet-facing part. Validates, limits and forwards; holds no privilege.
//!
//! What it may touch: its listener, the connections that come in through it, and the supervisor's
//! socket. It never runs a script, opens a file after its start, or trusts what a client sends.

#![forbid(unsafe_code)]

mod activation;
mod args;
mod clock;
mod exchange;
mod listener;
mod log;
mod patience;
mod privileges;
mod refusal;
mod routes;
mod server;
mod upstream;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Arguments, Command, Serve};

fn main() -> ExitCode {
    let Command::Serve(arguments) = Arguments::parse().command;
    match serve(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("cloister-gateway: {message}");
            ExitCode::FAILURE
        }
    }
}

/// In this order: take the port, give up what that may have needed, and only then listen to anyone.
fn serve(arguments: &Serve) -> Result<(), String> {
    log::start(arguments.log_format)?;
    let listener = match activation::listener()? {
        Some(passed) => listener::adopt(passed, arguments.no_auth)?,
        None => listener::bind(arguments.listen, arguments.no_auth)?,
    };
    listener::raise_open_files();
    privileges::give_up(arguments.user.as_deref(), &arguments.socket)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(routes::PARSERS)
        .build()
        .map_err(|error| format!("start the event loop: {error}"))?;
    runtime.block_on(server::run(arguments, listener))
}
