//! What ended sessions, for who asks for one that is over.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use cloister_protocol::{JobId, SessionEnd, Tenant};

/// How long it is told, and of how many: of these the last.
const TOLD_FOR: Duration = Duration::from_secs(24 * 3600);
const MOST: usize = 16 * 1024;

/// Sessions that are over.
#[derive(Debug, Default)]
pub struct Ended {
    by_id: HashMap<JobId, (Tenant, SessionEnd)>,
    order: VecDeque<(JobId, Instant)>,
}

impl Ended {
    /// Notes one.
    pub fn note(&mut self, id: JobId, tenant: Tenant, end: SessionEnd, now: Instant) {
        while let Some((oldest, since)) = self.order.front()
            && (self.order.len() >= MOST || now.duration_since(*since) > TOLD_FOR)
        {
            self.by_id.remove(oldest);
            self.order.pop_front();
        }
        if self.by_id.insert(id, (tenant, end)).is_none() {
            self.order.push_back((id, now));
        }
    }

    /// What ended one of a tenant's.
    #[must_use]
    pub fn get(&self, id: JobId, tenant: Tenant) -> Option<SessionEnd> {
        self.by_id.get(&id).filter(|(own, _)| *own == tenant).map(|(_, end)| *end)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use cloister_protocol::{JobId, SessionEnd, Tenant};

    use super::{Ended, MOST, TOLD_FOR};

    #[test]
    fn an_end_is_told_to_its_tenant_for_a_day() {
        let (mut ended, id, now) = (Ended::default(), JobId::random(), Instant::now());
        let (own, other) = (Tenant::default(), Tenant::parse(&"1".repeat(32)).expect("one"));
        ended.note(id, own, SessionEnd::Idle, now);
        assert_eq!((ended.get(id, own), ended.get(id, other)), (Some(SessionEnd::Idle), None));
        ended.note(JobId::random(), own, SessionEnd::Closed, now + TOLD_FOR + Duration::from_secs(1));
        assert_eq!(ended.get(id, own), None);
    }

    #[test]
    fn it_is_the_last_that_are_told_of() {
        let (mut ended, first, now) = (Ended::default(), JobId::random(), Instant::now());
        ended.note(first, Tenant::default(), SessionEnd::Idle, now);
        for _ in 0..MOST {
            ended.note(JobId::random(), Tenant::default(), SessionEnd::Closed, now);
        }
        assert_eq!((ended.get(first, Tenant::default()), ended.order.len(), ended.by_id.len()), (None, MOST, MOST));
    }
}
