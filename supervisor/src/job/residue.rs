//! What parts of a cell leave behind: memory that others of the cell still have is charged to their groups for as long as that is so, and
//! what they were handed is there for as long as others have it.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cloister_sandbox::cgroup::SlotCgroup;
use tokio::sync::Notify;

use crate::job::handed::Handed;

/// What may be charged to a group that is used again: the kernel's own count is that far behind on a host of many processors.
const NEGLIGIBLE: u64 = 4 << 20;

/// How often it is looked whether it is no more than that: soon for what is on its way, and then now and then.
const SOON: Duration = Duration::from_millis(20);
const SOON_LOOKS: u32 = 10;
const LATER: Duration = Duration::from_secs(1);

/// How many looks apart the kernel is asked to let go of what it can.
const ASKED: u32 = 40;

/// How long that is waited for where nothing of the cell runs any more.
const LONGEST: Duration = Duration::from_secs(10);

/// What all parts of a cell have left that are over.
#[derive(Debug, Default)]
pub struct Residue {
    bytes: AtomicU64,
    parts: AtomicUsize,
    is_over: AtomicBool,
    again: Notify,
}

impl Residue {
    /// What is charged to their groups, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How many of them there are whose groups nobody can have for that, or of which others have what they were handed.
    #[must_use]
    pub fn parts(&self) -> usize {
        self.parts.load(Ordering::Relaxed)
    }

    /// Has it looked at at once again: what it was may be gone.
    pub fn look_again(&self) {
        self.again.notify_waiters();
    }

    /// Nothing of the whole cell runs any more.
    pub(super) fn set_over(&self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.look_again();
    }

    /// Waits until next to nothing is charged to the group of a part that is over and nobody has what it was handed. It counts meanwhile.
    /// Whether it came to that: not where it goes on although all of the cell is gone.
    pub(super) async fn drained(&self, cgroup: &SlotCgroup, handed: Option<&Handed>) -> bool {
        let (mut noted, mut since) = (0, None);
        self.parts.fetch_add(1, Ordering::Relaxed);
        let mut looks = 0_u32;
        let is_drained = loop {
            let mut kept = cgroup.kept_memory();
            if looks.is_multiple_of(ASKED) && !kept.as_ref().is_ok_and(|kept| *kept <= NEGLIGIBLE) {
                cgroup.let_go();
                kept = cgroup.kept_memory();
            }
            // What cannot be seen is not taken for nothing.
            if kept.as_ref().is_ok_and(|kept| *kept <= NEGLIGIBLE) && handed.is_none_or(Handed::is_let_go) {
                break true;
            }
            let kept = kept.unwrap_or(noted);
            self.bytes.fetch_add(kept, Ordering::Relaxed);
            self.bytes.fetch_sub(noted, Ordering::Relaxed);
            noted = kept;
            if self.is_over.load(Ordering::Relaxed) && since.get_or_insert_with(Instant::now).elapsed() > LONGEST {
                break false;
            }
            let pause = if looks < SOON_LOOKS { SOON } else { LATER };
            looks += 1;
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.again.notified() => looks = 0,
            }
        };
        self.bytes.fetch_sub(noted, Ordering::Relaxed);
        self.parts.fetch_sub(1, Ordering::Relaxed);
        is_drained
    }
}
