//! A policy in force: its pools, and how much room it gives.

use std::collections::BTreeMap;
use std::sync::Arc;

use cloister_protocol::{DEFAULT_PROFILE, ErrorCode, ExecuteRequest, Failure};
use cloister_terms::Supervisor;

use crate::door::answers;
use crate::door::sessions::room::SessionRoom;
use crate::door::shares::Room;
use crate::job::bounds::Bounds;
use crate::job::input_files;
use crate::pool::Pool;

/// What this process takes beside jobs and answers: itself, connections, the bodies of requests while they are read
/// and handed on, and what the kernel holds for its sockets.
const OWN_MEMORY: u64 = 1024 * 1024 * 1024;

/// A policy in force. A request is judged by one of these, whole, whatever is reloaded meanwhile.
#[derive(Debug)]
pub struct InForce {
    pools: Pools,
    digest: String,
    supervisor: Supervisor,
    sessions: SessionRoom,
}

/// The pools of profiles, by name.
pub type Pools = BTreeMap<String, Arc<Pool>>;

impl InForce {
    /// With these pools, one for each of its profiles.
    #[must_use]
    pub fn new(pools: Pools, digest: String, supervisor: Supervisor) -> Self {
        let sessions = SessionRoom::of(&supervisor);
        Self { pools, digest, supervisor, sessions }
    }

    /// The same without any profile.
    #[must_use]
    pub fn without_pools(&self) -> Self {
        Self::new(Pools::new(), self.digest.clone(), self.supervisor.clone())
    }

    /// The pools.
    #[must_use]
    pub fn pools(&self) -> &Pools {
        &self.pools
    }

    /// The digest of the policy's file.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// What it says of the supervisor.
    #[must_use]
    pub fn supervisor(&self) -> &Supervisor {
        &self.supervisor
    }

    /// How much there may be of sessions.
    #[must_use]
    pub fn sessions(&self) -> SessionRoom {
        self.sessions
    }

    /// How many slots it takes: for jobs that run, and for children that are parked.
    #[must_use]
    pub fn slots(&self) -> u32 {
        self.supervisor.slots + self.parks()
    }

    /// How many children are kept parked.
    #[must_use]
    pub fn parks(&self) -> u32 {
        self.pools.values().map(|pool| pool.parks()).sum()
    }

    /// How much there is room for.
    #[must_use]
    pub fn room(&self) -> Room {
        let Supervisor { slots, queue, queue_wait, answers, .. } = self.supervisor;
        let largest = self.pools.values().map(|pool| answers::largest(&pool.bounds)).max().unwrap_or(0);
        Room { slots, queue, queue_wait, answers: answers.0, largest }
    }

    /// What this process holds at most, in bytes: docs/security.md, "Memory of the daemons".
    #[must_use]
    pub fn memory(&self) -> u64 {
        let Room { slots, answers, largest, .. } = self.room();
        let made = self.pools.values().map(|pool| answers::largest_while_made(&pool.bounds)).max().unwrap_or(0);
        let jobs = u64::from(slots).saturating_mul(largest.saturating_add(made));
        OWN_MEMORY.saturating_add(answers).saturating_add(jobs)
    }

    /// The pool that a request is for, of whose profile somebody may have chosen the runtime.
    ///
    /// # Errors
    /// A failure when there is no such profile, it has another runtime than was chosen, or the request is too large for it.
    pub fn pool(&self, request: &ExecuteRequest, runtime: Option<&str>) -> Result<&Arc<Pool>, Failure> {
        let name = request.profile.as_deref().unwrap_or(DEFAULT_PROFILE);
        if let Some(chosen) = runtime
            && self.pools.get(name).is_none_or(|pool| pool.found().word != chosen)
        {
            let message = format!(
                "profile {name:?} was chosen for the packages that the script needs, and they have changed since; nothing ran, \
                 try again"
            );
            return Err(Failure::new(ErrorCode::Unavailable, message));
        }
        let pool = self.pools.get(name).ok_or_else(|| {
            let known = self.pools.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            Failure::new(
                ErrorCode::InvalidRequest,
                format!("profile: there is no profile {name:?}, expected one of: {known}"),
            )
        })?;
        check_timeout(request, &pool.bounds, name)?;
        check_size("script", request, &pool.bounds, name)?;
        input_files::check(&request.files, &pool.bounds, pool.spec(), name)?;
        Ok(pool)
    }
}

/// Checks that a request lowers its wall time only where its profile lets it.
///
/// # Errors
/// A failure that says so.
pub fn check_timeout(request: &ExecuteRequest, bounds: &Bounds, profile: &str) -> Result<(), Failure> {
    if request.timeout_ms.is_none() || bounds.may_lower_timeout {
        return Ok(());
    }
    let message = format!("timeout_ms: profile {profile:?} does not let requests lower their wall time");
    Err(Failure::new(ErrorCode::InvalidRequest, message))
}

/// Checks the size of a request's source, which its sender knows as `field`.
///
/// # Errors
/// A failure that tells what its profile accepts.
pub fn check_size(field: &str, request: &ExecuteRequest, bounds: &Bounds, profile: &str) -> Result<(), Failure> {
    let (size, most) = (request.script.len() as u64, bounds.script_bytes);
    if size <= most {
        return Ok(());
    }
    Err(Failure::new(ErrorCode::TooLarge, format!("{field} is {size} bytes, profile {profile:?} accepts {most}")))
}
