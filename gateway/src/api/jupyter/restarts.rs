//! Kernels that were restarted: they keep their ids, and have another session since.
//!
//! What is forgotten, as all is with this process, is a kernel that is not there any more.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cloister_protocol::{JobId, Recent, Tenant};

/// So many are known at once. For one more the oldest is forgotten of whose are most.
const MOST: usize = 16 * 1024;

/// Kernels by their ids and whose they are, each with the session that it has now.
#[derive(Debug, Default)]
pub struct Restarts(Mutex<Known>);

#[derive(Debug)]
struct Known {
    sessions: HashMap<Own, JobId>,
    kernels: HashMap<Own, JobId>,
    /// In the order in which they came to be known; some are forgotten since.
    order: Recent<JobId>,
}

impl Default for Known {
    fn default() -> Self {
        Self { sessions: HashMap::new(), kernels: HashMap::new(), order: Recent::new(MOST) }
    }
}

type Own = (JobId, Tenant);

impl Restarts {
    /// The session that a kernel has: the one that it began with, if it was not restarted.
    pub fn session_of(&self, kernel: JobId, tenant: Tenant) -> JobId {
        self.lock().sessions.get(&(kernel, tenant)).copied().unwrap_or(kernel)
    }

    /// The kernel that a session is of.
    pub fn kernel_of(&self, session: JobId, tenant: Tenant) -> JobId {
        self.lock().kernels.get(&(session, tenant)).copied().unwrap_or(session)
    }

    /// A kernel has this session from now on.
    pub fn note(&self, kernel: JobId, tenant: Tenant, session: JobId) {
        let mut known = self.lock();
        known.kernels.insert((session, tenant), kernel);
        if let Some(before) = known.sessions.insert((kernel, tenant), session) {
            if before != session {
                known.kernels.remove(&(before, tenant));
            }
        } else if let Some((whose, oldest)) = known.order.push(tenant, kernel) {
            known.forget((oldest, whose));
        }
    }

    /// A kernel is no more.
    pub fn forget(&self, kernel: JobId, tenant: Tenant) {
        self.lock().forget((kernel, tenant));
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn forget(&mut self, (kernel, tenant): Own) {
        if let Some(session) = self.sessions.remove(&(kernel, tenant)) {
            self.kernels.remove(&(session, tenant));
        }
    }
}

#[cfg(test)]
mod tests {
    use cloister_protocol::{JobId, Tenant};

    use super::{MOST, Restarts};

    #[test]
    fn a_kernel_keeps_its_id() {
        let (restarts, kernel, one, other) = (Restarts::default(), JobId::random(), Tenant::new(1), Tenant::new(2));
        assert_eq!(restarts.session_of(kernel, one), kernel);
        for session in [JobId::random(), JobId::random()] {
            restarts.note(kernel, one, session);
            assert_eq!((restarts.session_of(kernel, one), restarts.kernel_of(session, one)), (session, kernel));
            assert_eq!((restarts.session_of(kernel, other), restarts.kernel_of(session, other)), (kernel, session));
        }
        restarts.forget(kernel, one);
        assert_eq!(restarts.session_of(kernel, one), kernel);
        assert!(restarts.lock().kernels.is_empty());
    }

    #[test]
    fn what_is_known_is_bounded() {
        let (restarts, one) = (Restarts::default(), Tenant::new(1));
        for _ in 0..2 * MOST {
            let kernel = JobId::random();
            restarts.note(kernel, one, JobId::random());
            restarts.note(kernel, one, JobId::random());
        }
        let known = restarts.lock();
        assert_eq!((known.sessions.len(), known.kernels.len(), known.order.len()), (MOST, MOST, MOST));
    }
}
