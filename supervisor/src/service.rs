//! The supervisor's whole: profiles with their launchers, slots, and the way of one request through them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cloister_policy::{Policy, Supervisor};
use cloister_protocol::{ErrorCode, ExecuteRequest, Failure};
use cloister_sandbox::cgroup::{self, Tree};
use cloister_sandbox::spec::{IdRange, Layer, Slot};
use cloister_sandbox::{landlock, seccomp};

use crate::connection::LauncherError;
use crate::host::Host;
use crate::job::{Outcome, PrepareError};
use crate::profile;
use crate::slots::{Door, Load, Overloaded, Slots};

/// The profile of a request that names none.
const DEFAULT_PROFILE: &str = "default";

/// Everything that serves jobs. Dropping it ends every sandbox and removes the control groups.
#[derive(Debug)]
pub struct Service {
    hosts: BTreeMap<String, Arc<Host>>,
    door: Door,
    slots: Arc<Slots>,
    slot_count: u32,
    digest: String,
    cgroup_version: cgroup::Version,
    // Last, so that the launchers are gone when the tree is removed.
    _tree: Arc<Tree>,
}

/// Why the service could not start.
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
}

impl Service {
    /// Prepares control groups, slots and a launcher for each profile. Nothing is served before that
    /// has succeeded for all.
    ///
    /// # Errors
    /// The first step that failed.
    pub async fn start(policy: &Policy, cgroup_name: &str, without: &[Layer]) -> Result<Self, StartError> {
        let tree = Arc::new(Tree::create(cgroup_name)?);
        let Supervisor { slots: running, queue, queue_wait, uid_base, .. } = policy.supervisor;
        let parked: u32 =
            policy.profiles.values().filter_map(|profile| profile.warm.as_ref()).map(|warm| warm.parked).sum();
        let slot_count = running + parked;
        let ids = IdRange { base: uid_base, count: slot_count + 1 };
        tree.delegate_to(ids.base)?;
        let mut slots = Vec::new();
        for number in (0..slot_count).rev() {
            slots.push((Slot(number), tree.slot(number, ids.base)?));
        }
        let slots = Arc::new(Slots::new(slots));
        let mut hosts = BTreeMap::new();
        for (name, profile) in &policy.profiles {
            seccomp::compile(&profile::spec(policy, profile, &[]).syscalls)?;
            let host = Host::start(policy, profile, ids, &slots, &tree, without).await;
            let host = host.map_err(|source| StartError::Launcher { profile: name.clone(), source })?;
            hosts.insert(name.clone(), host);
        }
        Ok(Self {
            hosts,
            door: Door::new(running, queue, queue_wait),
            slots,
            slot_count,
            digest: policy.digest.clone(),
            cgroup_version: tree.version(),
            _tree: tree,
        })
    }

    /// The profile that a request is for.
    ///
    /// # Errors
    /// A failure that names those there are.
    fn host(&self, request: &ExecuteRequest) -> Result<&Arc<Host>, Failure> {
        let name = request.profile.as_deref().unwrap_or(DEFAULT_PROFILE);
        self.hosts.get(name).ok_or_else(|| {
            let known = self.hosts.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            Failure::new(
                ErrorCode::InvalidRequest,
                format!("profile: there is no profile {name:?}, expected one of: {known}"),
            )
        })
    }

    /// Runs a request to its outcome. Dropping the future kills the job and frees its slot.
    ///
    /// # Errors
    /// A failure when no job ran.
    pub async fn execute(&self, request: &ExecuteRequest) -> Result<Outcome, Failure> {
        let host = self.host(request)?;
        let size = request.script.len() as u64;
        if size > host.bounds.script_bytes {
            let message =
                format!("script is {size} bytes, profile {:?} accepts {}", host.name, host.bounds.script_bytes);
            return Err(Failure::new(ErrorCode::TooLarge, message));
        }
        let overloaded = |full: Overloaded| Failure::new(ErrorCode::Overloaded, full.to_string());
        let _place = self.door.enter().await.map_err(overloaded)?;
        let run = async { host.child().await?.run(request, &host.bounds).await };
        run.await.map_err(|error: PrepareError| Failure::new(ErrorCode::from(&error), error.to_string()))
    }

    /// The layers in force for a request's profile, for those who ask.
    #[must_use]
    pub fn explain(&self, request: &ExecuteRequest) -> Option<String> {
        let host = self.host(request).ok()?;
        Some(format!(
            "policy={}; profile={}; landlock={}; filter={}; cgroup={}; warm={}",
            self.digest.get(..12).unwrap_or_default(),
            host.name,
            landlock::abi(),
            seccomp::compile(&host.spec.syscalls).map_or(0, |filter| filter.len()),
            self.cgroup_version,
            host.is_warm(),
        ))
    }

    /// The names of the profiles.
    pub fn profiles(&self) -> impl Iterator<Item = &str> {
        self.hosts.keys().map(String::as_str)
    }

    /// The host name inside a profile's sandboxes.
    #[must_use]
    pub fn hostname(&self, profile: &str) -> &str {
        self.hosts.get(profile).map_or("", |host| &host.spec.hostname)
    }

    /// How busy the slots and the queue are.
    #[must_use]
    pub fn load(&self) -> Load {
        self.door.load()
    }

    /// Whether every profile's launcher and zygote carry out orders.
    ///
    /// # Errors
    /// A sentence about the first that is silent for longer than `within`.
    pub async fn answers(&self, within: Duration) -> Result<(), String> {
        for (name, host) in &self.hosts {
            host.answers(within).await.map_err(|error| format!("the launcher of profile {name:?}: {error}"))?;
        }
        Ok(())
    }

    /// Ends every profile and waits until all of its sandboxes are gone.
    pub async fn drain(&mut self) {
        self.hosts.clear();
        self.slots.wait_for(self.slot_count).await;
    }

    /// Which control group version holds the jobs.
    #[must_use]
    pub fn cgroup_version(&self) -> cgroup::Version {
        self.cgroup_version
    }
}

/// Reads a policy for a daemon: errors are complete sentences for a person.
///
/// # Errors
/// Everything that is wrong with the file.
pub fn load_policy(path: &Path) -> Result<Policy, String> {
    Policy::load(path).map_err(|error| error.to_string())
}
