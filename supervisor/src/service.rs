//! The supervisor's whole: profiles with their launchers, slots, and the way of one request through them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use cloister_policy::{Network, Policy, Profile, Supervisor};
use cloister_protocol::{ErrorCode, ExecuteRequest, Failure, Stats, Tenant};
use cloister_sandbox::cgroup::{self, Tree};
use cloister_sandbox::devices::Devices;
use cloister_sandbox::landlock;
use cloister_sandbox::spec::{IdRange, Layer};
use nix::sys::resource::{Resource, getrlimit};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::answers;
use crate::canary;
use crate::claim::{Claim, ClaimError};
use crate::connection::LauncherError;
use crate::files;
use crate::host::{Ground, Host, Ready};
use crate::job::Outcome;
use crate::output::Printed;
use crate::places::{Load, Overloaded, Place, Places, Room};
use crate::prepare_error::PrepareError;
use crate::serve::open_files;
use crate::slots::Slots;

/// The profile of a request that names none.
const DEFAULT_PROFILE: &str = "default";

/// What this process takes beside jobs and answers: itself, connections, the bodies of requests while they are read
/// and handed on, and what the kernel holds for its sockets.
const OWN_MEMORY: u64 = 1024 * 1024 * 1024;

/// How long a changed profile may take to park its children before a reload is given up.
const PARK_TIME: Duration = Duration::from_secs(60);

/// Everything that serves jobs. Dropping it ends every sandbox and removes the control groups.
#[derive(Debug)]
pub struct Service {
    in_force: Mutex<Arc<InForce>>,
    places: Arc<Places>,
    loopback: bool,
    // Behind the profiles, so that the launchers are gone when the tree is removed.
    ground: Ground,
    // Last of all: nobody else has the ids before nothing runs with them.
    _claim: Claim,
}

/// A policy in force. A request is judged by one of these, whole, whatever is reloaded meanwhile.
#[derive(Debug)]
struct InForce {
    hosts: Hosts,
    digest: String,
    supervisor: Supervisor,
}

type Hosts = BTreeMap<String, Arc<Host>>;

/// A request that has a place: its profile is settled, and nothing but its job is left to do.
#[derive(Debug)]
pub struct Admitted {
    host: Arc<Host>,
    policy: Arc<InForce>,
    cgroup_version: cgroup::Version,
    tenant: Tenant,
}

/// A request whose job is about to begin.
#[derive(Debug)]
pub struct Started {
    ready: Ready,
}

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

impl Service {
    /// Prepares control groups, slots and a launcher for each profile. Nothing is served before that
    /// has succeeded for all.
    ///
    /// # Errors
    /// The first step that failed.
    pub async fn start(
        policy: &Policy,
        claim: Claim,
        group: &str,
        devices: Option<Devices>,
        without: &[Layer],
    ) -> Result<Self, StartError> {
        let (ids, tree) = (claim.ids(), Arc::new(Tree::create(group)?));
        tree.delegate_to(ids.base)?;
        let running = policy.supervisor.slots;
        let slots = Arc::new(Slots::new(Arc::clone(&tree), ids, devices.as_ref(), running + parked(&policy.profiles))?);
        let beside = Arc::new(Semaphore::new(processors()));
        let devices = devices.map(Arc::new);
        let ground = Ground { ids, slots, tree, without: without.to_vec(), devices, beside };
        let hosts = start_all(policy, &ground).await?;
        let in_force = InForce { hosts, digest: policy.digest.clone(), supervisor: policy.supervisor.clone() };
        Ok(Self {
            places: Places::new(in_force.room()),
            in_force: Mutex::new(Arc::new(in_force)),
            loopback: has_loopback(policy),
            ground,
            _claim: claim,
        })
    }

    /// Puts another policy in force. Profiles that are the same under both go on with what they have;
    /// for all others launchers, zygotes and parked children are made first, and each layer is tried in
    /// them. Until that has succeeded nothing changes for any request, and if it fails nothing ever does.
    /// Jobs that run go on under the policy that they began with.
    ///
    /// # Errors
    /// Why the policy in force stays what it was.
    pub async fn reload(&self, policy: &Policy) -> Result<Reloaded, StartError> {
        let before = self.in_force();
        let change = Change::plan(&before, policy);
        let needed = open_files(change.slots_meanwhile, policy.supervisor.queue);
        let (limit, _) = getrlimit(Resource::RLIMIT_NOFILE).map_err(std::io::Error::from)?;
        if needed > limit {
            return Err(StartError::TooFewFiles { needed, limit });
        }
        // The launchers that go on have the ids that they were started with, so new ones have the same.
        let count = self.ground.ids.count;
        if change.slots_meanwhile >= count {
            return Err(StartError::TooFewIds { needed: change.slots_meanwhile + 1, count });
        }
        if let Some(made) = self.ground.devices.as_ref().map(|devices| devices.sets())
            && change.slots_meanwhile > made
        {
            return Err(StartError::TooFewDevices { needed: change.slots_meanwhile, made });
        }
        if !self.loopback && has_loopback(policy) {
            return Err(StartError::NoLoopback);
        }
        let fresh = match self.warm_up(policy, &change).await {
            Ok(fresh) => fresh,
            Err(error) => {
                self.shrink(before.supervisor.slots + parks(&before.hosts));
                return Err(error);
            }
        };
        for (name, host) in &fresh {
            if let Some(before) = before.hosts.get(name) {
                host.succeed(before);
            }
        }
        let (replaced, kept) = (fresh.keys().cloned().collect(), change.kept.len());
        let hosts = change.kept.into_iter().chain(fresh).collect();
        let Supervisor { uid_base, uid_count, .. } = before.supervisor;
        let moved = (policy.supervisor.uid_base != uid_base).then_some("uid_base");
        let resized = (policy.supervisor.uid_count != uid_count).then_some("uid_count");
        let needs_restart = moved.into_iter().chain(resized).collect();
        let supervisor = Supervisor { uid_base, uid_count, ..policy.supervisor.clone() };
        let running = supervisor.slots;
        let after = InForce { hosts, digest: policy.digest.clone(), supervisor };
        let slots = running + parks(&after.hosts);
        let room = after.room();
        // What was begun under the policy before may still be unread.
        if let Err(error) = self.ground.tree.bound_own(after.memory().max(before.memory())) {
            tracing::error!(%error, "the supervisor's own memory could not be bounded anew after a reload");
        }
        *self.lock() = Arc::new(after);
        self.places.resize(room);
        // What the old profiles hold comes back by itself: parked children now, running jobs at their end.
        drop(before);
        self.shrink(slots);
        Ok(Reloaded { digest: policy.digest.clone(), replaced, kept, needs_restart })
    }

    /// Starts the profiles that changed, tries each layer in them, and waits until their children are parked.
    async fn warm_up(&self, policy: &Policy, change: &Change) -> Result<Hosts, StartError> {
        self.ground.slots.resize(change.slots_meanwhile)?;
        let mut hosts = BTreeMap::new();
        for name in &change.changed {
            let profile = &policy.profiles[name];
            let host = start_host(policy, profile, self.ground.clone()).await?;
            canary::all_hold(std::iter::once(&host)).await.map_err(StartError::Broken)?;
            let filled = tokio::time::timeout(PARK_TIME, host.filled()).await;
            filled.map_err(|_| StartError::Unparked(name.clone()))?;
            hosts.insert(name.clone(), host);
        }
        Ok(hosts)
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
    /// A failure when there is no such profile, or the request is too large for it.
    pub fn admit(&self, place: &Place, request: &ExecuteRequest) -> Result<Admitted, Failure> {
        let policy = self.in_force();
        let host = Arc::clone(policy.host(request)?);
        Ok(Admitted { host, policy, cgroup_version: self.cgroup_version(), tenant: place.tenant() })
    }

    /// Bounds the memory of this process, where it has a control group of its own, by what the policy in force lets it
    /// hold. For the daemon alone: what runs beside it in a container may share its group.
    ///
    /// # Errors
    /// The file that could not be written.
    pub fn bound_memory(&self) -> cloister_sandbox::Result<()> {
        self.ground.tree.bound_own(self.in_force().memory())
    }

    /// The profiles in force.
    #[must_use]
    pub fn hosts(&self) -> Vec<Arc<Host>> {
        self.in_force().hosts.values().cloned().collect()
    }

    /// The digest of the policy in force.
    #[must_use]
    pub fn digest(&self) -> String {
        self.in_force().digest.clone()
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
        let profiles = self.in_force().hosts.iter().map(|(name, host)| (name.clone(), host.stats())).collect();
        Stats { slots, busy, waiting, unread, unread_bytes, profiles }
    }

    /// Ends every launcher and zygote that does not carry out orders, so that it is replaced. All are asked at once.
    pub async fn end_what_hangs(&self, within: Duration) {
        let asked = self.hosts().into_iter().map(|host| async move { host.end_what_hangs(within).await });
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
        let hosts = self.hosts();
        if !hosts.iter().any(|host| host.fails()) {
            return Ok(());
        }
        // What no request tries is tried here: the others may only not have been asked of late, and those that fail may
        // be well again.
        hosts.iter().for_each(Host::try_out);
        if hosts.iter().all(|host| host.fails()) {
            return Err("no sandbox can be made; the log of the service says why");
        }
        Ok(())
    }

    /// Ends every profile and waits until all of its sandboxes are gone.
    pub async fn drain(&mut self) {
        let before = self.in_force();
        let (digest, supervisor) = (before.digest.clone(), before.supervisor.clone());
        *self.lock() = Arc::new(InForce { hosts: BTreeMap::new(), digest, supervisor });
        drop(before);
        self.ground.slots.wait_for_all().await;
    }

    /// Which control group version holds the jobs.
    #[must_use]
    pub fn cgroup_version(&self) -> cgroup::Version {
        self.ground.tree.version()
    }

    fn shrink(&self, slots: u32) {
        if let Err(error) = self.ground.slots.resize(slots) {
            tracing::error!(%error, "the number of slots could not be set after a reload");
        }
    }

    fn in_force(&self) -> Arc<InForce> {
        Arc::clone(&self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Arc<InForce>> {
        self.in_force.lock().expect("nothing panics while it holds this lock")
    }
}

impl InForce {
    /// How much there is room for.
    fn room(&self) -> Room {
        let Supervisor { slots, queue, queue_wait, answers, .. } = self.supervisor;
        let largest = self.hosts.values().map(|host| answers::largest(&host.bounds)).max().unwrap_or(0);
        Room { slots, queue, queue_wait, answers: answers.0, largest }
    }

    /// What this process holds at most, in bytes: docs/security.md, "Memory of the daemons".
    fn memory(&self) -> u64 {
        let Room { slots, answers, largest, .. } = self.room();
        let made = self.hosts.values().map(|host| answers::largest_while_made(&host.bounds)).max().unwrap_or(0);
        let jobs = u64::from(slots).saturating_mul(largest.saturating_add(made));
        OWN_MEMORY.saturating_add(answers).saturating_add(jobs)
    }

    /// The profile that a request is for.
    fn host(&self, request: &ExecuteRequest) -> Result<&Arc<Host>, Failure> {
        let name = request.profile.as_deref().unwrap_or(DEFAULT_PROFILE);
        let host = self.hosts.get(name).ok_or_else(|| {
            let known = self.hosts.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            Failure::new(
                ErrorCode::InvalidRequest,
                format!("profile: there is no profile {name:?}, expected one of: {known}"),
            )
        })?;
        if request.timeout_ms.is_some() && !host.bounds.may_lower_timeout {
            let message = format!("timeout_ms: profile {name:?} does not let requests lower their wall time");
            return Err(Failure::new(ErrorCode::InvalidRequest, message));
        }
        let (size, most) = (request.script.len() as u64, host.bounds.script_bytes);
        if size > most {
            let message = format!("script is {size} bytes, profile {name:?} accepts {most}");
            return Err(Failure::new(ErrorCode::TooLarge, message));
        }
        files::check(&request.files, &host.bounds, &host.spec, name)?;
        Ok(host)
    }
}

impl Admitted {
    /// The layers in force for the request, for those who ask.
    #[must_use]
    pub fn explain(&self) -> String {
        format!(
            "policy={}; profile={}; landlock={}; filter={}; cgroup={}; warm={}",
            self.policy.digest.get(..12).unwrap_or_default(),
            self.host.name,
            landlock::abi(),
            self.host.filter_size(),
            self.cgroup_version,
            self.host.is_warm(),
        )
    }

    /// Runs the request to its outcome. Dropping the future kills the job and frees its slot.
    ///
    /// # Errors
    /// A failure when no job ran.
    pub async fn run(self, request: &ExecuteRequest) -> Result<Outcome, Failure> {
        self.start().await?.run(request, &Printed::default()).await
    }

    /// Waits for a sandbox.
    ///
    /// # Errors
    /// A failure when there is none.
    pub async fn start(self) -> Result<Started, Failure> {
        let Self { host, policy, tenant, .. } = self;
        // A running job keeps its own launcher, and nothing else of a policy that is no longer in force.
        drop(policy);
        let ready = host.ready(tenant).await.map_err(failure)?;
        Ok(Started { ready })
    }
}

impl Started {
    /// Runs the request to its outcome; meanwhile `printed` shows what comes. Dropping the future kills the job and frees
    /// its slot.
    ///
    /// # Errors
    /// A failure when its sandbox was lost: its script may have run.
    pub async fn run(self, request: &ExecuteRequest, printed: &Printed) -> Result<Outcome, Failure> {
        self.ready.run(request, printed).await.map_err(|error| failure(error).after_start())
    }
}

/// What the client is told; the log is told all of it.
fn failure(error: PrepareError) -> Failure {
    tracing::error!(%error, "a request has no sandbox");
    Failure::new(ErrorCode::from(&error), error.public().to_owned())
}

/// What a reload has to do.
struct Change {
    kept: Hosts,
    changed: Vec<String>,
    /// While both policies are warm: for the jobs that run, for what either keeps parked, and for a canary.
    slots_meanwhile: u32,
}

impl Change {
    fn plan(before: &InForce, policy: &Policy) -> Self {
        let (mut kept, mut changed) = (BTreeMap::new(), Vec::new());
        let mut parked = parks(&before.hosts);
        for (name, profile) in &policy.profiles {
            match before.hosts.get(name).filter(|host| host.is_for(policy, profile)) {
                Some(host) => {
                    kept.insert(name.clone(), Arc::clone(host));
                }
                None => {
                    parked += profile.warm.as_ref().map_or(0, |warm| warm.parked);
                    changed.push(name.clone());
                }
            }
        }
        let running = before.supervisor.slots.max(policy.supervisor.slots);
        Self { kept, changed, slots_meanwhile: running + parked + 1 }
    }
}

/// Starts all profiles side by side, as many at once as there are processors, and two in any case. The first that fails
/// ends all.
async fn start_all(policy: &Policy, ground: &Ground) -> Result<Hosts, StartError> {
    let (policy, places) = (Arc::new(policy.clone()), Arc::new(Semaphore::new(processors().max(2))));
    let mut starts = JoinSet::new();
    for name in policy.profiles.keys() {
        let (policy, places, ground) = (Arc::clone(&policy), Arc::clone(&places), ground.clone());
        let name = name.clone();
        starts.spawn(async move {
            let _place = places.acquire().await.expect("the semaphore is never closed");
            start_host(&policy, &policy.profiles[&name], ground).await
        });
    }
    let mut hosts = Hosts::new();
    while let Some(started) = starts.join_next().await {
        let host = started.expect("a start neither panics nor is cancelled")?;
        hosts.insert(host.name.clone(), host);
    }
    Ok(hosts)
}

async fn start_host(policy: &Policy, profile: &Profile, ground: Ground) -> Result<Arc<Host>, StartError> {
    let host = Host::start(policy, profile, ground).await;
    host.map_err(|source| StartError::Launcher { profile: profile.name.clone(), source })
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The host ids of a policy's launchers: root's, and one for each slot.
#[must_use]
pub fn id_range(policy: &Policy) -> IdRange {
    IdRange { base: policy.supervisor.uid_base, count: policy.supervisor.uid_count }
}

/// Ids for a sandbox of an operator's own, behind those that a supervisor of this policy uses and beside all that are in
/// use, and the policy with so many slots.
///
/// # Errors
/// When there are none.
pub fn stand_beside(policy: &mut Policy, slots: u32) -> Result<Claim, ClaimError> {
    let after = policy.supervisor.uid_base.0.saturating_add(policy.supervisor.uid_count);
    policy.supervisor.slots = slots;
    policy.supervisor.uid_count = slot_count(policy) + 2;
    let claim = Claim::first_free(after, policy.supervisor.uid_count)?;
    policy.supervisor.uid_base = claim.ids().base;
    Ok(claim)
}

/// How many slots a policy asks for: one for each job that may run, and one for each parked child.
#[must_use]
pub fn slot_count(policy: &Policy) -> u32 {
    policy.supervisor.slots + parked(&policy.profiles)
}

/// Whether any profile has a loopback network, on which the supervisor's own confinement depends.
#[must_use]
pub fn has_loopback(policy: &Policy) -> bool {
    policy.profiles.values().any(|profile| profile.network == Network::Loopback)
}

fn parked(profiles: &BTreeMap<String, Profile>) -> u32 {
    profiles.values().filter_map(|profile| profile.warm.as_ref()).map(|warm| warm.parked).sum()
}

fn parks(hosts: &Hosts) -> u32 {
    hosts.values().map(|host| host.parks()).sum()
}

/// Reads a policy for a daemon: errors are complete sentences for a person.
///
/// # Errors
/// Everything that is wrong with the file.
pub fn load_policy(path: &Path) -> Result<Policy, String> {
    Policy::load_for_host(path).map_err(|error| error.to_string())
}
