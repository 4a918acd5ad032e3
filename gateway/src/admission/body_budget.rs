//! Bodies on their way in: how much memory they may take together and of one tenant, and whose turn it is to have a
//! large one parsed. One who sends large bodies holds up himself and nobody else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cloister_program::{Budget, Taken};
use cloister_protocol::Tenant;
use tokio::sync::Semaphore;

/// Threads beside the event loop: they parse large bodies, and read the files of keys and certificates.
pub const THREADS: usize = 4;

/// From this size on a body's parsing would keep other connections waiting.
const LARGE: usize = 128 * 1024;

/// What all bodies share.
#[derive(Debug)]
pub struct BodyBudget {
    all: Arc<Budget>,
    /// What one tenant may take of it.
    share: usize,
    tenants: Mutex<HashMap<Tenant, Arc<TenantShare>>>,
}

/// What the bodies of one tenant share.
#[derive(Debug)]
struct TenantShare {
    memory: Arc<Budget>,
    /// One of them is parsed at a time. Those of others go to the next free thread, so each waits for one a tenant.
    turn: Arc<Semaphore>,
}

/// A body of a tenant.
#[derive(Debug)]
pub struct TenantBody {
    budget: Arc<BodyBudget>,
    tenant: Tenant,
    share: Arc<TenantShare>,
    taken: (Taken, Taken),
}

impl BodyBudget {
    /// All bodies may take so many bytes together, and those of one tenant half of it.
    pub fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self { all: Budget::new(bytes), share: bytes.div_ceil(2), tenants: Mutex::default() })
    }

    /// Nothing yet, of a body of this tenant.
    pub fn begin(self: &Arc<Self>, tenant: Tenant) -> TenantBody {
        let mut tenants = self.tenants();
        let share = tenants.entry(tenant).or_insert_with(|| {
            Arc::new(TenantShare { memory: Budget::new(self.share), turn: Arc::new(Semaphore::new(1)) })
        });
        let share = Arc::clone(share);
        let taken = (self.all.open(), share.memory.open());
        TenantBody { budget: Arc::clone(self), tenant, share, taken }
    }

    fn tenants(&self) -> MutexGuard<'_, HashMap<Tenant, Arc<TenantShare>>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TenantBody {
    /// Takes memory for more of it; `false` when there is not that much left, of all or of the tenant's share.
    pub fn take(&mut self, bytes: usize) -> bool {
        let (all, own) = &mut self.taken;
        own.take(bytes) && all.take(bytes)
    }

    /// So much of what it has taken, as that of another body.
    #[must_use]
    pub fn split(&mut self, bytes: usize) -> Self {
        let taken = (self.taken.0.split(bytes), self.taken.1.split(bytes));
        Self { budget: Arc::clone(&self.budget), tenant: self.tenant, share: Arc::clone(&self.share), taken }
    }

    /// Nothing yet, of another body of the same tenant.
    pub fn another(&self) -> Self {
        self.budget.begin(self.tenant)
    }

    /// Does to a body what there is to do; if it is large, when it is its turn, and beside the event loop.
    pub async fn work<T: Send + 'static>(&self, body: Vec<u8>, work: impl FnOnce(Vec<u8>) -> T + Send + 'static) -> T {
        self.work_on(body.len() >= LARGE, move || work(body)).await
    }

    /// Does what there is to do for it; if that is much, when it is its turn, and beside the event loop.
    pub async fn work_on<T: Send + 'static>(&self, is_much: bool, work: impl FnOnce() -> T + Send + 'static) -> T {
        if !is_much {
            return work();
        }
        let turn = Arc::clone(&self.share.turn).acquire_owned().await.expect("the semaphore is never closed");
        // Until it is done, even if nobody waits for it any more.
        let work = move || {
            let done = work();
            drop(turn);
            done
        };
        tokio::task::spawn_blocking(work).await.expect("parsing neither panics nor is cancelled")
    }
}

impl Drop for TenantBody {
    fn drop(&mut self) {
        let mut tenants = self.budget.tenants();
        // The map's own, and this one.
        if Arc::strong_count(&self.share) <= 2 {
            tenants.remove(&self.tenant);
        }
    }
}

#[cfg(test)]
mod tests {
    use cloister_protocol::Tenant;

    use super::{BodyBudget, LARGE};

    #[test]
    fn nobody_takes_all_of_the_memory() {
        let budget = BodyBudget::new(100);
        let (mut one, mut two) = (budget.begin(Tenant::new(1)), budget.begin(Tenant::new(1)));
        assert!(one.take(30) && !two.take(21) && two.take(20) && !one.take(1));
        let mut other = budget.begin(Tenant::new(2));
        assert!(other.take(50) && !other.take(1));
        assert!(!budget.begin(Tenant::new(3)).take(1), "all is taken");
        drop((one, two));
        assert!(budget.begin(Tenant::new(1)).take(50));
        drop(other);
        assert!(budget.tenants().is_empty());
    }

    #[tokio::test]
    async fn large_bodies_of_one_tenant_take_turns() {
        let budget = BodyBudget::new(100);
        let (first, second) = (budget.begin(Tenant::new(1)), budget.begin(Tenant::new(1)));
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let slow = first.work(vec![0; LARGE], move |_| wait.recv().is_ok());
        let mut slow = std::pin::pin!(slow);
        assert!(tokio::time::timeout(std::time::Duration::from_millis(50), &mut slow).await.is_err());
        let other = budget.begin(Tenant::new(2));
        assert_eq!(other.work(vec![0; LARGE], |body| body.len()).await, LARGE, "another's is not held up");
        assert_eq!(second.work(Vec::new(), |body| body.len()).await, 0, "nor a small one");
        let waits = second.work(vec![0; LARGE], |body| body.len());
        let mut waits = std::pin::pin!(waits);
        assert!(tokio::time::timeout(std::time::Duration::from_millis(50), &mut waits).await.is_err());
        go.send(()).expect("it waits");
        assert!(slow.await);
        assert_eq!(waits.await, LARGE);
    }
}
