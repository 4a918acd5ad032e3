//! Waiting for a descriptor of the kernel's own kinds: a pidfd, an eventfd, a packet socket.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use tokio::io::unix::AsyncFd;

/// Registers an owned descriptor with the event loop.
///
/// # Errors
/// The event loop's refusal.
pub fn watch<T: AsFd + AsRawFd>(owner: T) -> io::Result<AsyncFd<T>> {
    // SAFETY: every owner that this program registers (a pidfd, an eventfd, a socket) keeps one
    // descriptor open from its making to its drop and always answers with that one.
    unsafe { AsyncFd::register(owner) }.map_err(|error| error.into_parts().1)
}
