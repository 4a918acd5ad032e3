//! The control group of one slot: limits for the next job, usage of the last.
//!
//! The group itself carries nothing from one job to the next: it is emptied and its counters are
//! taken as differences, or it is made anew where the kernel cannot reset its peak.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cloister_terms::Uid;

use super::doors::Doors;
use super::freezer::Freezer;
use super::group::end_processes;
use super::groups::{Groups, Limits, Usage};
use super::knob::Knob;
use super::layout::Layout;
use super::{v1, v2};
use crate::error::{Context, Result};

/// A slot's group. Dropping it removes its directories, which must be empty by then.
#[derive(Debug)]
pub struct SlotCgroup {
    pub(super) groups: Box<dyn Groups>,
    limits: Option<Limits>,
    /// Whether its share is that of one that runs for long.
    steps_back: AtomicBool,
    at_reset: Usage,
    /// Where version 1 would stop what is in it, if this host can, and by whom processes are let in there.
    pub(super) freezers: Option<(PathBuf, Doors)>,
    pub(super) freezer: Option<Freezer>,
}

/// Which part of its share a job is left with that has run for long.
const STEP_BACK: u32 = 10;

impl SlotCgroup {
    pub(super) fn create(layout: &Layout, doors: &Doors, name: &str, launcher: Uid) -> Result<Self> {
        let groups: Box<dyn Groups> = match layout {
            Layout::V1 { memory, pids, cpu, cpuacct, .. } => {
                let [memory, pids, cpu, cpuacct] = [memory, pids, cpu, cpuacct].map(|group| group.join(name));
                Box::new(v1::Groups::create(v1::Paths { memory, pids, cpu, cpuacct }, doors.clone())?)
            }
            Layout::V2 { base, .. } => Box::new(v2::Group::create(base.join(name), launcher)?),
        };
        let freezers = match layout {
            Layout::V1 { freezer, .. } => freezer.as_ref().map(|freezer| (freezer.join(name), doors.clone())),
            Layout::V2 { .. } => None,
        };
        let (steps_back, at_reset) = (AtomicBool::new(false), Usage::default());
        Ok(Self { groups, limits: None, steps_back, at_reset, freezers, freezer: None })
    }

    /// Sets the limits and starts counting from zero. The group must be empty.
    ///
    /// # Errors
    /// The file that could not be written.
    pub fn reset(&mut self, limits: Limits) -> Result<()> {
        if !self.groups.resets_peak() {
            self.groups = self.groups.renew()?;
            self.limits = None;
        }
        if self.limits != Some(limits) {
            self.groups.limit(limits)?;
            self.limits = Some(limits);
        } else if *self.steps_back.get_mut() {
            self.groups.weigh(limits.cpu_weight)?;
        }
        *self.steps_back.get_mut() = false;
        self.groups.let_go(limits)?;
        self.restart_count().map(drop)
    }

    /// What is in it may use so much, once that was set.
    #[must_use]
    pub fn limits(&self) -> Option<Limits> {
        self.limits
    }

    /// What is charged to it now, in bytes.
    ///
    /// # Errors
    /// The file that could not be read.
    pub fn memory(&self) -> Result<u64> {
        self.groups.memory()
    }

    /// Has the kernel take back what it holds for it and need not, where it does that for a group that is asked to: on version 1.
    pub fn let_go(&self) {
        if let Some(limits) = self.limits {
            let _ = self.groups.let_go(limits);
        }
    }

    /// Of that, what need of memory does not take back: anonymous pages, those of tmpfs, what of both is swapped out, and what the
    /// kernel holds for it, such as what is in sockets and pipes. "memory.stat" in the kernel's `cgroup-v2`.
    /// On version 1 caches of the kernel's are with it, until [`let_go`](Self::let_go).
    ///
    /// # Errors
    /// The file that could not be read.
    pub fn kept_memory(&self) -> Result<u64> {
        self.groups.kept_memory()
    }

    /// Leaves a busy machine to those whose jobs have just begun, for a tenth of the share that the limits give, until
    /// its end.
    ///
    /// # Errors
    /// The file that could not be written.
    pub fn step_back(&self) -> Result<()> {
        if let Some(limits) = self.limits {
            self.steps_back.store(true, Ordering::Relaxed);
            self.groups.weigh((limits.cpu_weight / STEP_BACK).max(1))?;
        }
        Ok(())
    }

    /// Gives it back its share, for what is run in it next.
    ///
    /// # Errors
    /// The file that could not be written.
    pub fn step_up(&self) -> Result<()> {
        match self.limits {
            Some(limits) if self.steps_back.swap(false, Ordering::Relaxed) => self.groups.weigh(limits.cpu_weight),
            _ => Ok(()),
        }
    }

    /// Counts from now: what a parked process used before its request came is not the job's. The CPU time that it was.
    ///
    /// # Errors
    /// The file that could not be read or written.
    pub fn restart_count(&mut self) -> Result<Duration> {
        self.groups.reset_peak()?;
        let now = self.groups.counts()?;
        let before = now.cpu.saturating_sub(self.at_reset.cpu);
        self.at_reset = now;
        Ok(before)
    }

    /// The directory that a process can be started in; version 2 only.
    #[must_use]
    pub fn start_directory(&self) -> Option<&OwnedFd> {
        self.groups.directory()
    }

    /// The files by which a process of one thread moves itself in: it writes `0` to each.
    ///
    /// The kernel checks who opened such a file, not who writes to it, and on version 1 a thread that
    /// moves itself takes none of the locks that stop every fork and exit on the host
    /// (`cgroup_procs_write_start` in the kernel's `kernel/cgroup/cgroup.c`).
    #[must_use]
    pub fn doors(&self) -> &[OwnedFd] {
        self.groups.doors()
    }

    /// What was used since the last reset.
    ///
    /// # Errors
    /// The file that could not be read.
    pub fn usage(&self) -> Result<Usage> {
        let now = self.groups.usage()?;
        let then = &self.at_reset;
        Ok(Usage {
            cpu: now.cpu.saturating_sub(then.cpu),
            memory_peak: now.memory_peak,
            oom_kills: now.oom_kills.saturating_sub(then.oom_kills),
            own_ooms: now.own_ooms.saturating_sub(then.own_ooms),
            forks_refused: now.forks_refused.saturating_sub(then.forks_refused),
        })
    }

    /// The CPU time used since the last reset; cheaper than [`usage`](Self::usage).
    ///
    /// # Errors
    /// The file that could not be read.
    pub fn cpu(&self) -> Result<Duration> {
        Ok(self.groups.cpu()?.saturating_sub(self.at_reset.cpu))
    }

    /// A descriptor that becomes readable when the group runs out of memory, for version 1, whose OOM
    /// killer takes one process only. Version 2 ends the whole group by itself (`memory.oom.group`).
    ///
    /// # Errors
    /// When it cannot be copied or emptied.
    pub fn oom_event(&self) -> Result<Option<OwnedFd>> {
        let Some(event) = self.groups.oom() else { return Ok(None) };
        // What it told of an earlier job is forgotten; there may be nothing to forget.
        let _ = nix::unistd::read(event, &mut [0; 8]);
        event.try_clone().doing(|| "copy an eventfd").map(Some)
    }

    /// Sends SIGKILL to all in the group at once, where the kernel can, and gives a job back its
    /// share that had to step back: others may wait for what it holds on its way out.
    pub fn kill(&self) {
        let _ = self.step_up();
        // In version 1 what is stopped does not die.
        let _ = self.freeze(false);
        self.groups.kill();
    }

    /// The processes in it, by the numbers that the caller knows them by.
    ///
    /// # Errors
    /// When the list cannot be read.
    pub fn processes(&self) -> Result<Vec<u32>> {
        let path = self.groups.counted().join("cgroup.procs");
        let listed = fs::read_to_string(&path).doing(|| format!("read {}", path.display()))?;
        Ok(listed.lines().filter_map(|line| line.parse().ok()).collect())
    }

    /// Whether there is at most one task in it: a process of one thread.
    #[must_use]
    pub fn has_one_task(&self) -> bool {
        self.groups.knobs().count.number().is_ok_and(|count| count <= 1)
    }

    /// Whether no process runs in it. One that is dead but not yet reaped may be counted, but not listed.
    ///
    /// On version 1 the hierarchy that counts is the one that is looked at: a job's first process is in all of
    /// them before it is confined, and from then on nothing of it can move. The list is opened anew each time,
    /// for what is read through one descriptor again may be a second old: `CGROUP_PIDLIST_DESTROY_DELAY` in the
    /// kernel's `kernel/cgroup/cgroup-v1.c`.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let group = self.groups.counted();
        let lists_nothing = || Knob::read(group, "cgroup.procs").and_then(|listed| listed.is_blank());
        if self.freezer.as_ref().is_some_and(|freezer| !freezer.is_empty()) {
            return false;
        }
        self.groups.knobs().count.number().is_ok_and(|count| count == 0) || lists_nothing().unwrap_or(false)
    }
}

impl SlotCgroup {
    /// Ends what is in a group that is of no more use, and removes it; comes back for as long as that takes.
    #[must_use]
    pub fn retire(mut self) -> Option<Self> {
        if let Some(freezer) = &self.freezer {
            freezer.end();
        }
        for group in self.groups.all() {
            end_processes(group);
        }
        if self.freezer.as_ref().is_some_and(|freezer| !freezer.is_empty()) {
            return Some(self);
        }
        self.freezer = None;
        // Each is tried, whatever became of those before.
        let gone = |group: &&Path| fs::remove_dir(group).is_ok() || !group.exists();
        let left = self.groups.all().iter().filter(|group| !gone(group)).count();
        (left > 0).then_some(self)
    }
}

impl Drop for SlotCgroup {
    fn drop(&mut self) {
        for group in self.groups.all() {
            let _ = fs::remove_dir(group);
        }
    }
}
