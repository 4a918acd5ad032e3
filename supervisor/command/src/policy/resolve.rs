//! `resolve`: reads a policy for the supervisor, which has root's power and so reads no file of this kind itself.
//!
//! Started by it, as an id that nobody has, with the file as standard input. What is wrong goes to standard error, what the
//! file comes to, as JSON, to standard output; the supervisor looks at that again.

use std::path::Path;

use cloister_policy::{Checked, Policy, PolicyError};
use cloister_program::clipped;
use cloister_sandbox::seccomp;
use landlock::{
    ABI, Access, AccessFs, AccessNet, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
    Scope,
};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;

use crate::said::{Said, WELL};

/// The newest Landlock ABI that is asked for; an older kernel enforces what it knows.
const NEWEST_ABI: ABI = ABI::V10;

/// What the longest file takes, and much more: no core file, no file at all, no process, and an end.
const LIMITS: [(Resource, u64); 6] = [
    (Resource::RLIMIT_CORE, 0),
    (Resource::RLIMIT_FSIZE, 0),
    (Resource::RLIMIT_NPROC, 0),
    (Resource::RLIMIT_NOFILE, 64),
    (Resource::RLIMIT_CPU, 60),
    (Resource::RLIMIT_AS, 2 << 30),
];

/// How much of what is wrong is told, in bytes: the first hundreds of problems.
const MOST_TOLD: usize = 128 * 1024;

/// Why nothing was read.
#[derive(Debug, thiserror::Error)]
enum NotConfined {
    #[error("a limit or a promise to the kernel: {0}")]
    Kernel(#[from] nix::Error),
    #[error("Landlock: {0}")]
    Landlock(#[from] RulesetError),
    #[error("Landlock: {0}")]
    Root(#[from] landlock::PathFdError),
    #[error(transparent)]
    Seccomp(#[from] cloister_sandbox::Error),
}

/// Reads standard input, and prints the policy or what is wrong with it.
pub fn resolve(name: &Path) -> Said {
    if let Err(why) = confine() {
        return Said::problem(format!("error: give up what reading a policy does not take: {why}"));
    }
    match read(name).map(|policy| serde_json::to_string(&policy)) {
        Ok(Ok(json)) => Said { out: json, error: String::new(), code: WELL },
        Ok(Err(error)) => Said::problem(format!("error: write the policy {}: {error}", name.display())),
        Err(error) => Said::problem(clipped(&error.to_string(), MOST_TOLD)),
    }
}

fn read(name: &Path) -> Result<Policy, PolicyError> {
    Checked::read(std::io::stdin().lock(), name)?.for_host()
}

/// Whatever a file might make of this process: it looks at files that everybody may read, and does nothing else.
fn confine() -> Result<(), NotConfined> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    prctl::set_dumpable(false)?;
    prctl::set_no_new_privs()?;
    for (resource, most) in LIMITS {
        setrlimit(resource, most, most)?;
    }
    Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST_ABI))?
        .handle_access(AccessNet::from_all(NEWEST_ABI))?
        .scope(Scope::from_all(NEWEST_ABI))?
        .create()?
        .add_rule(PathBeneath::new(PathFd::new("/")?, AccessFs::ReadFile | AccessFs::ReadDir))?
        .restrict_self()?;
    Ok(seccomp::apply(&seccomp::compile_supervisor(false)?)?)
}

#[cfg(test)]
mod tests {
    use super::{MOST_TOLD, clipped};

    #[test]
    fn what_is_told_has_an_end() {
        assert_eq!(clipped("short", MOST_TOLD), "short");
        let told = clipped(&"ä".repeat(MOST_TOLD), MOST_TOLD);
        assert!(told.len() < MOST_TOLD + 100 && told.ends_with("tells all of it"));
    }
}
