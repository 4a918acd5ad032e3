//! Why there is nothing from a launcher or a zygote.

use std::io;
use std::time::Duration;

/// Why a launcher or zygote did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum LauncherError {
    /// It could not be started or spoken to.
    #[error("speak to a launcher: {0}")]
    Io(#[from] io::Error),
    /// It tried, and the kernel refused something.
    #[error("{0}")]
    Refused(String),
    /// The host is short of processes, memory or files.
    #[error("this node is short of something at the moment: {0}; try again shortly")]
    Short(String),
    /// It is dead, and with it every sandbox it had.
    #[error("the launcher or zygote of the profile died, and with it the script's sandbox; try again")]
    Dead,
    /// It did not become ready.
    #[error("it was not ready within {} seconds", .0.as_secs())]
    TooSlow(Duration),
    /// It was ready once and hangs.
    #[error("the process that starts this profile's scripts did not answer and was replaced; try again")]
    Silent,
    /// It did not answer when it was asked whether it is there.
    #[error("it did not answer for {} seconds", .0.as_secs())]
    NoPong(Duration),
}

/// A step of the sandbox's own that failed on this side.
impl From<cloister_sandbox::Error> for LauncherError {
    fn from(error: cloister_sandbox::Error) -> Self {
        if error.is_shortage() { Self::Short(error.to_string()) } else { Self::Refused(error.to_string()) }
    }
}
