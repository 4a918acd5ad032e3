//! Waiting for a descriptor of the kernel's own kinds: a pidfd, an eventfd, a packet socket.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use tokio::io::unix::{AsyncFd, AsyncFdRegisterError};

/// Registers an owned descriptor with the event loop.
///
/// # Errors
/// The event loop's refusal.
pub fn watch<T: AsFd + AsRawFd>(owner: T) -> io::Result<AsyncFd<T>> {
    watch_or_return(owner).map_err(|(_, error)| error)
}

/// The same; the owner comes back with a refusal.
///
/// # Errors
/// The owner, and the event loop's refusal.
pub fn watch_or_return<T: AsFd + AsRawFd>(owner: T) -> Result<AsyncFd<T>, (T, io::Error)> {
    // SAFETY: every owner that this program registers (a pidfd, an eventfd, a socket) keeps one
    // descriptor open from its making to its drop and always answers with that one.
    unsafe { AsyncFd::register(owner) }.map_err(AsyncFdRegisterError::into_parts)
}
