//! A slot's groups in version 1: one in each controller's hierarchy, of which some may be the same.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::eventfd::{EfdFlags, EventFd};

use super::doors::Doors;
use super::group::{let_in, make, remove_tree, write};
use super::groups::{self, CPU_PERIOD, Knobs, Limits, quota, swap_is_not_counted};
use super::knob::Knob;
use crate::error::{Context, Result};

/// How readily a version 1 group that may swap does so: the kernel's default.
const USUAL_SWAPPINESS: &str = "60";

/// Which part of its limit a group may still be charged with between jobs before it is asked to let go.
/// Being asked is slow, and the kernel sets some memory aside for each processor in any case.
const NEGLIGIBLE: u64 = 64;

/// A slot's group in each hierarchy.
#[derive(Clone, Debug)]
pub(super) struct Paths {
    pub(super) memory: PathBuf,
    pub(super) pids: PathBuf,
    pub(super) cpu: PathBuf,
    pub(super) cpuacct: PathBuf,
}

/// The groups with what of them is open.
#[derive(Debug)]
pub(super) struct Groups {
    paths: Paths,
    opener: Doors,
    doors: Vec<OwnedFd>,
    knobs: Knobs,
    oom: OwnedFd,
}

impl Groups {
    pub(super) fn create(paths: Paths, opener: Doors) -> Result<Self> {
        let all = paths.all();
        all.iter().copied().try_for_each(make)?;
        let knobs = Knobs {
            cpu: Knob::read(&paths.cpuacct, "cpuacct.usage")?,
            peak: Knob::read_and_write(&paths.memory, "memory.max_usage_in_bytes")?,
            oom_kills: Knob::read(&paths.memory, "memory.oom_control")?,
            refused_forks: Knob::read(&paths.pids, "pids.events")?,
            count: Knob::read(&paths.pids, "pids.current")?,
            memory: Knob::read(&paths.memory, "memory.usage_in_bytes")?,
        };
        let doors = all.iter().map(|group| opener.open(&group.join("tasks"))).collect::<Result<_>>()?;
        let oom = register_oom_event(&paths.memory)?;
        Ok(Self { paths, opener, doors, knobs, oom })
    }
}

impl Paths {
    fn all(&self) -> Vec<&Path> {
        let Self { memory, pids, cpu, cpuacct } = self;
        let mut paths = vec![memory.as_path(), pids, cpu, cpuacct];
        paths.dedup();
        paths
    }
}

impl groups::Groups for Groups {
    fn knobs(&self) -> &Knobs {
        &self.knobs
    }

    fn all(&self) -> Vec<&Path> {
        self.paths.all()
    }

    fn counted(&self) -> &Path {
        &self.paths.pids
    }

    fn directory(&self) -> Option<&OwnedFd> {
        None
    }

    fn doors(&self) -> &[OwnedFd] {
        &self.doors
    }

    fn oom(&self) -> Option<&OwnedFd> {
        Some(&self.oom)
    }

    fn take_in(&self, process: u32) -> Result<()> {
        let doors = self.all().into_iter().map(|group| self.opener.open(&group.join("cgroup.procs")));
        doors.into_iter().try_for_each(|door| let_in(door?, process))
    }

    fn renew(&self) -> Result<Box<dyn groups::Groups>> {
        self.all().into_iter().try_for_each(remove_tree)?;
        Ok(Box::new(Self::create(self.paths.clone(), self.opener.clone())?))
    }

    fn limit(&self, limits: Limits) -> Result<()> {
        let Paths { memory, pids, cpu, .. } = &self.paths;
        let with_swap = memory.join("memory.memsw.limit_in_bytes");
        let counts_swap = with_swap.exists();
        // The limit with swap may never be below the one without, so it steps aside first.
        if counts_swap {
            write(&with_swap, "-1")?;
        }
        write(&memory.join("memory.limit_in_bytes"), limits.memory.0.to_string())?;
        if counts_swap {
            write(&with_swap, limits.memory.0.saturating_add(limits.swap.0).to_string())?;
        } else if limits.swap.0 > 0 {
            return Err(swap_is_not_counted(&with_swap));
        }
        let swappiness = if limits.swap.0 > 0 { USUAL_SWAPPINESS } else { "0" };
        write(&memory.join("memory.swappiness"), swappiness)?;
        write(&pids.join("pids.max"), limits.processes.to_string())?;
        write(&cpu.join("cpu.cfs_period_us"), CPU_PERIOD.to_string())?;
        write(&cpu.join("cpu.cfs_quota_us"), quota(limits).to_string())?;
        self.weigh(limits.cpu_weight)
    }

    fn weigh(&self, weight: u32) -> Result<()> {
        // 1024 shares are what a weight of 100 is in version 2: the kernel's `cgroup-v2`.
        write(&self.paths.cpu.join("cpu.shares"), (u64::from(weight) * 1024 / 100).max(2).to_string())
    }

    fn let_go(&self, limits: Limits) -> Result<()> {
        let memory = &self.paths.memory;
        if self.memory()? > limits.memory.0 / NEGLIGIBLE {
            write(&memory.join("memory.force_empty"), "0")?;
        }
        Ok(())
    }

    fn resets_peak(&self) -> bool {
        true
    }

    fn reset_peak(&self) -> Result<()> {
        self.knobs.peak.set("0")
    }

    /// It does not tell.
    fn own_ooms(&self, oom_kills: u64) -> Result<u64> {
        Ok(oom_kills)
    }

    fn cpu(&self) -> Result<Duration> {
        self.knobs.cpu.number().map(Duration::from_nanos)
    }

    fn memory(&self) -> Result<u64> {
        self.knobs.memory.number()
    }

    fn kept_memory(&self) -> Result<u64> {
        let told = Knob::read(&self.paths.memory, "memory.stat")?;
        let of_kernel = Knob::read(&self.paths.memory, "memory.kmem.usage_in_bytes")?.number()?;
        Ok(told.field("rss")? + told.field("shmem")? + told.field("swap")? + of_kernel)
    }

    /// There is no such file.
    fn kill(&self) {}
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
