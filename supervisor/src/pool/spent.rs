//! What the jobs of a profile have cost of CPU time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cloister_protocol::Cost;

/// Sums, of a profile that is served.
#[derive(Debug, Default)]
pub struct Spent {
    jobs: AtomicU64,
    run: AtomicU64,
    ahead: AtomicU64,
}

impl Spent {
    /// One more has ended.
    pub fn add(&self, ahead: Duration, run: Duration) {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.jobs.fetch_add(1, Ordering::Relaxed);
        self.run.fetch_add(micros(run), Ordering::Relaxed);
        self.ahead.fetch_add(micros(ahead), Ordering::Relaxed);
    }

    /// The sums, with what those have used that jobs are forked from.
    #[must_use]
    pub fn cost(&self, forkers: u64) -> Cost {
        let sum = |of: &AtomicU64| of.load(Ordering::Relaxed);
        Cost { jobs: sum(&self.jobs), run: sum(&self.run), ahead: sum(&self.ahead), forkers }
    }
}
