//! Why there is no sandbox for a job: what the log is told, and what the client is.

use std::io;
use std::time::Duration;

use cloister_protocol::{ErrorCode, Failure};
use cloister_sandbox::is_shortage;

use crate::job::report::NotReady;
use crate::link::launcher_error::LauncherError;

/// Why a job could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The launcher failed.
    #[error(transparent)]
    Launcher(#[from] LauncherError),
    /// The job's process failed before its request was handed to it.
    #[error(transparent)]
    NotReady(#[from] NotReady),
    /// The slot's control group could not be used from the beginning. The slot is replaced.
    #[error(transparent)]
    Slot(cloister_sandbox::Error),
    /// The control group could not be used.
    #[error(transparent)]
    Cgroup(#[from] cloister_sandbox::Error),
    /// A pipe could not be made or written.
    #[error("prepare a job's pipes: {0}")]
    Pipe(#[from] io::Error),
    /// The interpreter took too long to start.
    #[error("the interpreter was not ready within {} seconds", .0.as_secs())]
    TooSlow(Duration),
    /// The profile's memory does not hold an interpreter.
    #[error("the profile's memory does not hold the interpreter itself")]
    TooLittleMemory,
}

impl PrepareError {
    /// What a client may read of it. What the kernel said and of which file is the operator's to know, and in the log.
    #[must_use]
    pub fn public(&self) -> &'static str {
        const REFUSED: &str = "the script's sandbox could not be made; the log of the service says why";
        const SHORT: &str = "this node is short of something at the moment; try again shortly";
        match self {
            Self::Launcher(LauncherError::Dead) => {
                "the launcher or zygote of the profile died, and with it the script's sandbox; try again"
            }
            Self::Launcher(LauncherError::Silent | LauncherError::NoPong(_)) => {
                "the process that starts this profile's scripts did not answer and was replaced; try again"
            }
            Self::Launcher(LauncherError::TooSlow(_)) => {
                "the process that starts this profile's scripts was not ready in time; try again"
            }
            Self::Launcher(LauncherError::Short(_)) | Self::NotReady(NotReady::Short(_)) => SHORT,
            Self::Launcher(LauncherError::Io(error)) | Self::Pipe(error) if is_shortage(error) => SHORT,
            Self::Cgroup(error) | Self::Slot(error) if error.is_shortage() => SHORT,
            Self::Slot(_) => {
                "no place for the script could be set up on this node; try again, and see the log of the service"
            }
            Self::NotReady(NotReady::Import(_)) => {
                "an import that this profile does ahead of requests failed; the log of the service says which"
            }
            Self::NotReady(NotReady::Ended) => "the interpreter ended before it was ready",
            Self::TooSlow(_) => "the interpreter was not ready in time",
            Self::TooLittleMemory => "the profile's memory does not hold the interpreter itself",
            Self::Launcher(LauncherError::Io(_) | LauncherError::Refused(_))
            | Self::NotReady(NotReady::Refused(_))
            | Self::Cgroup(_)
            | Self::Pipe(_) => REFUSED,
        }
    }

    /// What the client is told; the log is told all of it.
    #[must_use]
    pub fn told(&self) -> Failure {
        tracing::error!(error = %self, "a request has no sandbox");
        Failure::new(ErrorCode::from(self), self.public().to_owned())
    }

    /// The same of a sandbox that was lost when its script may have run already.
    #[must_use]
    pub fn told_after_start(&self) -> Failure {
        self.told().after_start()
    }
}

/// The code of a job that could not be prepared: its own fault, or ours.
impl From<&PrepareError> for ErrorCode {
    fn from(error: &PrepareError) -> Self {
        match error {
            PrepareError::TooLittleMemory => Self::MemoryLimit,
            PrepareError::Launcher(
                LauncherError::Dead | LauncherError::Silent | LauncherError::Short(_) | LauncherError::TooSlow(_),
            )
            | PrepareError::Slot(_)
            | PrepareError::TooSlow(_)
            | PrepareError::NotReady(NotReady::Import(_) | NotReady::Short(_)) => Self::Unavailable,
            PrepareError::Launcher(LauncherError::Io(error)) | PrepareError::Pipe(error) if is_shortage(error) => {
                Self::Unavailable
            }
            PrepareError::Cgroup(error) if error.is_shortage() => Self::Unavailable,
            _ => Self::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use cloister_sandbox::Context;

    use super::PrepareError;
    use crate::job::report::NotReady;
    use crate::link::launcher_error::LauncherError;

    #[test]
    fn no_path_of_the_host_is_told() {
        let kernel = |errno| {
            let refused: Result<(), io::Error> = Err(io::Error::from_raw_os_error(errno));
            refused.doing(|| "write 1 to /sys/fs/cgroup/x").expect_err("refused")
        };
        let path = || "/usr/lib/cloister/x".to_owned();
        for error in [
            PrepareError::Cgroup(kernel(libc::EPERM)),
            PrepareError::Slot(kernel(libc::EAGAIN)),
            PrepareError::Pipe(io::Error::other(path())),
            PrepareError::NotReady(NotReady::Refused(path())),
            PrepareError::NotReady(NotReady::Import(path())),
            PrepareError::Launcher(LauncherError::Io(io::Error::other(path()))),
            PrepareError::Launcher(LauncherError::Refused(path())),
            PrepareError::Launcher(LauncherError::Short(path())),
        ] {
            assert!(!error.public().contains('/') && error.to_string().contains('/'), "{error}");
        }
    }
}
