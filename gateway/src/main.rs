//! `cloister-gateway`: the internet-facing part. Validates, limits and forwards; holds no privilege.
//!
//! What it may touch: its listener, the connections that come in through it, the supervisor's socket,
//! and the files of keys and certificates. It never runs a script or trusts what a client sends.

#![forbid(unsafe_code)]

mod accept;
mod activation;
mod admin;
mod admission;
mod args;
mod client;
mod clock;
mod credentials;
mod exchange;
mod held;
mod host;
mod keys;
mod listener;
mod mcp;
mod metrics;
mod openapi;
mod page;
mod patience;
mod privileges;
mod reading;
mod refusal;
mod reload;
mod routes;
mod server;
mod streamed;
mod tenant;
mod tls;
mod trace;
mod upstream;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::CommandFactory;
use cloister_program::log;

use crate::args::{Arguments, Command, Serve};

fn main() -> ExitCode {
    let done = match cloister_program::parse::<Arguments>(&[("keys", "it is `cloister keys` now")]).command {
        Command::Serve(mut arguments) => credentials::adopt(&mut arguments).and_then(|()| serve(&arguments)),
        Command::Openapi => {
            println!("{}", openapi::document());
            Ok(())
        }
        Command::Completions(of) => {
            cloister_program::print(&of.generate(Arguments::command()));
            Ok(())
        }
        Command::Man(pages) => pages.generate(Arguments::command()).map(|text| cloister_program::print(&text)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("cloister-gateway: {message}");
            ExitCode::FAILURE
        }
    }
}

/// In this order: take the port, give up what that may have needed, and only then listen to anyone.
fn serve(arguments: &Serve) -> Result<(), String> {
    // It tells of every message, and what is in some.
    log::start(arguments.log_format, ["rmcp=off".parse().expect("a directive")])?;
    let open = arguments.no_auth || arguments.keys.is_some();
    let passed = activation::listeners()?;
    let listener = match passed.clients {
        Some(passed) => listener::adopt(passed, open)?,
        None => listener::bind(arguments.listen, open)?,
    };
    let metrics = match passed.metrics {
        Some(passed) => Some(admin::adopt(passed)?),
        None => arguments.metrics.map(admin::bind).transpose()?,
    };
    listener::raise_open_files();
    let files = [&arguments.keys, &arguments.tls_certificate, &arguments.tls_key];
    let files: Vec<_> = files.into_iter().flatten().map(PathBuf::as_path).collect();
    privileges::give_up(arguments.user.as_deref(), &arguments.socket, &files)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(reading::THREADS)
        .on_thread_start(cloister_program::stand_behind)
        .build()
        .map_err(|error| format!("start the event loop: {error}"))?;
    runtime.block_on(server::run(arguments, listener, metrics))
}
