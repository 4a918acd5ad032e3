//! How much there may be of sessions.

use cloister_terms::Supervisor;

use crate::pool::warmth::a_quarter;

/// How many of a tenant's requests may wait for their turn in its sessions whatever the policy's `queue`.
const LEAST_WAITING: usize = 16;

/// How much there may be of sessions under a policy.
#[derive(Clone, Copy, Debug)]
pub struct SessionRoom {
    /// How many on the node.
    pub sessions: u32,
    /// What all of them may hold, in bytes.
    pub memory: u64,
    /// How many requests of a tenant may wait for their turn in its sessions.
    pub waiting: usize,
}

impl SessionRoom {
    /// What a policy says of it.
    #[must_use]
    pub fn of(supervisor: &Supervisor) -> Self {
        Self {
            sessions: supervisor.sessions,
            memory: supervisor.sessions_memory.map_or_else(a_quarter, |memory| memory.0),
            // As of places: half of the waiting room is for others.
            waiting: usize::try_from(supervisor.queue / 2).unwrap_or(usize::MAX).max(LEAST_WAITING),
        }
    }
}
