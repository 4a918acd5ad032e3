//! Slots: what a job runs in.
//!
//! A slot is a host id and a control group, held by one job from before it is parked until all of it
//! is dead. There are as many as jobs may run at once, and one more for each child that is kept parked.
//! A reload changes their number while they are in use.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use cloister_sandbox::Context;
use cloister_sandbox::cgroup::{SlotCgroup, Tree};
use cloister_sandbox::spec::Slot;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::locks::LockWatch;

/// All slots of a supervisor.
#[derive(Debug)]
pub struct Slots {
    pool: Mutex<Pool>,
    permits: Arc<Semaphore>,
    launcher_uid: u32,
    /// Watches over what the slots' jobs lock.
    pub locks: LockWatch,
    // Last, so that the slots' groups are gone when the tree is removed.
    tree: Arc<Tree>,
}

#[derive(Debug, Default)]
struct Pool {
    free: BTreeMap<Slot, SlotCgroup>,
    /// Every slot there is: free, leased or lost.
    all: BTreeSet<Slot>,
    wanted: usize,
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
    /// Makes `number` slots with their control groups, which a launcher's root at `launcher_uid` may enter.
    ///
    /// # Errors
    /// The group that could not be made.
    pub fn new(tree: Arc<Tree>, launcher_uid: u32, number: u32) -> cloister_sandbox::Result<Self> {
        let locks = LockWatch::new().doing(|| "watch over record locks")?;
        let permits = Arc::new(Semaphore::new(0));
        let slots = Self { pool: Mutex::default(), permits, launcher_uid, locks, tree };
        slots.resize(number)?;
        Ok(slots)
    }

    /// Makes or removes slots until there are `number`. One in use goes when it is given back.
    ///
    /// # Errors
    /// The group that could not be made.
    pub fn resize(&self, number: u32) -> cloister_sandbox::Result<()> {
        let mut pool = self.pool();
        pool.wanted = count(number);
        let mut next = 0;
        while pool.all.len() < pool.wanted {
            let slot = Slot(next);
            next += 1;
            if !pool.all.contains(&slot) {
                pool.free.insert(slot, self.tree.slot(slot.0, self.launcher_uid)?);
                pool.all.insert(slot);
                self.permits.add_permits(1);
            }
        }
        while pool.all.len() > pool.wanted && self.permits.forget_permits(1) == 1 {
            let (slot, _) = pool.free.pop_last().expect("a permit stands for a free slot");
            pool.all.remove(&slot);
        }
        Ok(())
    }

    /// A slot, once one is free.
    pub async fn lease(&self) -> Lease {
        let permit = Arc::clone(&self.permits).acquire_owned().await.expect("the semaphore is never closed");
        let (slot, cgroup) = self.pool().free.pop_first().expect("a permit stands for a free slot");
        Lease { slot, cgroup, permit: Permit(Some(permit)) }
    }

    /// Gives a slot back. Its control group must be empty.
    pub fn release(&self, lease: Lease) {
        let Lease { slot, cgroup, mut permit } = lease;
        let mut pool = self.pool();
        if pool.all.len() > pool.wanted {
            // One too many since a reload: it goes, and its permit with it.
            pool.all.remove(&slot);
            return;
        }
        pool.free.insert(slot, cgroup);
        drop(permit.0.take());
    }

    /// Waits until all slots are free, for five seconds at most: one that was lost never will be.
    pub async fn wait_for_all(&self) {
        let all = u32::try_from(self.pool().all.len()).expect("slots are numbered in 32 bits");
        let _ = tokio::time::timeout(Duration::from_secs(5), self.permits.acquire_many(all)).await;
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().expect("nothing panics while it holds this lock")
    }
}

fn count(number: u32) -> usize {
    usize::try_from(number).expect("32 bits fit")
}
