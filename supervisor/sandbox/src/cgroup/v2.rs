//! A slot's group in version 2: one directory, in which all controllers are.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cloister_terms::Uid;

use super::group::{attach, delegate, has, make, open_directory, open_door, remove_tree, write};
use super::groups::{CPU_PERIOD, Groups, Knobs, Limits, quota, swap_is_not_counted};
use super::knob::Knob;
use crate::error::Result;

/// The group with what of it is open.
#[derive(Debug)]
pub(super) struct Group {
    path: PathBuf,
    launcher: Uid,
    directory: OwnedFd,
    doors: [OwnedFd; 1],
    knobs: Knobs,
    resets_peak: bool,
}

impl Group {
    pub(super) fn create(path: PathBuf, launcher: Uid) -> Result<Self> {
        make(&path)?;
        // The reset holds for what is read through the same descriptor.
        let resets = Knob::read_and_write(&path, "memory.peak").ok().filter(|peak| peak.set("reset").is_ok());
        let resets_peak = resets.is_some();
        let knobs = Knobs {
            cpu: Knob::read(&path, "cpu.stat")?,
            peak: resets.map_or_else(|| Knob::read(&path, "memory.peak"), Ok)?,
            oom_kills: Knob::read(&path, "memory.events")?,
            refused_forks: Knob::read(&path, "pids.events")?,
            count: Knob::read(&path, "pids.current")?,
            memory: Knob::read(&path, "memory.current")?,
        };
        delegate(&path, launcher)?;
        let doors = [open_door(&path.join("cgroup.procs"))?];
        let directory = open_directory(&path)?;
        Ok(Self { path, launcher, directory, doors, knobs, resets_peak })
    }
}

impl Groups for Group {
    fn knobs(&self) -> &Knobs {
        &self.knobs
    }

    fn all(&self) -> Vec<&Path> {
        vec![&self.path]
    }

    fn counted(&self) -> &Path {
        &self.path
    }

    fn directory(&self) -> Option<&OwnedFd> {
        Some(&self.directory)
    }

    fn doors(&self) -> &[OwnedFd] {
        &self.doors
    }

    fn oom(&self) -> Option<&OwnedFd> {
        None
    }

    fn take_in(&self, process: u32) -> Result<()> {
        attach(&self.path, process)
    }

    fn renew(&self) -> Result<Box<dyn Groups>> {
        remove_tree(&self.path)?;
        Ok(Box::new(Self::create(self.path.clone(), self.launcher)?))
    }

    fn limit(&self, limits: Limits) -> Result<()> {
        let group = &self.path;
        write(&group.join("memory.max"), limits.memory.0.to_string())?;
        if has(group, "memory.swap.max") {
            write(&group.join("memory.swap.max"), limits.swap.0.to_string())?;
        } else if limits.swap.0 > 0 {
            return Err(swap_is_not_counted(&group.join("memory.swap.max")));
        }
        write(&group.join("memory.oom.group"), if limits.ends_together { "1" } else { "0" })?;
        write(&group.join("pids.max"), limits.processes.to_string())?;
        write(&group.join("cpu.max"), format!("{} {CPU_PERIOD}", quota(limits)))?;
        self.weigh(limits.cpu_weight)
    }

    fn weigh(&self, weight: u32) -> Result<()> {
        write(&self.path.join("cpu.weight"), weight.to_string())
    }

    /// What a job cached is taken back when others need it.
    fn let_go(&self, _: Limits) -> Result<()> {
        Ok(())
    }

    fn resets_peak(&self) -> bool {
        self.resets_peak
    }

    fn reset_peak(&self) -> Result<()> {
        if self.resets_peak { self.knobs.peak.set("reset") } else { Ok(()) }
    }

    /// `oom` counts where the limit is, `oom_kill` where the process was: "memory.events" in the kernel's `cgroup-v2`.
    fn own_ooms(&self, _: u64) -> Result<u64> {
        self.knobs.oom_kills.field("oom")
    }

    fn cpu(&self) -> Result<Duration> {
        self.knobs.cpu.field("usage_usec").map(Duration::from_micros)
    }

    fn memory(&self) -> Result<u64> {
        self.knobs.memory.number()
    }

    fn kept_memory(&self) -> Result<u64> {
        let told = Knob::read(&self.path, "memory.stat")?;
        let swapped = self.path.join("memory.swap.current").exists();
        let swapped = if swapped { Knob::read(&self.path, "memory.swap.current")?.number()? } else { 0 };
        let of_kernel = told.field("kernel")?.saturating_sub(told.field("slab_reclaimable")?);
        Ok(told.field("anon")? + told.field("shmem")? + told.field("sock")? + swapped + of_kernel)
    }

    fn kill(&self) {
        let _ = fs::write(self.path.join("cgroup.kill"), "1");
    }
}
