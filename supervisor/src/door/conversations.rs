//! The jobs that may call tools, and what is returned to their calls: `POST /execute/{id}/returns`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard};

use cloister_protocol::{ErrorCode, Failure, JobId, RefusedReturn, Returns, Taken as Told, Tenant};

use crate::job::calls::{Calls, Untaken};

/// All jobs that may call tools.
#[derive(Debug, Default)]
pub struct Conversations(Mutex<HashMap<JobId, (Tenant, Arc<Calls>)>>);

/// A job among them, until this is dropped.
#[derive(Debug)]
pub struct Conversing {
    all: Arc<Conversations>,
    id: JobId,
}

impl Conversations {
    /// From now on the calls of this job may be returned to, by its tenant; `None` if another job has its id.
    pub fn begin(self: &Arc<Self>, id: JobId, tenant: Tenant, calls: Arc<Calls>) -> Option<Conversing> {
        match self.lock().entry(id) {
            Entry::Occupied(_) => None,
            Entry::Vacant(place) => {
                place.insert((tenant, calls));
                Some(Conversing { all: Arc::clone(self), id })
            }
        }
    }

    /// Takes what calls of a job came to, from its tenant.
    ///
    /// # Errors
    /// When this tenant has no such job, which is the same whether or not another has.
    pub async fn take(&self, id: JobId, tenant: Tenant, returns: &Returns) -> Result<Told, Failure> {
        let calls = self.lock().get(&id).filter(|(own, _)| *own == tenant).map(|(_, calls)| Arc::clone(calls));
        let calls = calls.ok_or_else(|| {
            let message = "there is no such job of yours here that calls tools: it has ended, or runs on another node";
            Failure::new(ErrorCode::NotFound, message)
        })?;
        let mut told = Told::default();
        for one in &returns.returns {
            match calls.take(one).await {
                Ok(()) => told.taken.push(one.call),
                Err(Untaken { message, again }) => told.refused.push(RefusedReturn { call: one.call, message, again }),
            }
        }
        told.open = calls.open();
        Ok(told)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, (Tenant, Arc<Calls>)>> {
        self.0.lock().expect("nothing panics while it holds this lock")
    }
}

impl Drop for Conversing {
    fn drop(&mut self) {
        self.all.lock().remove(&self.id);
    }
}
