//! What a session puts aside: a copy of the interpreter, with CPython's own steps around the fork.

use std::ffi::{c_int, c_long};

use crate::aside::{self, Aside};
use crate::output::api::{
    Pointer, PyLong_AsLong, PyLong_FromLong, PyOS_AfterFork_Child, PyOS_AfterFork_Parent, PyOS_BeforeFork,
};

/// `fork_aside(wake)`: 0 in the copy, once there is a byte to be read from that descriptor; and the copy's number in the original, whose
/// child it is not, at once; or the negative number of what went wrong.
///
/// # Safety
/// For the interpreter to call.
pub unsafe extern "C" fn fork_aside(_: Pointer, wake: Pointer) -> Pointer {
    // SAFETY: as the caller vouches: it is an object. What is no number gives -1, and a copy that ends at once.
    let wake = c_int::try_from(unsafe { PyLong_AsLong(wake) }).unwrap_or(-1);
    // SAFETY: this thread holds the interpreter's lock.
    unsafe { PyOS_BeforeFork() };
    // SAFETY: as above, so that one is made at a time; of other threads' locks Python has just taken care.
    let made = unsafe { aside::fork(wake) };
    if matches!(made, Ok(Aside::Copy)) {
        // SAFETY: this is the copy, and its only thread.
        unsafe { PyOS_AfterFork_Child() };
        return PyLong_FromLong(0);
    }
    // SAFETY: the first step was taken in this process.
    unsafe { PyOS_AfterFork_Parent() };
    PyLong_FromLong(c_long::from(match made {
        Ok(Aside::Original(copy)) => copy,
        Ok(Aside::Copy) => 0,
        Err(error) => -error.raw_os_error().unwrap_or(libc::EAGAIN),
    }))
}
