//! The few calls that the standard library has not.

use std::ffi::CStr;
use std::fs::File;
use std::os::fd::{FromRawFd, OwnedFd};

/// A call's value, or the number of its error. Whole registers: see `syscall(2)`.
///
/// Only for calls that read and write none of this process's memory, or only what `arguments` has the address of.
pub fn syscall(number: i64, arguments: [usize; 6]) -> Result<i64, i32> {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: the callers pass numbers, null, or addresses of buffers that are long enough for what is asked.
    let value = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if value == -1 { Err(std::io::Error::last_os_error().raw_os_error().unwrap_or_default()) } else { Ok(value) }
}

/// Whether a descriptor is open.
pub fn is_open(fd: usize) -> bool {
    syscall(libc::SYS_fcntl, [fd, libc::F_GETFD as usize, 0, 0, 0, 0]).is_ok()
}

/// Closes what calls of tools return.
pub fn close_returns() {
    // SAFETY: it is open when this program starts, and nothing else owns it.
    drop(unsafe { OwnedFd::from_raw_fd(4) });
}

/// The result pipe.
pub fn result_pipe() -> File {
    // SAFETY: a runtime is started with it open, and it is taken once.
    unsafe { File::from_raw_fd(3) }
}

/// What `ps` shows of this process.
pub fn set_name(name: &CStr) {
    let _ = syscall(libc::SYS_prctl, [libc::PR_SET_NAME as usize, name.as_ptr() as usize, 0, 0, 0, 0]);
}

/// Lets every signal that can be kept waiting wait.
pub fn block_signals() {
    let all = u64::MAX;
    let _ = syscall(libc::SYS_rt_sigprocmask, [libc::SIG_BLOCK as usize, (&raw const all) as usize, 0, 8, 0, 0]);
}

/// The hard limit of a resource.
pub fn hard_limit(resource: u32) -> u64 {
    let mut limits = [u64::MAX; 2];
    let _ = syscall(libc::SYS_prlimit64, [0, resource as usize, 0, (&raw mut limits) as usize, 0, 0]);
    limits[1]
}
