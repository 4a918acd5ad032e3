//! The control group of one slot: limits for the next job, usage of the last.
//!
//! The group itself carries nothing from one job to the next: it is emptied and its counters are
//! taken as differences, or it is made anew where the kernel cannot reset its peak.

use std::fs::{self, File};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::eventfd::{EfdFlags, EventFd};

use super::knob::Knob;
use super::{Layout, end_processes, has, make, open_directory, remove_tree, write};
use crate::{Context, Error, Result};

/// What a job may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Memory in bytes, all processes, tmpfs and pipes together.
    pub memory: u64,
    /// Swap in bytes, on top.
    pub swap: u64,
    /// Processes and threads.
    pub processes: u32,
    /// Thousandths of a CPU.
    pub millicpus: u32,
    /// Share of CPU time against other groups, 1 to 10000; 100 is usual.
    pub cpu_weight: u32,
}

/// What the group's processes have used since it was last reset.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// CPU time, user and system.
    pub cpu: Duration,
    /// The most memory held at once, in bytes.
    pub memory_peak: u64,
    /// Times that the OOM killer struck.
    pub oom_kills: u64,
    /// Times that a process or thread was refused.
    pub forks_refused: u64,
}

/// A slot's group. Dropping it removes its directories, which must be empty by then.
#[derive(Debug)]
pub struct SlotCgroup {
    groups: Groups,
    launcher_uid: u32,
    limits: Option<Limits>,
    /// Whether its share is that of one that runs for long.
    steps_back: AtomicBool,
    at_reset: Usage,
}

#[derive(Debug)]
struct Groups {
    paths: Paths,
    /// What a job's process is born into; version 2 only.
    directory: Option<OwnedFd>,
    doors: Vec<OwnedFd>,
    knobs: Knobs,
    /// Version 1 tells of its OOM killer here, once for each time that it strikes.
    oom: Option<OwnedFd>,
}

#[derive(Clone, Debug)]
enum Paths {
    V1 { memory: PathBuf, pids: PathBuf, cpu: PathBuf, cpuacct: PathBuf },
    V2 { group: PathBuf },
}

/// The files that are read or written for each job, kept open.
#[derive(Debug)]
struct Knobs {
    cpu: CpuTime,
    peak: Knob,
    /// Whether a write resets the peak: always on version 1, since Linux 6.12 on version 2.
    peak_resets: bool,
    oom_kills: Knob,
    refused_forks: Knob,
    count: Knob,
}

/// Where the CPU time that a group has used is read.
#[derive(Debug)]
enum CpuTime {
    /// Version 1: nanoseconds, and nothing else in the file.
    Nanoseconds(Knob),
    /// Version 2: microseconds, in a field.
    Field(Knob),
}

/// The period over which a CPU share is counted, in microseconds.
const CPU_PERIOD: u64 = 100_000;

/// How readily a version 1 group that may swap does so: the kernel's default.
const USUAL_SWAPPINESS: &str = "60";

/// Which part of its share a job is left with that has run for long.
const STEP_BACK: u32 = 10;

/// Which part of its limit a group may still be charged with between jobs before it is asked to let go.
/// Being asked is slow, and the kernel sets some memory aside for each processor in any case.
const NEGLIGIBLE: u64 = 64;

impl SlotCgroup {
    pub(super) fn create(layout: &Layout, name: &str, launcher_uid: u32) -> Result<Self> {
        let paths = match layout {
            Layout::V1 { memory, pids, cpu, cpuacct } => Paths::V1 {
                memory: memory.join(name),
                pids: pids.join(name),
                cpu: cpu.join(name),
                cpuacct: cpuacct.join(name),
            },
            Layout::V2 { base, .. } => Paths::V2 { group: base.join(name) },
        };
        Ok(Self {
            groups: Groups::create(paths, launcher_uid)?,
            launcher_uid,
            limits: None,
            steps_back: AtomicBool::new(false),
            at_reset: Usage::default(),
        })
    }

    /// Sets the limits and starts counting from zero. The group must be empty.
    ///
    /// # Errors
    /// The file that could not be written.
    pub fn reset(&mut self, limits: Limits) -> Result<()> {
        if !self.groups.knobs.peak_resets {
            self.groups = self.groups.renew(self.launcher_uid)?;
            self.limits = None;
        }
        if self.limits != Some(limits) {
            self.groups.paths.limit(limits)?;
            self.limits = Some(limits);
        } else if *self.steps_back.get_mut() {
            self.groups.paths.weigh(limits.cpu_weight)?;
        }
        *self.steps_back.get_mut() = false;
        self.groups.let_go(limits)?;
        self.restart_count()
    }

    /// Leaves a busy machine to those whose jobs have just begun, for a tenth of the share that the limits give, until
    /// its end.
    ///
    /// # Errors
    /// The file that could not be written.
    pub fn step_back(&self) -> Result<()> {
        if let Some(limits) = self.limits {
            self.steps_back.store(true, Ordering::Relaxed);
            self.groups.paths.weigh((limits.cpu_weight / STEP_BACK).max(1))?;
        }
        Ok(())
    }

    /// Counts from now: what a parked process used before its request came is not the job's.
    ///
    /// # Errors
    /// The file that could not be read or written.
    pub fn restart_count(&mut self) -> Result<()> {
        self.groups.reset_peak()?;
        self.at_reset = self.groups.knobs.usage()?;
        Ok(())
    }

    /// The directory that a process can be started in; version 2 only.
    #[must_use]
    pub fn start_directory(&self) -> Option<&OwnedFd> {
        self.groups.directory.as_ref()
    }

    /// The files by which a process of one thread moves itself in: it writes `0` to each.
    ///
    /// The kernel checks who opened such a file, not who writes to it, and on version 1 a thread that
    /// moves itself takes none of the locks that stop every fork and exit on the host
    /// (`cgroup_procs_write_start` in the kernel's `kernel/cgroup/cgroup.c`).
    #[must_use]
    pub fn doors(&self) -> &[OwnedFd] {
        &self.groups.doors
    }

    /// What was used since the last reset.
    ///
    /// # Errors
    /// The file that could not be read.
    pub fn usage(&self) -> Result<Usage> {
        let now = self.groups.knobs.usage()?;
        let then = &self.at_reset;
        Ok(Usage {
            cpu: now.cpu.saturating_sub(then.cpu),
            memory_peak: now.memory_peak,
            oom_kills: now.oom_kills.saturating_sub(then.oom_kills),
            forks_refused: now.forks_refused.saturating_sub(then.forks_refused),
        })
    }

    /// The CPU time used since the last reset; cheaper than [`usage`](Self::usage).
    ///
    /// # Errors
    /// The file that could not be read.
    pub fn cpu(&self) -> Result<Duration> {
        Ok(self.groups.knobs.cpu()?.saturating_sub(self.at_reset.cpu))
    }

    /// A descriptor that becomes readable when the group runs out of memory, for version 1, whose OOM
    /// killer takes one process only. Version 2 ends the whole group by itself (`memory.oom.group`).
    ///
    /// # Errors
    /// When it cannot be copied or emptied.
    pub fn oom_event(&self) -> Result<Option<OwnedFd>> {
        let Some(event) = &self.groups.oom else { return Ok(None) };
        // What it told of an earlier job is forgotten; there may be nothing to forget.
        let _ = nix::unistd::read(event, &mut [0; 8]);
        event.try_clone().doing(|| "copy an eventfd").map(Some)
    }

    /// Sends SIGKILL to all in the group at once, where the kernel can, and gives a job back its
    /// share that had to step back: others may wait for what it holds on its way out.
    pub fn kill(&self) {
        if let Some(limits) = self.limits
            && self.steps_back.load(Ordering::Relaxed)
            && self.groups.paths.weigh(limits.cpu_weight).is_ok()
        {
            self.steps_back.store(false, Ordering::Relaxed);
        }
        if let Paths::V2 { group } = &self.groups.paths {
            let _ = fs::write(group.join("cgroup.kill"), "1");
        }
    }

    /// The processes in it, by the numbers that the caller knows them by.
    ///
    /// # Errors
    /// When the list cannot be read.
    pub fn processes(&self) -> Result<Vec<u32>> {
        let path = self.groups.paths.counted().join("cgroup.procs");
        let listed = fs::read_to_string(&path).doing(|| format!("read {}", path.display()))?;
        Ok(listed.lines().filter_map(|line| line.parse().ok()).collect())
    }

    /// Whether there is at most one task in it: a process of one thread.
    #[must_use]
    pub fn has_one_task(&self) -> bool {
        self.groups.knobs.count.number().is_ok_and(|count| count <= 1)
    }

    /// Whether no process runs in it. One that is dead but not yet reaped may be counted, but not listed.
    ///
    /// On version 1 the hierarchy that counts is the one that is looked at: a job's first process is in all of
    /// them before it is confined, and from then on nothing of it can move. The list is opened anew each time,
    /// for what is read through one descriptor again may be a second old: `CGROUP_PIDLIST_DESTROY_DELAY` in the
    /// kernel's `kernel/cgroup/cgroup-v1.c`.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let group = self.groups.paths.counted();
        let lists_nothing = || Knob::read(group, "cgroup.procs").and_then(|listed| listed.is_blank());
        self.groups.knobs.count.number().is_ok_and(|count| count == 0) || lists_nothing().unwrap_or(false)
    }
}

impl SlotCgroup {
    /// Ends what is in a group that is of no more use, and removes it; comes back for as long as that takes.
    #[must_use]
    pub fn retire(self) -> Option<Self> {
        for group in self.groups.paths.all() {
            end_processes(group);
        }
        // Each is tried, whatever became of those before.
        let gone = |group: &&Path| fs::remove_dir(group).is_ok() || !group.exists();
        let left = self.groups.paths.all().iter().filter(|group| !gone(group)).count();
        (left > 0).then_some(self)
    }
}

impl Drop for SlotCgroup {
    fn drop(&mut self) {
        for group in self.groups.paths.all() {
            let _ = fs::remove_dir(group);
        }
    }
}

impl Groups {
    fn create(paths: Paths, launcher_uid: u32) -> Result<Self> {
        paths.all().into_iter().try_for_each(make)?;
        let knobs = Knobs::open(&paths)?;
        Ok(match &paths {
            Paths::V1 { memory, .. } => {
                let doors =
                    paths.all().into_iter().map(|group| open_door(&group.join("tasks"))).collect::<Result<_>>()?;
                let oom = Some(register_oom_event(memory)?);
                Self { directory: None, doors, knobs, oom, paths }
            }
            Paths::V2 { group } => {
                delegate(group, launcher_uid)?;
                let doors = vec![open_door(&group.join("cgroup.procs"))?];
                Self { directory: Some(open_directory(group)?), doors, knobs, oom: None, paths }
            }
        })
    }

    /// The same groups made anew, with counters that start from nothing.
    fn renew(&self, launcher_uid: u32) -> Result<Self> {
        self.paths.all().into_iter().try_for_each(remove_tree)?;
        Self::create(self.paths.clone(), launcher_uid)
    }

    /// Gives back cached pages that a job's end did not.
    fn let_go(&self, limits: Limits) -> Result<()> {
        if let Paths::V1 { memory, .. } = &self.paths
            && Knob::read(memory, "memory.usage_in_bytes")?.number()? > limits.memory / NEGLIGIBLE
        {
            write(&memory.join("memory.force_empty"), "0")?;
        }
        Ok(())
    }

    fn reset_peak(&self) -> Result<()> {
        match &self.paths {
            Paths::V1 { .. } => self.knobs.peak.set("0"),
            Paths::V2 { .. } if self.knobs.peak_resets => self.knobs.peak.set("reset"),
            Paths::V2 { .. } => Ok(()),
        }
    }
}

impl Paths {
    /// The group in the hierarchy that counts processes.
    fn counted(&self) -> &Path {
        match self {
            Self::V1 { pids, .. } => pids,
            Self::V2 { group } => group,
        }
    }

    /// The group in each hierarchy, each once.
    fn all(&self) -> Vec<&Path> {
        match self {
            Self::V1 { memory, pids, cpu, cpuacct } => {
                let mut paths = vec![memory.as_path(), pids, cpu, cpuacct];
                paths.dedup();
                paths
            }
            Self::V2 { group } => vec![group],
        }
    }

    fn limit(&self, limits: Limits) -> Result<()> {
        let quota = (u64::from(limits.millicpus) * CPU_PERIOD / 1000).max(1000);
        match self {
            Self::V1 { memory, pids, cpu, .. } => {
                let with_swap = memory.join("memory.memsw.limit_in_bytes");
                let counts_swap = with_swap.exists();
                // The limit with swap may never be below the one without, so it steps aside first.
                if counts_swap {
                    write(&with_swap, "-1")?;
                }
                write(&memory.join("memory.limit_in_bytes"), limits.memory.to_string())?;
                if counts_swap {
                    write(&with_swap, limits.memory.saturating_add(limits.swap).to_string())?;
                } else if limits.swap > 0 {
                    return Err(swap_is_not_counted(&with_swap));
                }
                let swappiness = if limits.swap > 0 { USUAL_SWAPPINESS } else { "0" };
                write(&memory.join("memory.swappiness"), swappiness)?;
                write(&pids.join("pids.max"), limits.processes.to_string())?;
                write(&cpu.join("cpu.cfs_period_us"), CPU_PERIOD.to_string())?;
                write(&cpu.join("cpu.cfs_quota_us"), quota.to_string())?;
            }
            Self::V2 { group } => {
                write(&group.join("memory.max"), limits.memory.to_string())?;
                if has(group, "memory.swap.max") {
                    write(&group.join("memory.swap.max"), limits.swap.to_string())?;
                } else if limits.swap > 0 {
                    return Err(swap_is_not_counted(&group.join("memory.swap.max")));
                }
                write(&group.join("memory.oom.group"), "1")?;
                write(&group.join("pids.max"), limits.processes.to_string())?;
                write(&group.join("cpu.max"), format!("{quota} {CPU_PERIOD}"))?;
            }
        }
        self.weigh(limits.cpu_weight)
    }

    /// Sets the share of CPU time against other groups.
    fn weigh(&self, weight: u32) -> Result<()> {
        match self {
            Self::V1 { cpu, .. } => {
                // 1024 shares are what a weight of 100 is in version 2: the kernel's `cgroup-v2`.
                write(&cpu.join("cpu.shares"), (u64::from(weight) * 1024 / 100).max(2).to_string())
            }
            Self::V2 { group } => write(&group.join("cpu.weight"), weight.to_string()),
        }
    }
}

impl Knobs {
    fn open(paths: &Paths) -> Result<Self> {
        match paths {
            Paths::V1 { memory, pids, cpuacct, .. } => Ok(Self {
                cpu: CpuTime::Nanoseconds(Knob::read(cpuacct, "cpuacct.usage")?),
                peak: Knob::read_and_write(memory, "memory.max_usage_in_bytes")?,
                peak_resets: true,
                oom_kills: Knob::read(memory, "memory.oom_control")?,
                refused_forks: Knob::read(pids, "pids.events")?,
                count: Knob::read(pids, "pids.current")?,
            }),
            Paths::V2 { group } => {
                // The reset holds for what is read through the same descriptor.
                let resets = Knob::read_and_write(group, "memory.peak").ok().filter(|peak| peak.set("reset").is_ok());
                Ok(Self {
                    cpu: CpuTime::Field(Knob::read(group, "cpu.stat")?),
                    peak_resets: resets.is_some(),
                    peak: resets.map_or_else(|| Knob::read(group, "memory.peak"), Ok)?,
                    oom_kills: Knob::read(group, "memory.events")?,
                    refused_forks: Knob::read(group, "pids.events")?,
                    count: Knob::read(group, "pids.current")?,
                })
            }
        }
    }

    /// CPU time since the group was made.
    fn cpu(&self) -> Result<Duration> {
        match &self.cpu {
            CpuTime::Nanoseconds(knob) => knob.number().map(Duration::from_nanos),
            CpuTime::Field(knob) => knob.field("usage_usec").map(Duration::from_micros),
        }
    }

    fn usage(&self) -> Result<Usage> {
        Ok(Usage {
            cpu: self.cpu()?,
            memory_peak: self.peak.number()?,
            oom_kills: self.oom_kills.field("oom_kill")?,
            forks_refused: self.refused_forks.field("max")?,
        })
    }
}

/// Asks the kernel for an event each time that a version 1 group runs out of memory:
/// `admin-guide/cgroup-v1/memory`, section 10.
fn register_oom_event(memory: &Path) -> Result<OwnedFd> {
    let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
    let event = EventFd::from_value_and_flags(0, flags).doing(|| "eventfd")?;
    let control = memory.join("memory.oom_control");
    let control = File::open(&control).doing(|| format!("open {}", control.display()))?;
    write(&memory.join("cgroup.event_control"), format!("{} {}", event.as_raw_fd(), control.as_raw_fd()))?;
    Ok(event.into())
}

/// Hands the file by which processes enter a group to a launcher's root.
pub(super) fn delegate(group: &Path, uid: u32) -> Result<()> {
    let procs = group.join("cgroup.procs");
    chown(&procs, Some(uid), None).doing(|| format!("chown {} to {uid}", procs.display()))
}

fn swap_is_not_counted(file: &Path) -> Error {
    let reason = "this kernel does not count swap by group; boot with swapaccount=1 or set swap to \"0B\"";
    Error::layer(format_args!("limit swap in {}", file.display()), reason)
}

fn open_door(path: &Path) -> Result<OwnedFd> {
    File::options().write(true).open(path).map(OwnedFd::from).doing(|| format!("open {}", path.display()))
}
