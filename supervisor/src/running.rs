//! The streamed jobs that run, so that others can wait for their end.
//!
//! A streamed answer ends when its reader has read it, and its job may be over long before.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use cloister_protocol::JobId;
use tokio::sync::{Semaphore, watch};

/// How many may wait at once, each on a connection of its own. Who is told too early only sends more, which then waits here.
pub const MOST_WAITERS: usize = 192;

/// The jobs that run.
#[derive(Debug)]
pub struct Running {
    jobs: Mutex<HashMap<JobId, watch::Sender<()>>>,
    waiters: Semaphore,
}

impl Default for Running {
    fn default() -> Self {
        Self { jobs: Mutex::default(), waiters: Semaphore::new(MOST_WAITERS) }
    }
}

/// A job that runs, until this is dropped.
#[derive(Debug)]
pub struct Runs {
    running: Arc<Running>,
    id: JobId,
}

impl Running {
    /// A job begins.
    #[must_use]
    pub fn begin(self: &Arc<Self>, id: JobId) -> Runs {
        self.lock().insert(id, watch::Sender::new(()));
        Runs { running: Arc::clone(self), id }
    }

    /// Completes when no job with this id runs, or at once if too many wait already.
    pub async fn over(&self, id: JobId) {
        let Ok(_waiter) = self.waiters.try_acquire() else { return };
        let job = self.lock().get(&id).map(watch::Sender::subscribe);
        if let Some(mut job) = job {
            // Nothing is ever sent: this is the sender's end.
            let _ = job.changed().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, watch::Sender<()>>> {
        self.jobs.lock().expect("nothing panics while it holds this lock")
    }
}

impl Drop for Runs {
    fn drop(&mut self) {
        self.running.lock().remove(&self.id);
    }
}
