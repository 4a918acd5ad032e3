//! What the end of an interpreter asks of C and of the kernel, in a call each: every job pays for it.

use std::ffi::{c_int, c_long};

use crate::output::api::{Pointer, PyLong_FromLong};
use crate::output::python::{self, Object};

/// The descriptors that the first files of a script have.
const FIRST: c_int = 4;
const COUNT: usize = 60;

/// `flush_c()`: what C's own streams hold is written, as exit(3) writes it.
pub extern "C" fn flush_c(_: Pointer, _: Pointer) -> Pointer {
    // SAFETY: null: all streams that there are, of those that are written to.
    python::unlocked(|| unsafe { libc::fflush(std::ptr::null_mut()) });
    Object::none()
}

/// `open_files()`: how many descriptors are open that a file of the script's may have. `poll(2)` tells of each that is not.
pub extern "C" fn open_files(_: Pointer, _: Pointer) -> Pointer {
    let mut asked = [libc::pollfd { fd: 0, events: 0, revents: 0 }; COUNT];
    for (entry, fd) in asked.iter_mut().zip(FIRST..) {
        entry.fd = fd;
    }
    // SAFETY: so many entries lie there, and nothing is waited for.
    unsafe { libc::poll(asked.as_mut_ptr(), COUNT as libc::nfds_t, 0) };
    // What could not be told counts as open.
    let open = asked.iter().filter(|entry| entry.revents & libc::POLLNVAL == 0).count();
    PyLong_FromLong(open as c_long)
}
