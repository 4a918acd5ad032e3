//! `cloister-gateway`: the internet-facing part. Validates, limits and forwards; holds no privilege.
//!
//! What it may touch: its listener, the connections that come in through it, the supervisor's socket,
//! and the files of keys and certificates. It never runs a script or trusts what a client sends.

#![forbid(unsafe_code)]

mod admission;
mod api;
mod args;
mod error;
mod going;
mod keys;
mod listen;
mod metrics;
mod needs;
mod privileges;
mod probe;
mod serve;
mod systemd;
mod upstream;
mod usage;
mod watch;

use std::process::ExitCode;

use clap::CommandFactory;

use crate::api::openapi::{self, Versions};
use crate::args::{Arguments, Command};
use crate::error::Error;

fn main() -> ExitCode {
    let done = match cloister_program::parse::<Arguments>(&[("keys", "it is `cloister keys` now")]).command {
        Command::Serve(arguments) => serve::serve(*arguments),
        Command::Probe(asked) => return probe::probe(&asked),
        Command::Openapi => {
            println!("{}", openapi::document(&Versions::default()));
            Ok(())
        }
        Command::Completions(of) => {
            cloister_program::print(&of.generate(Arguments::command()));
            Ok(())
        }
        Command::Man(pages) => {
            pages.generate(Arguments::command()).map(|text| cloister_program::print(&text)).map_err(Error::Manual)
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cloister-gateway: {error}");
            ExitCode::FAILURE
        }
    }
}
