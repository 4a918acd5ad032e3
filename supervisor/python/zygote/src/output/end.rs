//! What the begin and the end of a job ask of C and of the kernel, in a call each: every job pays for it.

use std::ffi::{c_int, c_long};
use std::os::fd::BorrowedFd;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use crate::output::api::{Pointer, PyBool_FromLong, PyLong_FromLong};
use crate::output::python::{self, Object};

/// The descriptors that the first files of a script have.
const FIRST: c_int = 4;
const COUNT: usize = 60;

/// `begin()`: this process is shown by `ps` as a job's, and no more as one that waits for one: prctl(2), `PR_SET_NAME`. What calls of
/// tools return is kept, as by `keep_returns`, and true is returned.
pub extern "C" fn begin(_: Pointer, _: Pointer) -> Pointer {
    let _ = nix::sys::prctl::set_name(c"python3");
    note_returns();
    PyBool_FromLong(1)
}

/// `be_counted()`: the kernel has counted the CPU time until now, which of a process that runs it else does now and then. times(2).
pub extern "C" fn be_counted(_: Pointer, _: Pointer) -> Pointer {
    // SAFETY: all zeroes is a value of it.
    let mut used: libc::tms = unsafe { std::mem::zeroed() };
    // SAFETY: the call writes to what it is given alone.
    unsafe { libc::times(&raw mut used) };
    Object::none()
}

/// `flush_c()`: what C's own streams hold is written, as exit(3) writes it.
pub extern "C" fn flush_c(_: Pointer, _: Pointer) -> Pointer {
    // SAFETY: null: all streams that there are, of those that are written to.
    python::unlocked(|| unsafe { libc::fflush(std::ptr::null_mut()) });
    Object::none()
}

/// Which pipe what calls of tools return is read from, as the kernel names it: its device and inode; 0 until a job has begun, or a
/// rehearsal in a zygote.
static RETURNS: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];

/// `keep_returns()`: the first is that pipe, no file of the script's and none for what it starts.
pub extern "C" fn keep_returns(_: Pointer, _: Pointer) -> Pointer {
    note_returns();
    Object::none()
}

fn note_returns() {
    for (noted, name) in RETURNS.iter().zip(name_of(FIRST)) {
        noted.store(name, Relaxed);
    }
    // SAFETY: no pointer is passed.
    unsafe { libc::fcntl(FIRST, libc::F_SETFD, libc::FD_CLOEXEC) };
}

/// The device and inode of an open file, or zeros.
fn name_of(descriptor: c_int) -> [u64; 2] {
    // SAFETY: it is no longer than the call, which says so where nothing is open under the number.
    let file = unsafe { BorrowedFd::borrow_raw(descriptor) };
    rustix::fs::fstat(file).map_or([0, 0], |status| [status.st_dev, status.st_ino])
}

/// `open_files()`: how many descriptors are open that a file of the script's may have. `poll(2)` tells of each that is not.
/// That of returns is none; a script may have closed it, and have a file under its number.
pub extern "C" fn open_files(_: Pointer, _: Pointer) -> Pointer {
    let mut asked = [libc::pollfd { fd: 0, events: 0, revents: 0 }; COUNT];
    for (entry, fd) in asked.iter_mut().zip(FIRST..) {
        entry.fd = fd;
    }
    // SAFETY: so many entries lie there, and nothing is waited for.
    unsafe { libc::poll(asked.as_mut_ptr(), COUNT as libc::nfds_t, 0) };
    // What could not be told counts as open.
    let open = asked.iter().filter(|entry| entry.revents & libc::POLLNVAL == 0).count();
    let returns = RETURNS.each_ref().map(|noted| noted.load(Relaxed));
    let of_them = usize::from(returns != [0, 0] && name_of(FIRST) == returns);
    PyLong_FromLong((open - of_them) as c_long)
}
