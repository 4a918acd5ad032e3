//! What reaches a cell that runs from beside it: an interrupt.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use rustix::process::{Signal, pidfd_send_signal};
use tokio::sync::Notify;

/// How soon a process is nudged that was interrupted, and then after twice as long, and so on: by `SIGURG`, which whoever does not
/// expect it ignores, `signal(7)`.
const NUDGE: Duration = Duration::from_millis(20);

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

    /// Completes when the cell that runs has been interrupted and has not heeded that for so long. Until then its process is nudged: an
    /// interrupt that came just ahead of a call which sleeps is not seen before that is over, `signal(7)`, or cut short by another signal.
    pub async fn unheeded(&self, wait: Duration) {
        self.interrupted.notified().await;
        let nudges = async {
            let mut next = NUDGE;
            loop {
                tokio::time::sleep(next).await;
                next = next.saturating_mul(2);
                if let Some(process) = &*self.lock() {
                    // One that is dead needs none.
                    let _ = pidfd_send_signal(process.as_fd(), Signal::URG);
                }
            }
        };
        let _ = tokio::time::timeout(wait, nudges).await;
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
