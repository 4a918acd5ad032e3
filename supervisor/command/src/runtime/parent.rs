//! The end of what a command has started, with the command: killed or not, it leaves nothing running.

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::getppid;

/// The option by which a process is told who started it.
pub const OPTION: &str = "--parent";

/// This process's number, for those that it starts.
pub fn own() -> String {
    std::process::id().to_string()
}

/// Ends this process when its parent ends, which may have happened since it was started. What changes its ids calls off such
/// an order: `PR_SET_PDEATHSIG`.
///
/// # Errors
/// `ESRCH`, if it has.
pub fn end_with(parent: i32) -> nix::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    if getppid().as_raw() == parent { Ok(()) } else { Err(Errno::ESRCH) }
}
