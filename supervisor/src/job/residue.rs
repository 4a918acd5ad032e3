//! What parts of a cell leave behind: memory that others of the cell still have is charged to their groups for as long as that is so.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cloister_sandbox::cgroup::SlotCgroup;

/// What may be charged to a group that is used again.
const NEGLIGIBLE: u64 = 1 << 20;

/// How often it is looked whether it is no more than that.
const AGAIN: Duration = Duration::from_secs(1);

/// How long that is waited for where nothing of the cell runs any more.
const LONGEST: Duration = Duration::from_secs(10);

/// What all parts of a cell have left that are over.
#[derive(Debug, Default)]
pub struct Residue {
    bytes: AtomicU64,
    parts: AtomicUsize,
    is_over: AtomicBool,
}

impl Residue {
    /// What is charged to their groups, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How many of them there are whose groups nobody can have for that.
    #[must_use]
    pub fn parts(&self) -> usize {
        self.parts.load(Ordering::Relaxed)
    }

    /// Nothing of the whole cell runs any more.
    pub(super) fn set_over(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// Waits until next to nothing is charged to the group of a part that is over, which counts meanwhile. Whether it came to that: not
    /// where it goes on although all of the cell is gone.
    pub(super) async fn drained(&self, cgroup: &SlotCgroup) -> bool {
        let (mut noted, mut since) = (0, None);
        self.parts.fetch_add(1, Ordering::Relaxed);
        let is_drained = loop {
            let kept = cgroup.kept_memory().unwrap_or(0);
            if kept <= NEGLIGIBLE {
                break true;
            }
            self.bytes.fetch_add(kept, Ordering::Relaxed);
            self.bytes.fetch_sub(noted, Ordering::Relaxed);
            noted = kept;
            if self.is_over.load(Ordering::Relaxed) && since.get_or_insert_with(Instant::now).elapsed() > LONGEST {
                break false;
            }
            tokio::time::sleep(AGAIN).await;
        };
        self.bytes.fetch_sub(noted, Ordering::Relaxed);
        self.parts.fetch_sub(1, Ordering::Relaxed);
        is_drained
    }
}
