//! Why a command came to nothing: each is a sentence for a person.

use std::io;
use std::path::PathBuf;

use cloister_engine::daemon::start::StartError;
use cloister_engine::job::prepare_error::PrepareError;
use cloister_engine::link::event_loop::NoEventLoop;
use cloister_engine::link::launcher_error::LauncherError;
use cloister_program::log::NoJournal;
use cloister_supervisor::claim::ClaimError;
use cloister_supervisor::confine::{NotConfined, NotRoot};

use crate::policy::NoPolicy;

/// One of them.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It takes root.
    #[error(transparent)]
    NotRoot(#[from] NotRoot),
    /// There is no log.
    #[error(transparent)]
    Log(#[from] NoJournal),
    /// There is no policy.
    #[error(transparent)]
    Policy(#[from] NoPolicy),
    /// The policy has no such profile.
    #[error("there is no profile {name:?}, expected one of: {known}")]
    NoProfile {
        /// The one that was asked for.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// The script cannot be read.
    #[error("read {path}: {1}", path = .0.display())]
    Script(PathBuf, io::Error),
    /// The policy cannot be read once more.
    #[error("read {path}: {1}", path = .0.display())]
    Again(PathBuf, io::Error),
    /// The script is longer than its profile accepts.
    #[error("script is {size} bytes, profile {profile:?} accepts {most}")]
    LongScript {
        /// Its size.
        size: u64,
        /// The profile.
        profile: String,
        /// What that accepts.
        most: u64,
    },
    /// Whoever asked for it is gone.
    #[error("end with whoever asked for it: {0}")]
    Orphan(nix::Error),
    /// There are no ids for a sandbox of its own.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// This process is not confined as the daemon would be.
    #[error(transparent)]
    NotConfined(#[from] NotConfined),
    /// A step of the sandbox failed.
    #[error(transparent)]
    Sandbox(#[from] cloister_sandbox::Error),
    /// There is no event loop.
    #[error(transparent)]
    EventLoop(#[from] NoEventLoop),
    /// What serves jobs could not be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// There is no launcher.
    #[error(transparent)]
    Launcher(#[from] LauncherError),
    /// There is no sandbox for the script.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The script's calls cannot be seen.
    #[error("take the job's seccomp listener: {0}")]
    Listener(io::Error),
    /// `learn` is for a sandbox of its own.
    #[error(
        "learn starts a sandbox of its own, for an operator at a terminal: it lets pass what the policy refuses, so it is \
         never for the socket of a daemon that others use"
    )]
    ForADaemon,
    /// What was learned is no policy below the one that it is for.
    #[error("what was learned is no policy: {0}")]
    Unlearned(String),
}
