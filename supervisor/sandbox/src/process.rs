//! Processes of a slot, as the host sees them: `proc(5)`.

use std::fs;
use std::os::fd::{AsRawFd, BorrowedFd};

use cloister_terms::Uid;

use crate::error::{Context, Result};

/// How ready the kernel is to end the processes of a session that runs, where memory is used up: far readier than a
/// checkpoint, which stays at what the supervisor itself has. `proc_pid_oom_score_adj(5)`.
pub const FIRST_TO_GO: i16 = 500;

/// The same of a checkpoint.
pub const LAST_TO_GO: i16 = 0;

/// The number of the process that a pidfd refers to; `None` if it has been reaped: `pidfd_open(2)`.
#[must_use]
pub fn number(process: BorrowedFd<'_>) -> Option<u32> {
    let told = fs::read_to_string(format!("/proc/self/fdinfo/{}", process.as_raw_fd())).ok()?;
    told.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok())
}

/// The number that a process has in the innermost of its PID namespaces: `NSpid` of `proc_pid_status(5)`.
#[must_use]
pub fn number_inside(number: u32) -> Option<u32> {
    let told = fs::read_to_string(format!("/proc/{number}/status")).ok()?;
    told.lines().find_map(|line| line.strip_prefix("NSpid:"))?.split_whitespace().last()?.parse().ok()
}

/// The process that has started this one, or that has taken it in: `proc_pid_stat(5)`.
#[must_use]
pub fn parent(number: u32) -> Option<u32> {
    let told = fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
    told.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// The host id that a process runs as: `Uid` of `proc_pid_status(5)`.
#[must_use]
pub fn owner(number: u32) -> Option<Uid> {
    let told = fs::read_to_string(format!("/proc/{number}/status")).ok()?;
    told.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_whitespace().next()?.parse().ok().map(Uid)
}

/// Tells the kernel how ready to be to end a process where memory is used up; what it starts inherits that.
///
/// # Errors
/// The file that could not be written.
pub fn set_order_of_going(number: u32, adjustment: i16) -> Result<()> {
    let path = format!("/proc/{number}/oom_score_adj");
    fs::write(&path, adjustment.to_string()).doing(|| format!("write {adjustment} to {path}"))
}
