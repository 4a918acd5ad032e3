//! `cloister runtime`: packages for runtimes, locked, built, tried, listed and removed. The daemons have nothing of it: a build
//! is a directory, which the policy's reader finds.

mod again;
mod args;
mod build;
mod compile;
mod error;
mod file;
mod gc;
mod hold;
mod input;
mod list;
mod lock;
mod parent;
mod pinned;
mod pip;
mod progress;
mod settle;
mod store;
mod table;
mod trial;
mod used;
mod uv;
mod wanted;

pub use args::Runtime;

use cloister_policy::Checked;
use nix::sys::stat::{Mode, umask};
use serde_json::{Value as Json, json};

use crate::policy::checked;
use crate::said::{PROBLEMS, Said, WELL};
use args::{Command, Common};
use error::Error;

/// What came of a command, for people and for machines.
type Told = (String, Json);

impl Runtime {
    /// Whether it makes sandboxes, in a control group of its own.
    pub fn makes_sandboxes(&self) -> bool {
        matches!(self.command, Command::Imports(_))
    }
}

/// Does what is asked.
///
/// # Errors
/// What kept sandboxes from being made.
pub fn runtime(runtime: &Runtime) -> Result<Said, crate::error::Error> {
    // Locks and builds are for everybody to read, whatever the operator's own files are: jobs run as nobody.
    umask(Mode::from_bits_truncate(0o022));
    Ok(match &runtime.command {
        Command::Lock(arguments) => told(&arguments.common, |checked| {
            let locked = lock::lock(checked, arguments)?;
            Ok((locked.iter().map(lock::Locked::words).collect(), locked.iter().map(lock::Locked::json).collect()))
        }),
        Command::Build(arguments) => told(&arguments.common, |checked| {
            let built = build::build(checked, arguments)?;
            Ok((built.iter().map(build::Built::words).collect(), built.iter().map(build::Built::json).collect()))
        }),
        Command::List(common) => told(common, |checked| {
            let list = list::list(checked)?;
            Ok((list.words(), list.json()))
        }),
        Command::Try(arguments) => told(&arguments.common, |checked| {
            let tried = again::again(checked, arguments)?;
            Ok((tried.words(), tried.json()))
        }),
        Command::Gc(arguments) => told(&arguments.common, |checked| {
            let removed = gc::gc(checked, arguments.dry_run)?;
            Ok((removed.words(), removed.json()))
        }),
        Command::Hold(arguments) => became(hold::hold(arguments)),
        Command::Compile(arguments) => became(compile::compile(arguments)),
        Command::Imports(arguments) => Said::json(&json!(trial::imports(arguments)?), WELL),
    })
}

/// Of a program that this one is no more, nothing.
fn became<E: std::fmt::Display>(done: Result<std::convert::Infallible, E>) -> Said {
    match done {
        Err(error) => Said::problem(format!("cloister: {error}")),
    }
}

fn told(common: &Common, does: impl FnOnce(&Checked) -> Result<Told, Error>) -> Said {
    match checked(&common.policy).map_err(Error::from).and_then(|checked| does(&checked)) {
        Ok((_, json)) if common.json => Said::json(&json, WELL),
        Ok((words, _)) => Said::well(words),
        Err(error) if common.json => Said::json(&json!({ "error": error.to_string() }), PROBLEMS),
        Err(error) => Said::problem(format!("cloister: {error}")),
    }
}
