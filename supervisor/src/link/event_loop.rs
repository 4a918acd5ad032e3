//! The event loop: one thread that waits and passes bytes on, descriptors of the kernel's own kinds that it waits for
//! (a pidfd, an eventfd, a packet socket), and what is too large to be done on it.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdRegisterError};
use tokio::runtime::{Builder, Runtime};

/// From so many bytes on, what is done with them would keep others waiting: it is not done on the event loop.
pub const LARGE: usize = 128 * 1024;

/// Threads beside the event loop, for what would hold it up: parsing, writing, reading and freeing files.
const THREADS: usize = 16;

/// The event loop cannot be started.
#[derive(Debug, thiserror::Error)]
#[error("start the event loop: {0}")]
pub struct NoEventLoop(io::Error);

/// One thread does all else: it only waits and passes bytes on, and launchers die with the thread that
/// started them (`PR_SET_PDEATHSIG`), which must therefore be the one that lives longest.
///
/// # Errors
/// The kernel's refusal.
pub fn runtime() -> Result<Runtime, NoEventLoop> {
    Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(THREADS)
        .thread_name("blocking")
        .on_thread_start(cloister_program::stand_behind)
        .build()
        .map_err(NoEventLoop)
}

/// Registers an owned descriptor with the event loop, which is to tell when it can be read. One that can be written to as well would be told
/// of for nothing.
///
/// # Errors
/// The event loop's refusal.
pub fn watch<T: AsFd + AsRawFd>(owner: T) -> io::Result<AsyncFd<T>> {
    watch_or_return(owner).map_err(|(_, error)| error)
}

/// The same, when it can be written to, or with `reads` when it can be read too.
///
/// # Errors
/// The event loop's refusal.
pub fn watch_to_write<T: AsFd + AsRawFd>(owner: T, reads: bool) -> io::Result<AsyncFd<T>> {
    let interest = if reads { Interest::READABLE | Interest::WRITABLE } else { Interest::WRITABLE };
    register(owner, interest).map_err(|(_, error)| error)
}

/// As [`watch`]; the owner comes back with a refusal.
///
/// # Errors
/// The owner, and the event loop's refusal.
pub fn watch_or_return<T: AsFd + AsRawFd>(owner: T) -> Result<AsyncFd<T>, (T, io::Error)> {
    register(owner, Interest::READABLE)
}

fn register<T: AsFd + AsRawFd>(owner: T, interest: Interest) -> Result<AsyncFd<T>, (T, io::Error)> {
    // SAFETY: every owner that this program registers (a pidfd, an eventfd, a pipe, a socket) keeps one
    // descriptor open from its making to its drop and always answers with that one.
    unsafe { AsyncFd::register_with_interest(owner, interest) }.map_err(AsyncFdRegisterError::into_parts)
}
