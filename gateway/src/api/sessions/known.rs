//! The sessions that were opened or used here, as far as that is to be known: which profile each has, for a key may use some of them
//! alone, and what cells use is told by profile; and that there was one, for a supervisor that began anew knows of none.
//!
//! What is forgotten is asked for again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cloister_protocol::{JobId, Tenant};

/// So many are known at once, of which the oldest is forgotten for one more; and for so long after they were last used.
const MOST: usize = 16 * 1024;
const KNOWN_FOR: Duration = Duration::from_secs(24 * 3600);

/// Sessions, by their ids and whose they are: what is known of one is nobody else's to be told.
#[derive(Debug, Default)]
pub struct KnownSessions(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    sessions: HashMap<Own, Session>,
    /// In the order in which they came to be known; some are forgotten since.
    order: VecDeque<Own>,
}

type Own = (JobId, Tenant);

#[derive(Debug)]
struct Session {
    profile: String,
    used: Instant,
}

impl KnownSessions {
    /// One more, which is used now.
    pub fn note(&self, session: JobId, tenant: Tenant, profile: &str, now: Instant) {
        let (mut known, own) = (self.lock(), (session, tenant));
        while known.order.len() >= MOST {
            let Some(oldest) = known.order.pop_front() else { break };
            known.sessions.remove(&oldest);
        }
        if known.sessions.insert(own, Session { profile: profile.to_owned(), used: now }).is_none() {
            known.order.push_back(own);
        }
    }

    /// One less.
    pub fn forget(&self, session: JobId, tenant: Tenant) {
        self.lock().sessions.remove(&(session, tenant));
    }

    /// The profile of one of this tenant's that is known, and is used now.
    pub fn profile(&self, session: JobId, tenant: Tenant, now: Instant) -> Option<String> {
        let mut known = self.lock();
        let known = known.sessions.get_mut(&(session, tenant))?;
        known.used = now;
        Some(known.profile.clone())
    }

    /// Whether one of this tenant's was used lately.
    pub fn was_used(&self, session: JobId, tenant: Tenant, now: Instant) -> bool {
        let known = self.lock();
        known.sessions.get(&(session, tenant)).is_some_and(|known| now.duration_since(known.used) < KNOWN_FOR)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use cloister_protocol::{JobId, Tenant};

    use super::{KNOWN_FOR, KnownSessions, MOST};

    #[test]
    fn what_is_known_is_bounded_and_told_to_whom_it_is() {
        let (known, session, now) = (KnownSessions::default(), JobId::random(), Instant::now());
        let (one, other) = (Tenant::new(1), Tenant::new(2));
        known.note(session, one, "small", now);
        assert_eq!(known.profile(session, one, now).as_deref(), Some("small"));
        assert_eq!((known.profile(session, other, now), known.was_used(session, other, now)), (None, false));
        known.forget(session, other);
        assert!(known.was_used(session, one, now));
        for _ in 0..MOST {
            known.note(JobId::random(), one, "default", now);
        }
        assert_eq!((known.profile(session, one, now), known.lock().sessions.len()), (None, MOST));
        known.note(session, one, "small", now);
        known.forget(session, one);
        assert_eq!(known.profile(session, one, now), None);
        for _ in 0..2 * MOST {
            known.note(session, one, "small", now);
            known.forget(session, one);
        }
        assert!(known.lock().order.len() <= MOST);
    }

    #[test]
    fn who_uses_none_for_a_day_is_not_told_of_it() {
        let (known, session, now) = (KnownSessions::default(), JobId::random(), Instant::now());
        known.note(session, Tenant::default(), "default", now);
        let later = now + KNOWN_FOR - Duration::from_secs(1);
        assert!(known.profile(session, Tenant::default(), later).is_some());
        assert!(known.was_used(session, Tenant::default(), later + Duration::from_secs(2)));
        assert!(!known.was_used(session, Tenant::default(), later + KNOWN_FOR));
    }
}
