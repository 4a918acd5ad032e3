//! The ids of processes: a zygote has none that a job has.
//!
//! Libraries find out by `getpid(2)` that they were forked, and give their random generators a new state: OpenSSL does, of which
//! some packages bring one of their own. A job's ids begin anew in each cell, so that a zygote whose own is as small would be taken for the
//! job, and every job would draw the same.

use nix::sys::wait::waitpid;

use crate::error::{Context, Result};
use crate::sys::{self, Forked, exit_now};

/// Ids up to this one are not a zygote's: as many as the kernel itself does not give again once they were all given,
/// `RESERVED_PIDS` in its `kernel/pid.c`.
const OF_JOBS: i32 = 300;

/// Uses up the ids of this PID namespace that jobs commonly have in theirs: some milliseconds, once.
///
/// # Errors
/// The call that failed.
///
/// # Safety
/// The process has one thread.
pub unsafe fn leave_those_of_jobs() -> Result<()> {
    loop {
        // SAFETY: as the caller vouches; the child does nothing.
        match unsafe { sys::clone3(0, None) }.doing(|| "clone3 for an id")? {
            Forked::Child => exit_now(0),
            Forked::Parent { pid, .. } => {
                waitpid(pid, None).doing(|| "wait for an id")?;
                if pid.as_raw() >= OF_JOBS {
                    return Ok(());
                }
            }
        }
    }
}
