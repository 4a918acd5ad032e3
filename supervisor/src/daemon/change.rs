//! The change from the policy in force to another, whole or not at all.

use std::sync::Arc;

use cloister_terms::{Policy, Supervisor};
use nix::sys::resource::{Resource, getrlimit};

use crate::daemon::canary;
use crate::daemon::start::{PARK_TIME, StartError, start_pool};
use crate::door::engine::Engine;
use crate::door::in_force::{InForce, Pools};
use crate::pool::ground::Ground;
use cloister_supervisor::needs::{has_loopback, slots_beside};
use cloister_supervisor::open_files::open_files;

/// What a reload did.
#[derive(Debug)]
pub struct Reloaded {
    /// The digest of the policy that is in force now.
    pub digest: String,
    /// Profiles that are new or changed, with new launchers.
    pub replaced: Vec<String>,
    /// How many go on as they were.
    pub kept: usize,
    /// What only a restart puts in force.
    pub needs_restart: Vec<&'static str>,
}

/// Puts another policy in force. Profiles that are the same under both go on with what they have;
/// for all others launchers, zygotes and parked children are made first, and each layer is tried in
/// them. Until that has succeeded nothing changes for any request, and if it fails nothing ever does.
/// Jobs that run go on under the policy that they began with.
///
/// # Errors
/// Why the policy in force stays what it was.
pub async fn change(engine: &Engine, policy: &Policy) -> Result<Reloaded, StartError> {
    let before = engine.in_force();
    let change = Change::plan(&before, policy);
    change.check(engine.ground(), policy)?;
    let fresh = match change.warm_up(engine.ground(), policy).await {
        Ok(fresh) => fresh,
        Err(error) => {
            engine.resize_slots(before.slots());
            return Err(error);
        }
    };
    for (name, pool) in &fresh {
        if let Some(before) = before.pools().get(name) {
            pool.succeed(before);
        }
    }
    let (replaced, kept) = (fresh.keys().cloned().collect(), change.kept.len());
    let pools = change.kept.into_iter().chain(fresh).collect();
    let Supervisor { uid_base, uid_count, .. } = *before.supervisor();
    let moved = (policy.supervisor.uid_base != uid_base).then_some("uid_base");
    let resized = (policy.supervisor.uid_count != uid_count).then_some("uid_count");
    let needs_restart = moved.into_iter().chain(resized).collect();
    let supervisor = Supervisor { uid_base, uid_count, ..policy.supervisor.clone() };
    drop(before);
    engine.put_in_force(InForce::new(pools, policy.digest.clone(), supervisor));
    Ok(Reloaded { digest: policy.digest.clone(), replaced, kept, needs_restart })
}

/// What a reload has to do.
struct Change {
    kept: Pools,
    changed: Vec<String>,
    /// While both policies are warm: for the jobs that run, for what either keeps parked, and for a canary.
    slots_meanwhile: u32,
}

impl Change {
    fn plan(before: &InForce, policy: &Policy) -> Self {
        let (mut kept, mut changed) = (Pools::new(), Vec::new());
        let mut parked = before.parks();
        for (name, profile) in &policy.profiles {
            match before.pools().get(name).filter(|pool| pool.is_for(policy, profile)) {
                Some(pool) => {
                    kept.insert(name.clone(), Arc::clone(pool));
                }
                None => {
                    parked += profile.warm.as_ref().map_or(0, |warm| warm.parked);
                    changed.push(name.clone());
                }
            }
        }
        let running = before.supervisor().slots.max(policy.supervisor.slots);
        Self { kept, changed, slots_meanwhile: running + parked + 1 }
    }

    /// Whether there is enough of what was set aside at the start for both policies while they are warm.
    fn check(&self, ground: &Ground, policy: &Policy) -> Result<(), StartError> {
        let slots = self.slots_meanwhile;
        let needed = open_files(slots + slots_beside(policy), policy);
        let (limit, _) = getrlimit(Resource::RLIMIT_NOFILE).map_err(std::io::Error::from)?;
        if needed > limit {
            return Err(StartError::TooFewFiles { needed, limit });
        }
        // The launchers that go on have the ids that they were started with, so new ones have the same.
        let count = ground.ids.count;
        if slots >= count {
            return Err(StartError::TooFewIds { needed: slots + 1, count });
        }
        match ground.devices.as_ref().map(|devices| devices.sets()) {
            Some(made) if slots > made => return Err(StartError::TooFewDevices { needed: slots, made }),
            _ => {}
        }
        if !ground.loopback && has_loopback(policy) {
            return Err(StartError::NoLoopback);
        }
        Ok(())
    }

    /// Starts the profiles that changed, tries each layer in them, and waits until their children are parked.
    async fn warm_up(&self, ground: &Ground, policy: &Policy) -> Result<Pools, StartError> {
        ground.slots.resize(self.slots_meanwhile)?;
        let mut pools = Pools::new();
        for name in &self.changed {
            let pool = start_pool(policy, &policy.profiles[name], ground.clone()).await?;
            canary::all_hold(std::iter::once(&pool)).await.map_err(StartError::Broken)?;
            let filled = tokio::time::timeout(PARK_TIME, pool.filled()).await;
            filled.map_err(|_| StartError::Unparked(name.clone()))?;
            pools.insert(name.clone(), pool);
        }
        Ok(pools)
    }
}
