//! A program that reads what strangers have made, held so that it can write to some directories and nowhere else, whatever
//! there is in what it reads. Landlock, as a job has it.

use std::convert::Infallible;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use landlock::{ABI, AccessFs, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError};
use nix::sys::prctl;

use super::args;
use super::parent::end_with;

/// The newest Landlock ABI that is asked for; an older kernel enforces what it knows.
const ABI_KNOWN: ABI = ABI::V5;

/// What any program may write to.
const NOWHERE: &str = "/dev/null";

/// Why a program was not started.
#[derive(Debug, thiserror::Error)]
pub enum NotHeld {
    #[error("a promise to the kernel: {0}")]
    Kernel(#[from] nix::Error),
    #[error("Landlock: {0}")]
    Landlock(#[from] RulesetError),
    #[error("Landlock: {0}")]
    Path(#[from] landlock::PathFdError),
    #[error("{0}")]
    Exec(std::io::Error),
}

/// Becomes the program, which ends with whoever started this one.
///
/// # Errors
/// What kept it from starting.
pub fn hold(arguments: &args::Hold) -> Result<Infallible, NotHeld> {
    end_with(arguments.parent)?;
    prctl::set_no_new_privs()?;
    let write = AccessFs::from_write(ABI_KNOWN);
    let mut ruleset = Ruleset::default().handle_access(write)?.create()?;
    for directory in &arguments.write {
        ruleset = ruleset.add_rule(PathBeneath::new(PathFd::new(directory)?, write))?;
    }
    ruleset = ruleset.add_rule(PathBeneath::new(PathFd::new(Path::new(NOWHERE))?, AccessFs::WriteFile))?;
    ruleset.restrict_self()?;
    let (program, rest) = arguments.program.split_first().expect("its definition requires one");
    Err(NotHeld::Exec(Command::new(program).args(rest).exec()))
}
