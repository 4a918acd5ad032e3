//! A request that has a place, between its policy and its sandbox.

use std::sync::Arc;

use cloister_protocol::{ExecuteRequest, Failure, ImportSet, Tenant};
use cloister_sandbox::{cgroup, landlock};

use crate::door::in_force::InForce;
use crate::job::conversation::Conversation;
use crate::job::outcome::Outcome;
use crate::pool::Pool;
use crate::pool::ready::Ready;

/// A request that has a place: its profile is settled, and nothing but its job is left to do.
#[derive(Debug)]
pub struct Admitted {
    pool: Arc<Pool>,
    policy: Arc<InForce>,
    cgroup_version: cgroup::Version,
    tenant: Tenant,
    imports: ImportSet,
}

impl Admitted {
    /// Under this policy, to be served by this pool of it.
    #[must_use]
    pub fn new(
        policy: Arc<InForce>,
        pool: Arc<Pool>,
        cgroup_version: cgroup::Version,
        tenant: Tenant,
        request: &ExecuteRequest,
    ) -> Self {
        let imports = pool.imports(request);
        Self { pool, policy, cgroup_version, tenant, imports }
    }

    /// The layers in force for the request, for those who ask.
    #[must_use]
    pub fn explain(&self) -> String {
        let version = self.pool.python_version().map(|version| format!("; python={version}")).unwrap_or_default();
        format!(
            "policy={}; profile={}; landlock={}; filter={}; cgroup={}; warm={}{version}",
            self.policy.digest().get(..12).unwrap_or_default(),
            self.pool.name,
            landlock::abi(),
            self.pool.filter_size(),
            self.cgroup_version,
            self.pool.is_warm(),
        )
    }

    /// Runs the request to its outcome. Dropping the future kills the job and frees its slot.
    ///
    /// # Errors
    /// A failure when no job ran.
    pub async fn run(self, request: &ExecuteRequest) -> Result<Outcome, Failure> {
        let ready = self.ready().await?;
        ready.run(request, &Conversation::alone()).await.map_err(|error| error.told_after_start())
    }

    /// Waits for a sandbox.
    ///
    /// # Errors
    /// A failure when there is none.
    pub async fn ready(self) -> Result<Ready, Failure> {
        let Self { pool, policy, tenant, imports, .. } = self;
        // A running job keeps its own launcher, and nothing else of a policy that is no longer in force.
        drop(policy);
        pool.ready(tenant, &imports).await.map_err(|error| error.told())
    }
}
