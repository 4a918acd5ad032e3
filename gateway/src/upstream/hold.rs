//! Requests that are held while the supervisor is away, because no line of their scripts can have run. Each waits for so long
//! at most and gives its place up when its client leaves; one of them looks whether the supervisor is back, for all.
//!
//! They are bounded as those are that wait at the supervisor: so many of all, and half of them of one tenant. Their bodies count
//! where all bodies do.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cloister_protocol::Tenant;
use tokio::time::Instant;

use crate::metrics::{Counted, Metrics};
use crate::upstream::tenant_counts::TenantCounts;

/// Requests that are held at once: as many as may wait at a supervisor with the shipped policy.
const MOST: usize = 1024;

/// How long after a vain look comes the next.
const PAUSE: Duration = Duration::from_millis(25);

/// All that are held.
#[derive(Debug)]
pub struct Hold {
    longest: Duration,
    metrics: Arc<Metrics>,
    held: Mutex<Held>,
    /// How often the supervisor was found to be there.
    found: AtomicU64,
    /// Whose turn it is to look.
    looking: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Held {
    all: usize,
    tenants: TenantCounts,
}

/// A request that is held, until this is dropped.
#[derive(Debug)]
pub struct HeldRequest {
    hold: Arc<Hold>,
    tenant: Tenant,
    until: Instant,
    _counted: Counted,
}

impl Hold {
    /// Nobody yet, and each for so long at most.
    pub fn new(longest: Duration, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            longest,
            metrics,
            held: Mutex::default(),
            found: AtomicU64::new(0),
            looking: tokio::sync::Mutex::default(),
        })
    }

    /// Holds a request of this tenant, if it may be.
    pub fn begin(self: &Arc<Self>, tenant: Tenant) -> Option<HeldRequest> {
        let mut held = self.held();
        if self.longest.is_zero() || held.all >= MOST || !held.tenants.add(tenant, MOST / 2) {
            return None;
        }
        held.all += 1;
        let until = Instant::now() + self.longest;
        Some(HeldRequest { hold: Arc::clone(self), tenant, until, _counted: self.metrics.hold() })
    }

    /// How often the supervisor was found to be there until now.
    pub fn found(&self) -> u64 {
        self.found.load(Ordering::Relaxed)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Counts, whole whatever happened to the last holder.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HeldRequest {
    /// Waits until the supervisor is found to be there once more than `found` times; `false` if it is not in time. `look` is
    /// what finds out, and is asked by one request at a time.
    pub async fn until_found<L: Future<Output = bool>>(&self, found: u64, look: impl Fn() -> L) -> bool {
        let wait = async {
            loop {
                let _turn = self.hold.looking.lock().await;
                if self.hold.found() > found {
                    return;
                }
                tokio::time::sleep(PAUSE).await;
                if look().await {
                    self.hold.found.fetch_add(1, Ordering::Relaxed);
                    return;
                }
            }
        };
        tokio::time::timeout_at(self.until, wait).await.is_ok()
    }
}

impl Drop for HeldRequest {
    fn drop(&mut self) {
        let mut held = self.hold.held();
        held.all -= 1;
        held.tenants.take_away(self.tenant);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use cloister_protocol::Tenant;

    use super::{Hold, MOST};
    use crate::metrics::Metrics;

    fn hold(longest: Duration) -> std::sync::Arc<Hold> {
        Hold::new(longest, Metrics::new(false).expect("names that differ").into())
    }

    #[test]
    fn one_tenant_leaves_half_to_others_and_all_are_bounded() {
        let hold = hold(Duration::from_secs(5));
        let take = |tenant| std::iter::from_fn(|| hold.begin(Tenant::new(tenant))).take(MOST).collect::<Vec<_>>();
        let (one, two) = (take(1), take(2));
        assert_eq!((one.len(), two.len()), (MOST / 2, MOST / 2));
        assert!(hold.begin(Tenant::new(3)).is_none(), "all are taken");
        drop(one);
        assert!(hold.begin(Tenant::new(3)).is_some());
        drop(two);
        assert_eq!(hold.held().all, 0);
        assert!(hold.held().tenants.is_empty());
        assert!(self::hold(Duration::ZERO).begin(Tenant::new(1)).is_none());
    }

    #[tokio::test]
    async fn one_looks_for_all_and_time_is_bounded() {
        let hold = hold(Duration::from_millis(500));
        let (one, two) = (hold.begin(Tenant::new(1)).expect("a place"), hold.begin(Tenant::new(2)).expect("a place"));
        let looks = Cell::new(0);
        let look = || {
            looks.set(looks.get() + 1);
            std::future::ready(looks.get() == 3)
        };
        let found = hold.found();
        assert_eq!(tokio::join!(one.until_found(found, look), two.until_found(found, look)), (true, true));
        assert_eq!(looks.get(), 3, "the second is told by the first");
        assert!(!one.until_found(hold.found(), || std::future::ready(false)).await, "it never is");
    }
}
