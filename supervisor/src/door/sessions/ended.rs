//! What ended sessions, for who asks for one that is over.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use cloister_protocol::{JobId, Recent, SessionEnd, Tenant};

/// How long it is told, and of how many: of these the last, of whose are most.
const TOLD_FOR: Duration = Duration::from_secs(24 * 3600);
const MOST: usize = 16 * 1024;

/// Sessions that are over.
#[derive(Debug)]
pub struct Ended {
    by_id: HashMap<JobId, (Tenant, SessionEnd, Instant)>,
    order: Recent<(JobId, Instant)>,
}

impl Default for Ended {
    fn default() -> Self {
        Self { by_id: HashMap::new(), order: Recent::new(MOST) }
    }
}

impl Ended {
    /// Notes one.
    pub fn note(&mut self, id: JobId, tenant: Tenant, end: SessionEnd, now: Instant) {
        while let Some((oldest, _)) = self.order.pop_if(tenant, |(_, since)| is_old(*since, now)) {
            self.by_id.remove(&oldest);
        }
        if self.by_id.insert(id, (tenant, end, now)).is_none()
            && let Some((_, (oldest, _))) = self.order.push(tenant, (id, now))
        {
            self.by_id.remove(&oldest);
        }
    }

    /// What ended one of a tenant's.
    #[must_use]
    pub fn get(&self, id: JobId, tenant: Tenant, now: Instant) -> Option<SessionEnd> {
        let told = self.by_id.get(&id).filter(|(own, _, since)| *own == tenant && !is_old(*since, now));
        told.map(|(_, end, _)| *end)
    }
}

fn is_old(since: Instant, now: Instant) -> bool {
    now.duration_since(since) > TOLD_FOR
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
        assert_eq!((ended.get(id, own, now), ended.get(id, other, now)), (Some(SessionEnd::Idle), None));
        let later = now + TOLD_FOR + Duration::from_secs(1);
        assert_eq!(ended.get(id, own, later), None);
        ended.note(JobId::random(), own, SessionEnd::Closed, later);
        assert_eq!((ended.by_id.len(), ended.order.len()), (1, 1));
    }

    #[test]
    fn it_is_the_last_that_are_told_of() {
        let (mut ended, first, others, now) = (Ended::default(), JobId::random(), JobId::random(), Instant::now());
        let (own, other) = (Tenant::default(), Tenant::new(1));
        ended.note(first, own, SessionEnd::Idle, now);
        ended.note(others, other, SessionEnd::Idle, now);
        for _ in 0..MOST {
            ended.note(JobId::random(), own, SessionEnd::Closed, now);
        }
        assert_eq!((ended.get(first, own, now), ended.get(others, other, now)), (None, Some(SessionEnd::Idle)));
        assert_eq!((ended.order.len(), ended.by_id.len()), (MOST, MOST));
    }
}
