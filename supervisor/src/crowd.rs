//! Whether warm jobs have waited of late for locks that they share with the zygote that they were forked from.
//!
//! Their memory is of one tree, `anon_vma_clone()` in the kernel's `mm/rmap.c`: while the jobs of one tenant fork and end
//! by the dozen, all others' beginnings and ends queue behind theirs. Interpreters that start by themselves share none of it.

use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// How long it is taken to last since it was seen last. Who starts beside it sees no more of it, so that each end of this
/// time lets one job look again; and until then every job costs a start of its own.
const LASTS: Duration = Duration::from_secs(10);

/// Keeps when it was seen last.
#[derive(Debug, Default)]
pub struct Crowd(Mutex<Option<Instant>>);

impl Crowd {
    /// It was seen.
    pub fn note(&self) {
        *self.lock() = Some(Instant::now());
    }

    /// Whether it was seen of late.
    #[must_use]
    pub fn lasts(&self) -> bool {
        self.lock().is_some_and(|seen| seen.elapsed() < LASTS)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().expect("nothing panics while it holds this lock")
    }
}
