//! Which profiles the sessions of clients have: a key may use some of them alone, and what cells use is told by profile.
//!
//! It is known of those that were opened here, and asked for of others. What is forgotten is asked for again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cloister_protocol::{JobId, Tenant};

/// So many are known at once: as many as there may be of a node, `[supervisor] sessions`.
const MOST: usize = 4096;

/// The profiles of sessions, by their ids and whose they are: what is known of one is nobody else's to be told.
#[derive(Debug, Default)]
pub struct KnownSessions(Mutex<HashMap<(JobId, Tenant), String>>);

impl KnownSessions {
    /// One more.
    pub fn note(&self, session: JobId, tenant: Tenant, profile: &str) {
        let mut known = self.lock();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert((session, tenant), profile.to_owned());
    }

    /// One less.
    pub fn forget(&self, session: JobId, tenant: Tenant) {
        self.lock().remove(&(session, tenant));
    }

    /// The profile of one of this tenant's, if it is known.
    pub fn profile(&self, session: JobId, tenant: Tenant) -> Option<String> {
        self.lock().get(&(session, tenant)).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(JobId, Tenant), String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use cloister_protocol::{JobId, Tenant};

    use super::{KnownSessions, MOST};

    #[test]
    fn what_is_known_is_bounded_and_told_to_whom_it_is() {
        let (known, session) = (KnownSessions::default(), JobId::random());
        let (one, other) = (Tenant::new(1), Tenant::new(2));
        known.note(session, one, "small");
        assert_eq!((known.profile(session, one).as_deref(), known.profile(session, other)), (Some("small"), None));
        known.forget(session, other);
        assert!(known.profile(session, one).is_some());
        for _ in 0..3 * MOST {
            known.note(JobId::random(), one, "default");
            assert!(known.lock().len() <= MOST);
        }
        known.note(session, one, "small");
        known.forget(session, one);
        assert_eq!(known.profile(session, one), None);
    }
}
