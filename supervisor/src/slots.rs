//! Slots and the queue in front of them. A slot is a host id and a control group, held by one job.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cloister_sandbox::cgroup::SlotCgroup;
use cloister_sandbox::spec::Slot;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// All slots of a supervisor.
#[derive(Debug)]
pub struct Slots {
    free: Mutex<Vec<(Slot, SlotCgroup)>>,
    permits: Arc<Semaphore>,
    waiting: AtomicU32,
    count: u32,
    queue: u32,
    queue_wait: Duration,
}

/// A slot in use. It goes back to the others when given to [`Slots::release`]; dropped, it is lost,
/// which is what should happen to one whose control group could not be emptied.
#[derive(Debug)]
pub struct Lease {
    /// Which slot.
    pub slot: Slot,
    /// Its control group.
    pub cgroup: SlotCgroup,
    permit: OwnedSemaphorePermit,
}

/// Why there is no slot for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Overloaded {
    /// As many wait as may.
    #[error("every slot is busy and the queue is full; try again shortly")]
    QueueFull,
    /// None became free in time.
    #[error("no slot became free in time; try again shortly")]
    WaitedTooLong,
}

impl Slots {
    /// Takes the slots with their control groups.
    #[must_use]
    pub fn new(slots: Vec<(Slot, SlotCgroup)>, queue: u32, queue_wait: Duration) -> Self {
        let permits = Arc::new(Semaphore::new(slots.len()));
        let count = u32::try_from(slots.len()).expect("the policy bounds the slots");
        Self { free: Mutex::new(slots), permits, waiting: AtomicU32::new(0), count, queue, queue_wait }
    }

    /// A slot: at once, or in turn within the policy's wait.
    ///
    /// # Errors
    /// [`Overloaded`], at once when the queue is full.
    pub async fn acquire(&self) -> Result<Lease, Overloaded> {
        let permit = match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => self.wait().await?,
        };
        let (slot, cgroup) = self.free().pop().expect("a permit stands for a free slot");
        Ok(Lease { slot, cgroup, permit })
    }

    /// Gives a slot back. Its control group must be empty.
    pub fn release(&self, lease: Lease) {
        let Lease { slot, cgroup, permit } = lease;
        self.free().push((slot, cgroup));
        drop(permit);
    }

    /// Waits until every slot is free, for five seconds at most: a slot that was lost never will be.
    pub async fn all_free(&self) {
        let all = self.permits.acquire_many(self.count);
        let _ = tokio::time::timeout(Duration::from_secs(5), all).await;
    }

    async fn wait(&self) -> Result<OwnedSemaphorePermit, Overloaded> {
        let place = Place::take(&self.waiting, self.queue).ok_or(Overloaded::QueueFull)?;
        let permit = tokio::time::timeout(self.queue_wait, Arc::clone(&self.permits).acquire_owned())
            .await
            .map_err(|_| Overloaded::WaitedTooLong)?
            .expect("the semaphore is never closed");
        drop(place);
        Ok(permit)
    }

    fn free(&self) -> std::sync::MutexGuard<'_, Vec<(Slot, SlotCgroup)>> {
        self.free.lock().expect("nothing panics while it holds this lock")
    }
}

/// A place in the queue, given up when the wait ends in whatever way.
struct Place<'a>(&'a AtomicU32);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicU32, most: u32) -> Option<Self> {
        waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| (count < most).then_some(count + 1))
            .is_ok()
            .then(|| Self(waiting))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
