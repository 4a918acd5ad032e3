//! What serves jobs: the policy in force with its pools, and the places; and the way of one request to its sandbox.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use cloister_protocol::{ErrorCode, ExecuteRequest, Failure, Profiles, Stats, Tenant};
use cloister_sandbox::cgroup;
use tokio::task::JoinSet;

use crate::door::admitted::Admitted;
use crate::door::in_force::InForce;
use crate::door::places::{Place, Places};
use crate::door::shares::{Load, Overloaded};
use crate::pool::Pool;
use crate::pool::ground::Ground;

/// Everything that serves jobs. Dropping it ends every sandbox and removes the control groups.
#[derive(Debug)]
pub struct Engine {
    in_force: Mutex<Arc<InForce>>,
    places: Arc<Places>,
    // Behind the profiles, so that the launchers are gone when the tree is removed.
    ground: Ground,
}

impl Engine {
    /// Under this policy.
    #[must_use]
    pub fn new(in_force: InForce, ground: Ground) -> Self {
        Self { places: Places::new(in_force.room()), in_force: Mutex::new(Arc::new(in_force)), ground }
    }

    /// The policy in force.
    #[must_use]
    pub fn in_force(&self) -> Arc<InForce> {
        Arc::clone(&self.lock())
    }

    /// What all profiles have in common.
    #[must_use]
    pub fn ground(&self) -> &Ground {
        &self.ground
    }

    /// Puts another policy in force, for every request from now on. Jobs that run go on under the one that they began
    /// with.
    pub fn put_in_force(&self, after: InForce) {
        let before = self.in_force();
        let (slots, room) = (after.slots(), after.room());
        // What was begun under the policy before may still be unread.
        if let Err(error) = self.ground.tree.bound_memory(after.memory().max(before.memory())) {
            tracing::error!(%error, "the supervisor's own memory could not be bounded anew after a reload");
        }
        *self.lock() = Arc::new(after);
        self.places.resize(room);
        // What the old profiles hold comes back by itself: parked children now, running jobs at their end.
        drop(before);
        self.resize_slots(slots);
    }

    /// Sets how many slots there are, after a reload or after one that failed.
    pub fn resize_slots(&self, slots: u32) {
        if let Err(error) = self.ground.slots.resize(slots) {
            tracing::error!(%error, "the number of slots could not be set after a reload");
        }
    }

    /// Waits for a place. Dropping it lets the next in.
    ///
    /// # Errors
    /// A failure when there is none.
    pub async fn enter(&self, tenant: Tenant) -> Result<Place, Failure> {
        let overloaded = |full: Overloaded| Failure::new(ErrorCode::Overloaded, full.to_string());
        self.places.enter(tenant).await.map_err(overloaded)
    }

    /// Settles which profile, of the policy in force, a request is for that has a place.
    ///
    /// # Errors
    /// A failure when there is no such profile, it has not the runtime for which it was chosen, or the request is too large
    /// for it.
    pub fn admit(&self, place: &Place, request: &ExecuteRequest, runtime: Option<&str>) -> Result<Admitted, Failure> {
        let in_force = self.in_force();
        let pool = in_force.pool(request, runtime).cloned()?;
        Ok(Admitted::new(in_force, pool, self.cgroup_version(), place.tenant(), request))
    }

    /// Bounds the memory of this process, where it has a control group of its own, by what the policy in force lets it
    /// hold. For the daemon alone: what runs beside it in a container may share its group.
    ///
    /// # Errors
    /// The file that could not be written.
    pub fn bound_memory(&self) -> cloister_sandbox::Result<()> {
        self.ground.tree.bound_memory(self.in_force().memory())
    }

    /// The profiles in force.
    #[must_use]
    pub fn pools(&self) -> Vec<Arc<Pool>> {
        self.in_force().pools().values().cloned().collect()
    }

    /// The digest of the policy in force.
    #[must_use]
    pub fn digest(&self) -> String {
        self.in_force().digest().to_owned()
    }

    /// How busy the slots and the queue are.
    #[must_use]
    pub fn load(&self) -> Load {
        self.places.load()
    }

    /// How busy it all is, and how each profile fares.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let Load { busy, slots, waiting, unread, unread_bytes, .. } = self.load();
        let profiles = self.in_force().pools().iter().map(|(name, pool)| (name.clone(), pool.stats())).collect();
        Stats { slots, busy, waiting, unread, unread_bytes, profiles }
    }

    /// What scripts find under each profile.
    #[must_use]
    pub fn profiles(&self) -> Profiles {
        self.in_force().pools().iter().map(|(name, pool)| (name.clone(), pool.info())).collect()
    }

    /// Ends every launcher and zygote that does not carry out orders, so that it is replaced. All are asked at once.
    pub async fn end_what_hangs(&self, within: Duration) {
        let asked = self.pools().into_iter().map(|pool| async move { pool.end_what_hangs(within).await });
        asked.collect::<JoinSet<_>>().join_all().await;
    }

    /// Whether jobs can be made, in words for whoever asks.
    ///
    /// # Errors
    /// Why none can: no slot can be made ready, or no profile's sandboxes have been of late.
    pub fn health(&self) -> Result<(), &'static str> {
        if !self.ground.slots.any() {
            return Err("no slot for a job can be made; the log of the service says why");
        }
        let pools = self.pools();
        if !pools.iter().any(|pool| pool.fails()) {
            return Ok(());
        }
        // What no request tries is tried here: the others may only not have been asked of late, and those that fail may
        // be well again.
        pools.iter().for_each(|pool| pool.try_out());
        if pools.iter().all(|pool| pool.fails()) {
            return Err("no sandbox can be made; the log of the service says why");
        }
        Ok(())
    }

    /// Ends every profile and waits until all of its sandboxes are gone.
    pub async fn drain(&mut self) {
        let before = self.in_force();
        *self.lock() = Arc::new(before.without_pools());
        drop(before);
        self.ground.slots.wait_for_all().await;
    }

    /// Which control group version holds the jobs.
    #[must_use]
    pub fn cgroup_version(&self) -> cgroup::Version {
        self.ground.tree.version()
    }

    fn lock(&self) -> MutexGuard<'_, Arc<InForce>> {
        self.in_force.lock().expect("nothing panics while it holds this lock")
    }
}
