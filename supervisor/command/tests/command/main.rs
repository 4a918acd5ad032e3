//! `cloister` as it is run: what it prints, and its exit codes.

#![allow(clippy::disallowed_types, reason = "what is read here our own program said")]

mod itself;
mod keys;
mod policy;

use std::process::Command;

/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_cloister");

/// Standard output, standard error and the exit code.
fn run(arguments: &[&str]) -> (String, String, i32) {
    let output = Command::new(PROGRAM).args(arguments).output().expect("it was built");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (text(output.stdout), text(output.stderr), output.status.code().expect("no signal"))
}
