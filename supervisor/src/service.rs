//! The supervisor's whole: profiles with their launchers, slots, and the way of one request through them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use cloister_policy::Policy;
use cloister_protocol::{ErrorCode, ExecuteRequest, Failure};
use cloister_sandbox::cgroup::{self, Tree};
use cloister_sandbox::spec::{IdRange, Layer, Slot, Spec};
use cloister_sandbox::{landlock, seccomp};
use tokio::sync::Mutex;

use crate::job::{Outcome, PrepareError, Prepared};
use crate::launcher::{Launcher, LauncherError};
use crate::profile::{self, Bounds};
use crate::slots::Slots;

/// The profile of a request that names none.
const DEFAULT_PROFILE: &str = "default";

/// Everything that serves jobs. Dropping it ends every sandbox and removes the control groups.
#[derive(Debug)]
pub struct Service {
    hosts: BTreeMap<String, Host>,
    slots: Arc<Slots>,
    digest: String,
    cgroup_version: cgroup::Version,
    // Last, so that the launchers are gone when the tree is removed.
    tree: Arc<Tree>,
}

/// One profile and its launcher.
#[derive(Debug)]
struct Host {
    name: String,
    spec: Spec,
    limits: cgroup::Limits,
    bounds: Bounds,
    ids: IdRange,
    launcher: Mutex<Option<Arc<Launcher>>>,
    filter_length: usize,
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
        let count = policy.supervisor.slots;
        let ids = IdRange { base: policy.supervisor.uid_base, count: count + 1 };
        tree.delegate_to(ids.base)?;
        let mut slots = Vec::new();
        for number in (0..count).rev() {
            slots.push((Slot(number), tree.slot(number, ids.base)?));
        }
        let slots = Arc::new(Slots::new(slots, policy.supervisor.queue, policy.supervisor.queue_wait));
        let mut hosts = BTreeMap::new();
        for (name, of) in &policy.profiles {
            let spec = profile::spec(policy, of, without);
            let filter_length = seccomp::compile(&spec.syscalls)?.len();
            let host = Host {
                name: name.clone(),
                spec,
                limits: profile::limits(of),
                bounds: profile::bounds(of),
                ids,
                launcher: Mutex::new(None),
                filter_length,
            };
            host.launcher(&tree).await.map_err(|source| StartError::Launcher { profile: name.clone(), source })?;
            hosts.insert(name.clone(), host);
        }
        let cgroup_version = tree.version();
        Ok(Self { hosts, slots, digest: policy.digest.clone(), cgroup_version, tree })
    }

    /// The profile that a request is for.
    ///
    /// # Errors
    /// A failure that names those there are.
    fn host(&self, request: &ExecuteRequest) -> Result<&Host, Failure> {
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
        let lease = self.slots.acquire().await.map_err(|full| Failure::new(ErrorCode::Overloaded, full.to_string()))?;
        let run = async {
            let launcher = match host.launcher(&self.tree).await {
                Ok(launcher) => launcher,
                Err(error) => {
                    self.slots.release(lease);
                    return Err(error.into());
                }
            };
            let prepared = Prepared::new(&launcher, host.limits, lease, &self.slots).await?;
            prepared.run(request, &host.bounds).await
        };
        run.await.map_err(|error: PrepareError| Failure::new(ErrorCode::from(&error), error.to_string()))
    }

    /// The layers in force for a request's profile, for those who ask.
    #[must_use]
    pub fn explain(&self, request: &ExecuteRequest) -> Option<String> {
        let host = self.host(request).ok()?;
        Some(format!(
            "policy={}; profile={}; landlock={}; filter={}; cgroup={}; warm=false",
            self.digest.get(..12).unwrap_or_default(),
            host.name,
            landlock::abi(),
            host.filter_length,
            self.cgroup_version,
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

    /// Waits until every slot is free again: all that ran has ended and is cleaned up.
    pub async fn drain(&self) {
        self.slots.all_free().await;
    }

    /// Which control group version holds the jobs.
    #[must_use]
    pub fn cgroup_version(&self) -> cgroup::Version {
        self.cgroup_version
    }
}

impl Host {
    /// The profile's launcher, started again if it has died.
    async fn launcher(&self, tree: &Tree) -> Result<Arc<Launcher>, LauncherError> {
        let mut current = self.launcher.lock().await;
        if let Some(launcher) = current.as_ref().filter(|launcher| launcher.is_alive()) {
            return Ok(Arc::clone(launcher));
        }
        let launcher = Launcher::start(self.spec.clone(), self.ids, |pid| tree.adopt_launcher(pid)).await?;
        tracing::info!(profile = self.name, pid = launcher.pid(), "launcher ready");
        Ok(Arc::clone(current.insert(Arc::new(launcher))))
    }
}

/// Reads a policy for a daemon: errors are complete sentences for a person.
///
/// # Errors
/// Everything that is wrong with the file.
pub fn load_policy(path: &Path) -> Result<Policy, String> {
    Policy::load(path).map_err(|error| error.to_string())
}
