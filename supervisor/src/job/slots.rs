//! Slots: what a job runs in.
//!
//! A slot is a host id and a control group, held by one job from before it is parked until all of it
//! is dead. There are as many as jobs may run at once, and one more for each child that is kept parked.
//! A reload changes their number while they are in use.
//!
//! One whose group does not empty, or cannot be used, is lost: nobody gets it again. Another takes its place, with
//! another id and another group, and its own id is used again once its group is seen to be gone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use cloister_sandbox::Context;
use cloister_sandbox::cgroup::{SlotCgroup, Tree};
use cloister_sandbox::devices::Devices;
use cloister_sandbox::spec::{IdRange, Slot};
use cloister_supervisor::powers::Powers;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::job::locks::LockWatch;
use crate::job::prepare_error::PrepareError;

/// How long to wait before a lost slot is looked at again.
const PAUSE: Duration = Duration::from_secs(1);

/// How long to wait for all of them before it is counted again how many there are.
const LOOK: Duration = Duration::from_millis(50);

/// All slots of a supervisor.
#[derive(Debug)]
pub struct Slots {
    stock: Mutex<Stock>,
    permits: Arc<Semaphore>,
    ids: IdRange,
    /// How many numbers there are for slots: of ids, and of device nodes.
    numbers: u32,
    /// Watches over what the slots' jobs lock.
    pub locks: LockWatch,
    // Last, so that the slots' groups are gone when the tree is removed.
    tree: Arc<Tree>,
    /// Who does what takes root.
    pub powers: Arc<Powers>,
}

#[derive(Debug, Default)]
struct Stock {
    free: BTreeMap<Slot, SlotCgroup>,
    /// Every slot that is free or leased.
    all: BTreeSet<Slot>,
    /// Those whose ids may still be somebody's.
    lost: BTreeSet<Slot>,
    wanted: usize,
    /// Of these, those beside what the policy asks for.
    beside: usize,
    /// And those of sessions.
    lent: usize,
}

/// A slot in use. It goes back to the others when given to [`Slots::release`], and is replaced by another when given
/// to [`Slots::lose`]; one that is dropped is neither.
#[derive(Debug)]
pub struct Lease {
    /// Which slot.
    pub slot: Slot,
    /// Its control group.
    pub cgroup: SlotCgroup,
    permit: Permit,
    /// That there is one slot more for as long as this one is in use: of sessions.
    lent: Option<Lent>,
}

/// That there is one slot more.
#[derive(Debug)]
struct Lent(Arc<Slots>);

impl Drop for Lent {
    fn drop(&mut self) {
        let mut stock = self.0.stock();
        (stock.lent, stock.wanted) = (stock.lent - 1, stock.wanted.saturating_sub(1));
        self.0.let_go(&mut stock);
    }
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
    /// None yet, of those that these ids and nodes are for: who leases one waits until [`resize`](Self::resize) has made it.
    ///
    /// # Errors
    /// When record locks cannot be watched.
    pub fn new(
        (tree, powers): (Arc<Tree>, Arc<Powers>),
        ids: IdRange,
        devices: Option<&Devices>,
    ) -> cloister_sandbox::Result<Self> {
        let locks = LockWatch::new().doing(|| "watch over record locks")?;
        let permits = Arc::new(Semaphore::new(0));
        let of_ids = ids.count.saturating_sub(1);
        let numbers = devices.map_or(of_ids, |devices| devices.sets().min(of_ids));
        Ok(Self { stock: Mutex::default(), permits, ids, numbers, locks, tree, powers })
    }

    /// Makes or removes slots until there are `number`, with control groups that a launcher's root may enter. One in use goes when it is
    /// given back, and one that is made can be leased before the next is.
    ///
    /// # Errors
    /// The group that could not be made.
    pub fn resize(&self, number: u32) -> cloister_sandbox::Result<()> {
        {
            let mut stock = self.stock();
            // What the policy asks for comes first.
            stock.beside = stock.beside.min(count(self.numbers.saturating_sub(number)));
            stock.wanted = count(number) + stock.beside + stock.lent;
        }
        while self.make_next(&mut self.stock())? {}
        self.let_go(&mut self.stock());
        Ok(())
    }

    /// Removes those that are free and too many.
    fn let_go(&self, stock: &mut Stock) {
        while stock.all.len() > stock.wanted && self.permits.forget_permits(1) == 1 {
            let (slot, _) = stock.free.pop_last().expect("a permit stands for a free slot");
            stock.all.remove(&slot);
        }
    }

    /// From now on so many at least are there beside what the policy asks for, whatever that is.
    ///
    /// # Errors
    /// The group that could not be made.
    pub fn allow_beside(&self, number: u32) -> cloister_sandbox::Result<()> {
        let mut stock = self.stock();
        let more = count(number).saturating_sub(stock.beside);
        let wanted = stock.wanted;
        (stock.beside, stock.wanted) = (stock.beside + more, wanted + more);
        self.make_all(&mut stock).inspect_err(|_| {
            stock.beside -= more;
            stock.wanted = wanted;
        })
    }

    /// A slot for a session, which takes none from jobs: there is one more for as long as it is in use.
    ///
    /// # Errors
    /// Why there can be no more, or that none is free by then: one of the others may just have been lost.
    pub async fn lease_beside(self: &Arc<Self>, within: Duration) -> Result<Lease, PrepareError> {
        let lent = self.lend().map_err(PrepareError::Slot)?;
        let lease = tokio::time::timeout(within, self.lease()).await;
        let lease = lease.map_err(|_| PrepareError::TooSlow(within))?;
        Ok(Lease { lent: Some(lent), ..lease })
    }

    fn lend(self: &Arc<Self>) -> cloister_sandbox::Result<Lent> {
        let mut stock = self.stock();
        (stock.lent, stock.wanted) = (stock.lent + 1, stock.wanted + 1);
        if let Err(error) = self.make_all(&mut stock) {
            (stock.lent, stock.wanted) = (stock.lent - 1, stock.wanted - 1);
            return Err(error);
        }
        Ok(Lent(Arc::clone(self)))
    }

    fn make_all(&self, stock: &mut Stock) -> cloister_sandbox::Result<()> {
        while self.make_next(stock)? {}
        Ok(())
    }

    /// Makes one, with the first number that is nobody's, if there are too few. Whether there were.
    fn make_next(&self, stock: &mut Stock) -> cloister_sandbox::Result<bool> {
        if stock.all.len() >= stock.wanted {
            return Ok(false);
        }
        let slot = (0..self.numbers)
            .map(Slot)
            .find(|slot| !stock.all.contains(slot) && !stock.lost.contains(slot))
            .ok_or_else(|| {
                cloister_sandbox::Error::Peer(
                    "every host id of the policy's, or every set of device nodes, is in use".to_owned(),
                )
            })?;
        stock.free.insert(slot, self.tree.slot(slot, self.ids.base)?);
        stock.all.insert(slot);
        self.permits.add_permits(1);
        Ok(true)
    }

    /// A slot, once one is free.
    pub async fn lease(&self) -> Lease {
        let permit = Arc::clone(&self.permits).acquire_owned().await.expect("the semaphore is never closed");
        self.first(permit)
    }

    /// A slot, if one is free now.
    #[must_use]
    pub fn lease_now(&self) -> Option<Lease> {
        Arc::clone(&self.permits).try_acquire_owned().ok().map(|permit| self.first(permit))
    }

    fn first(&self, permit: OwnedSemaphorePermit) -> Lease {
        let (slot, cgroup) = self.stock().free.pop_first().expect("a permit stands for a free slot");
        Lease { slot, cgroup, permit: Permit(Some(permit)), lent: None }
    }

    /// Gives a slot back. Its control group must be empty.
    pub fn release(&self, lease: Lease) {
        let Lease { slot, mut cgroup, mut permit, lent: _given_back_last } = lease;
        cgroup.forget_freezer();
        let mut stock = self.stock();
        if stock.all.len() > stock.wanted {
            // One too many since a reload: it goes, and its permit with it.
            stock.all.remove(&slot);
            return;
        }
        stock.free.insert(slot, cgroup);
        drop(permit.0.take());
    }

    /// Takes a slot out of use whose group is not empty or cannot be used, and puts another in its place, now or as
    /// soon as one can be made.
    pub fn lose(self: &Arc<Self>, lease: Lease) {
        let Lease { slot, cgroup, .. } = lease;
        tracing::error!(slot = slot.0, "a slot cannot be used any more; another takes its place");
        {
            let mut stock = self.stock();
            stock.all.remove(&slot);
            stock.lost.insert(slot);
        }
        let slots = Arc::downgrade(self);
        tokio::spawn(async move {
            let mut left = Some(cgroup);
            loop {
                let Some(slots) = slots.upgrade() else { return };
                if let Err(error) = slots.make_up() {
                    tracing::error!(%error, "a slot could not be made");
                }
                left = left.and_then(SlotCgroup::retire);
                if slots.has_settled(slot, left.is_none()) {
                    return;
                }
                drop(slots);
                tokio::time::sleep(PAUSE).await;
            }
        });
    }

    /// Whether nothing is left to be done about a lost slot: its id is free again, and none is missing.
    fn has_settled(&self, slot: Slot, is_gone: bool) -> bool {
        let mut stock = self.stock();
        if is_gone {
            stock.lost.remove(&slot);
        }
        is_gone && stock.all.len() >= stock.wanted
    }

    /// Makes slots for those that were lost.
    fn make_up(&self) -> cloister_sandbox::Result<()> {
        self.make_all(&mut self.stock())
    }

    /// Whether there is a slot, free or in use.
    #[must_use]
    pub fn any(&self) -> bool {
        !self.stock().all.is_empty()
    }

    /// Waits until all slots are free, for five seconds at most.
    pub async fn wait_for_all(&self) {
        let all_free = async {
            loop {
                let all = u32::try_from(self.stock().all.len()).expect("slots are numbered in 32 bits");
                // There may be fewer by then: those of sessions go with them.
                if tokio::time::timeout(LOOK, self.permits.acquire_many(all)).await.is_ok() {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(5), all_free).await;
    }

    fn stock(&self) -> MutexGuard<'_, Stock> {
        self.stock.lock().expect("nothing panics while it holds this lock")
    }
}

fn count(number: u32) -> usize {
    usize::try_from(number).expect("32 bits fit")
}
