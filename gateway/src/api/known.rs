//! The jobs that run and may call tools, by whose they are: what is returned to their calls was asked for, and counts with them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cloister_protocol::{JobId, Tenant};

/// All of them.
#[derive(Debug, Default)]
pub struct KnownJobs(Mutex<HashMap<JobId, Tenant>>);

/// One of them, until this is dropped.
#[derive(Debug)]
pub struct Known(Arc<KnownJobs>, JobId);

impl KnownJobs {
    /// One more.
    pub fn begin(self: &Arc<Self>, id: JobId, tenant: Tenant) -> Known {
        self.lock().insert(id, tenant);
        Known(Arc::clone(self), id)
    }

    /// Whether this tenant has such a job.
    pub fn has(&self, id: JobId, tenant: Tenant) -> bool {
        self.lock().get(&id) == Some(&tenant)
    }

    /// Whether anybody has.
    pub fn any_has(&self, id: JobId) -> bool {
        self.lock().contains_key(&id)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, Tenant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}
