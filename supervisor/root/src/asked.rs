//! What the engine asks of the monitor, and what it is told.

use std::path::PathBuf;

use cloister_terms::Mount;
use serde::{Deserialize, Serialize};

/// One thing that takes root of the host.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Asked {
    /// Map ids into the user namespace in which the one that asks is: its own, and those of the jobs.
    MapIds,
    /// Open the file by which processes enter a group: version 1 only. Answered with it.
    Door(PathBuf),
    /// Put a process that the engine has started into the launchers' group.
    Adopt(u32),
    /// Say who is at the other end of the socket that is carried.
    Peer,
    /// Open a profile's interpreter. Answered with it, where nobody else may read it.
    Interpreter(Shown),
    /// Say how ready the kernel is to be to end this process of a job.
    OrderOfGoing(u32, i16),
    /// Have the policy read again. Answered with what it comes to.
    Policy,
    /// Remove what was made at the start: all that used it has ended.
    End,
}

/// An interpreter, and what is shown of the host where it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shown {
    pub(crate) interpreter: PathBuf,
    pub(crate) mounts: Vec<Mount>,
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Told {
    /// It is done; what is carried is what was asked for.
    Done,
    /// That is the host id of who is there.
    Peer(u32),
    /// It was not done, and why.
    Failed(String),
    /// There is no policy, and why; and whether it is the file that is at fault.
    NoPolicy(String, bool),
}
