//! The ids of processes: a zygote has none that a job has.
//!
//! Libraries find out by `getpid(2)` that they were forked, and give their random generators a new state: OpenSSL does, of which
//! some packages bring one of their own. A job's ids begin anew in each cell, so that a zygote whose own is as small would be taken for the
//! job, and every job would draw the same.

use nix::sched::{CloneFlags, clone};
use nix::sys::wait::waitpid;

use crate::error::{Context, Result};

/// Ids up to this one are not a zygote's: as many as the kernel itself does not give again once they were all given,
/// `RESERVED_PIDS` in its `kernel/pid.c`.
const OF_JOBS: i32 = 300;

/// What one that does nothing has for a stack, in bytes.
const STACK: usize = 16 * 1024;

/// Uses up the ids of this PID namespace that jobs commonly have in theirs: some milliseconds, once.
///
/// # Errors
/// The call that failed.
pub fn leave_those_of_jobs() -> Result<()> {
    let mut stack = vec![0; STACK];
    // It has our memory while we wait, and so none to copy: vfork(2).
    let shared = CloneFlags::CLONE_VM | CloneFlags::CLONE_VFORK;
    loop {
        // SAFETY: it returns at once, on a stack of its own that is there until then, and touches nothing that is ours.
        let pid =
            unsafe { clone(Box::new(|| 0), &mut stack, shared, Some(libc::SIGCHLD)) }.doing(|| "clone for an id")?;
        waitpid(pid, None).doing(|| "wait for an id")?;
        if pid.as_raw() >= OF_JOBS {
            return Ok(());
        }
    }
}
