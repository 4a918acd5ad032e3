//! The start of what serves jobs, all of it or nothing.

use std::sync::Arc;
use std::time::Duration;

use cloister_terms::{Policy, Profile};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::door::engine::Engine;
use crate::door::in_force::{InForce, Pools};
use crate::job::slots::Slots;
use crate::link::launcher::Guard;
use crate::link::launcher_error::LauncherError;
use crate::pool::Pool;
use crate::pool::ground::Ground;
use cloister_supervisor::host::Host;
use cloister_supervisor::needs::{has_loopback, slot_count, slots_of_sessions};

/// How long a changed profile may take to park its children before a reload is given up.
pub const PARK_TIME: Duration = Duration::from_secs(60);

/// Why the service could not start, or a policy not come into force.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A layer that is required could not be set up.
    #[error("{0}")]
    Sandbox(#[from] cloister_sandbox::Error),
    /// A profile's launcher could not be confined.
    #[error("start the launcher of profile {profile:?}: {source}")]
    Launcher {
        /// The profile.
        profile: String,
        /// What happened.
        source: LauncherError,
    },
    /// An attempt that must fail did not.
    #[error("the sandbox does not hold:\n  {}", .0.join("\n  "))]
    Broken(Vec<String>),
    /// More slots than this process may have open files for, which only a start can change.
    #[error("so many slots need {needed} open files, this process may have {limit}: restart it")]
    TooFewFiles {
        /// For all slots while both policies are warm, and what is beside them.
        needed: u64,
        /// What is allowed.
        limit: u64,
    },
    /// More slots than there are host ids for.
    #[error(
        "with both policies warm for a while {needed} host ids are needed, there are {count}: raise uid_count and restart it"
    )]
    TooFewIds {
        /// For all slots while both policies are warm, and the launchers.
        needed: u32,
        /// What the policy gives.
        count: u32,
    },
    /// More slots than device nodes were made for, which only a start can do.
    #[error(
        "with both policies warm for a while {needed} sets of device nodes are needed, {made} were made at the start: restart it"
    )]
    TooFewDevices {
        /// For all slots while both policies are warm.
        needed: u32,
        /// What there are.
        made: u32,
    },
    /// A loopback network is asked for, and this process has given up what jobs would need for it.
    #[error("network = \"loopback\" needs a restart where no profile had it before")]
    NoLoopback,
    /// The limit on open files could not be read.
    #[error("read the limit on open files: {0}")]
    Files(#[from] std::io::Error),
    /// A profile's children could not be parked.
    #[error("the children of profile {:?} were not parked within {} seconds", .0, PARK_TIME.as_secs())]
    Unparked(String),
}

/// Prepares control groups, slots and a launcher for each profile. Nothing is served before that has succeeded for all.
/// What keeps the host's ids is to outlive what is started, so that nobody else has them before nothing runs with them.
///
/// # Errors
/// The first step that failed.
pub async fn start(policy: &Policy, host: Host, guard: Guard) -> Result<Engine, StartError> {
    let Host { ids, tree, devices, library, powers } = host;
    let tree = Arc::new(tree);
    if slots_of_sessions(policy) > 0 {
        tree.require_freezer()?;
    }
    let slots = Arc::new(Slots::new((Arc::clone(&tree), Arc::clone(&powers)), ids, devices.as_ref())?);
    let beside = Arc::new(Semaphore::new(processors()));
    let devices = devices.map(Arc::new);
    let loopback = has_loopback(policy);
    let ground = Ground {
        ids,
        slots,
        tree,
        guard,
        devices,
        loopback,
        beside,
        warmth: Arc::default(),
        library: Arc::new(library),
        powers,
    };
    let ((), pools) = tokio::try_join!(make_slots(policy, &ground), start_all(policy, &ground))?;
    let in_force = InForce::new(pools, policy.digest.clone(), policy.supervisor.clone());
    Ok(Engine::new(in_force, ground))
}

/// Makes the slots, whose groups take their time, beside the first interpreters, which take theirs.
async fn make_slots(policy: &Policy, ground: &Ground) -> Result<(), StartError> {
    let (slots, number) = (Arc::clone(&ground.slots), slot_count(policy));
    let made = tokio::task::spawn_blocking(move || slots.resize(number)).await;
    Ok(made.expect("making slots does not panic")?)
}

/// Starts all profiles side by side, as many at once as there are processors, and two in any case. The first that fails
/// ends all.
async fn start_all(policy: &Policy, ground: &Ground) -> Result<Pools, StartError> {
    let (policy, places) = (Arc::new(policy.clone()), Arc::new(Semaphore::new(processors().max(2))));
    let mut starts = JoinSet::new();
    for name in policy.profiles.keys() {
        let (policy, places, ground) = (Arc::clone(&policy), Arc::clone(&places), ground.clone());
        let name = name.clone();
        starts.spawn(async move {
            let _place = places.acquire().await.expect("the semaphore is never closed");
            start_pool(&policy, &policy.profiles[&name], ground).await
        });
    }
    let mut pools = Pools::new();
    while let Some(started) = starts.join_next().await {
        let pool = started.expect("a start neither panics nor is cancelled")?;
        pools.insert(pool.name.clone(), pool);
    }
    Ok(pools)
}

/// Starts one profile.
///
/// # Errors
/// What failed of it.
pub async fn start_pool(policy: &Policy, profile: &Profile, ground: Ground) -> Result<Arc<Pool>, StartError> {
    let pool = Pool::start(policy, profile, ground).await;
    pool.map_err(|source| StartError::Launcher { profile: profile.name.clone(), source })
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
