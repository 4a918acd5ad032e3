//! What the groups of a slot can be asked, whichever version they are of. How it is done is in `v1.rs` and `v2.rs`.

use std::fmt::Debug;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use cloister_terms::{Bytes, Millicpus};

use super::knob::Knob;
use crate::error::{Error, Result};

/// What a job may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Memory, all processes, tmpfs and pipes together.
    pub memory: Bytes,
    /// Swap on top.
    pub swap: Bytes,
    /// Processes and threads.
    pub processes: u32,
    /// The most CPU time at once.
    pub cpus: Millicpus,
    /// Share of CPU time against other groups, 1 to 10000; 100 is usual.
    pub cpu_weight: u32,
    /// Whether the kernel ends all of it where its memory is used up, rather than a process; version 2 only.
    pub ends_together: bool,
}

/// What the group's processes have used since it was last reset.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// CPU time, user and system.
    pub cpu: Duration,
    /// The most memory held at once.
    pub memory_peak: Bytes,
    /// Times that the OOM killer struck.
    pub oom_kills: u64,
    /// How many of the limits that it struck for can have been the group's own; none where the memory of a group above it
    /// was used up, by whoever.
    pub own_ooms: u64,
    /// Times that a process or thread was refused.
    pub forks_refused: u64,
}

impl Usage {
    /// Whether the OOM killer struck for the sake of others: the group had not used up what it may.
    #[must_use]
    pub fn made_way(&self) -> bool {
        self.oom_kills > 0 && self.own_ooms == 0
    }
}

/// The groups of one slot.
pub(super) trait Groups: Debug + Send + Sync {
    /// The files that are read or written for each job.
    fn knobs(&self) -> &Knobs;

    /// The group in each hierarchy, each once.
    fn all(&self) -> Vec<&Path>;

    /// The group in the hierarchy that counts processes.
    fn counted(&self) -> &Path;

    /// What a job's process is born into; version 2 only.
    fn directory(&self) -> Option<&OwnedFd>;

    /// The files by which a process of one thread moves itself in.
    fn doors(&self) -> &[OwnedFd];

    /// Tells of the OOM killer, once for each time that it strikes; version 1 only.
    fn oom(&self) -> Option<&OwnedFd>;

    /// Takes in a process that is in another group.
    fn take_in(&self, process: u32) -> Result<()>;

    /// The same groups made anew, with counters that start from nothing.
    fn renew(&self) -> Result<Box<dyn Groups>>;

    /// Sets the limits.
    fn limit(&self, limits: Limits) -> Result<()>;

    /// Sets the share of CPU time against other groups.
    fn weigh(&self, weight: u32) -> Result<()>;

    /// Gives back cached pages that a job's end did not.
    fn let_go(&self, limits: Limits) -> Result<()>;

    /// Whether the peak of memory can be counted from now: always on version 1, since Linux 6.12 on version 2.
    fn resets_peak(&self) -> bool;

    /// Counts the peak of memory from now, where that can be.
    fn reset_peak(&self) -> Result<()>;

    /// CPU time since the groups were made.
    fn cpu(&self) -> Result<Duration>;

    /// What is charged to the group now, in bytes.
    fn memory(&self) -> Result<u64>;

    /// Of what is charged to the group, what need of memory does not take back: no cache, in bytes.
    fn kept_memory(&self) -> Result<u64>;

    /// Sends SIGKILL to all at once, where the kernel can.
    fn kill(&self);

    /// Times that the memory of this very group was used up, if the OOM killer has struck in it so often.
    fn own_ooms(&self, oom_kills: u64) -> Result<u64>;

    /// What was used since the groups were made.
    fn usage(&self) -> Result<Usage> {
        Ok(Usage { memory_peak: Bytes(self.knobs().peak.number()?), ..self.counts()? })
    }

    /// The same without the peak of memory, which is no count.
    fn counts(&self) -> Result<Usage> {
        let knobs = self.knobs();
        let oom_kills = knobs.oom_kills.field("oom_kill")?;
        Ok(Usage {
            cpu: self.cpu()?,
            memory_peak: Bytes(0),
            oom_kills,
            own_ooms: if oom_kills == 0 { 0 } else { self.own_ooms(oom_kills)? },
            forks_refused: knobs.refused_forks.field("max")?,
        })
    }
}

/// The files that are read or written for each job, kept open.
#[derive(Debug)]
pub(super) struct Knobs {
    pub(super) cpu: Knob,
    pub(super) peak: Knob,
    pub(super) oom_kills: Knob,
    pub(super) refused_forks: Knob,
    pub(super) count: Knob,
    pub(super) memory: Knob,
}

/// The period over which a CPU share is counted, in microseconds.
pub(super) const CPU_PERIOD: u64 = 100_000;

/// The CPU time that there is in a period, in microseconds.
pub(super) fn quota(limits: Limits) -> u64 {
    (u64::from(limits.cpus.0) * CPU_PERIOD / 1000).max(1000)
}

/// Swap is to be limited, and the kernel does not count it.
pub(super) fn swap_is_not_counted(file: &Path) -> Error {
    let reason = "this kernel does not count swap by group; boot with swapaccount=1 or set swap to \"0B\"";
    Error::layer(format_args!("limit swap in {}", file.display()), reason)
}
