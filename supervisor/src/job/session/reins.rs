//! What reaches a cell that runs from beside it: an interrupt.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard};

use rustix::process::{Signal, pidfd_send_signal};
use tokio::sync::Notify;

/// Of one session.
#[derive(Debug, Default)]
pub struct Reins {
    /// The process of the cell that runs, if one does.
    running: Mutex<Option<OwnedFd>>,
    interrupted: Notify,
}

/// Until it is dropped a cell runs.
#[derive(Debug)]
pub struct Running<'a>(&'a Reins);

impl Reins {
    /// Interrupts the cell that runs, as Ctrl-C would: `signal(7)`. Whether one does.
    pub fn interrupt(&self) -> bool {
        let running = self.lock();
        let Some(process) = &*running else { return false };
        let reached = pidfd_send_signal(process.as_fd(), Signal::INT).is_ok();
        self.interrupted.notify_one();
        reached
    }

    /// From now on this process runs a cell.
    ///
    /// # Errors
    /// When its descriptor cannot be copied.
    pub fn hold(&self, process: BorrowedFd<'_>) -> std::io::Result<Running<'_>> {
        let mut running = self.lock();
        *running = Some(process.try_clone_to_owned()?);
        // One that came for the cell before is over with it.
        std::pin::pin!(self.interrupted.notified()).enable();
        Ok(Running(self))
    }

    /// Completes when the cell that runs has been interrupted.
    pub async fn interrupted(&self) {
        self.interrupted.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Option<OwnedFd>> {
        self.running.lock().expect("nothing panics while it holds this lock")
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        *self.0.lock() = None;
    }
}
