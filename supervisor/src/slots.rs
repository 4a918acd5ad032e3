//! Slots, and the door in front of them.
//!
//! A slot is a host id and a control group, held by one job from before it is parked until all of it
//! is dead. There are as many as jobs may run at once, and one more for each child that is kept parked.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cloister_sandbox::cgroup::SlotCgroup;
use cloister_sandbox::spec::Slot;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Lets as many requests in as may run at once, keeps some waiting, and turns the rest away.
#[derive(Debug)]
pub struct Door {
    slots: u32,
    places: Arc<Semaphore>,
    waiting: AtomicU32,
    queue: u32,
    queue_wait: Duration,
}

/// What a [`Door`] has to do at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Requests whose jobs run.
    pub busy: u32,
    /// Requests whose jobs may run at once.
    pub slots: u32,
    /// Requests that wait for a slot.
    pub waiting: u32,
}

/// Why a request was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Overloaded {
    /// As many wait as may.
    #[error("every slot is busy and the queue is full; try again shortly")]
    QueueFull,
    /// None became free in time.
    #[error("no slot became free in time; try again shortly")]
    WaitedTooLong,
}

impl Door {
    /// Lets `slots` in at once and `queue` wait for up to `queue_wait`.
    #[must_use]
    pub fn new(slots: u32, queue: u32, queue_wait: Duration) -> Self {
        let places = Arc::new(Semaphore::new(usize::try_from(slots).expect("32 bits fit")));
        Self { slots, places, waiting: AtomicU32::new(0), queue, queue_wait }
    }

    /// How many requests are in, and how many wait.
    #[must_use]
    pub fn load(&self) -> Load {
        let free = u32::try_from(self.places.available_permits()).unwrap_or(u32::MAX);
        Load { busy: self.slots.saturating_sub(free), slots: self.slots, waiting: self.waiting.load(Ordering::Relaxed) }
    }

    /// A place: at once, or in turn. Dropping it lets the next in.
    ///
    /// # Errors
    /// [`Overloaded`], at once when the queue is full.
    pub async fn enter(&self) -> Result<OwnedSemaphorePermit, Overloaded> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(place);
        }
        let turn = Turn::take(&self.waiting, self.queue).ok_or(Overloaded::QueueFull)?;
        let place = tokio::time::timeout(self.queue_wait, Arc::clone(&self.places).acquire_owned())
            .await
            .map_err(|_| Overloaded::WaitedTooLong)?
            .expect("the semaphore is never closed");
        drop(turn);
        Ok(place)
    }
}

/// A turn in the queue, given up when the wait ends in whatever way.
struct Turn<'a>(&'a AtomicU32);

impl<'a> Turn<'a> {
    fn take(waiting: &'a AtomicU32, most: u32) -> Option<Self> {
        waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| (count < most).then_some(count + 1))
            .is_ok()
            .then(|| Self(waiting))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// All slots of a supervisor.
#[derive(Debug)]
pub struct Slots {
    free: Mutex<Vec<(Slot, SlotCgroup)>>,
    permits: Arc<Semaphore>,
}

/// A slot in use. It goes back to the others when given to [`Slots::release`]; dropped, it is lost,
/// which is what should happen to one whose control group could not be emptied.
#[derive(Debug)]
pub struct Lease {
    /// Which slot.
    pub slot: Slot,
    /// Its control group.
    pub cgroup: SlotCgroup,
    permit: Permit,
}

/// A permit that is only given back on purpose, together with its slot.
#[derive(Debug)]
struct Permit(Option<OwnedSemaphorePermit>);

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(lost) = self.0.take() {
            lost.forget();
        }
    }
}

impl Slots {
    /// Takes the slots with their control groups.
    #[must_use]
    pub fn new(slots: Vec<(Slot, SlotCgroup)>) -> Self {
        let permits = Arc::new(Semaphore::new(slots.len()));
        Self { free: Mutex::new(slots), permits }
    }

    /// A slot, once one is free.
    pub async fn lease(&self) -> Lease {
        let permit = Arc::clone(&self.permits).acquire_owned().await.expect("the semaphore is never closed");
        let (slot, cgroup) = self.free().pop().expect("a permit stands for a free slot");
        Lease { slot, cgroup, permit: Permit(Some(permit)) }
    }

    /// Gives a slot back. Its control group must be empty.
    pub fn release(&self, lease: Lease) {
        let Lease { slot, cgroup, mut permit } = lease;
        self.free().push((slot, cgroup));
        drop(permit.0.take());
    }

    /// Waits until `count` slots are free, for five seconds at most: one that was lost never will be.
    pub async fn wait_for(&self, count: u32) {
        let _ = tokio::time::timeout(Duration::from_secs(5), self.permits.acquire_many(count)).await;
    }

    fn free(&self) -> std::sync::MutexGuard<'_, Vec<(Slot, SlotCgroup)>> {
        self.free.lock().expect("nothing panics while it holds this lock")
    }
}
