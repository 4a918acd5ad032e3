//! Tells when something where the policy's file is has changed: for places from which nobody can send SIGHUP, such as a pod.
//!
//! It is told by the kernel, `inotify(7)`, of the directory: a ConfigMap changes by a link beside the file that is exchanged
//! (`..data`), an editor's file by one that is moved into its place. What has changed is for who reads it again to see.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::link::event_loop;

/// The directory of a file, watched.
#[derive(Debug)]
pub struct Watched(AsyncFd<OwnedFd>);

impl Watched {
    /// The watch that there is. Asked for on an event loop.
    ///
    /// # Errors
    /// The event loop's refusal.
    pub fn new(inotify: OwnedFd) -> io::Result<Self> {
        Ok(Self(event_loop::watch(inotify)?))
    }

    /// Completes when something was written or moved there since the last time; what comes at once is one change.
    ///
    /// # Errors
    /// What the kernel says in place of it.
    pub async fn changed(&self) -> io::Result<()> {
        let read = |inotify: &OwnedFd| -> io::Result<usize> { Ok(rustix::io::read(inotify, &mut [0; 4096])?) };
        self.0.async_io(Interest::READABLE, read).await?;
        while read(self.0.get_ref()).is_ok() {}
        Ok(())
    }
}
