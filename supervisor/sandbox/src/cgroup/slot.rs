//! The control group of one slot: limits for the next job, usage of the last.
//!
//! The group itself carries nothing from one job to the next: it is emptied and its counters are
//! taken as differences, or it is made anew where the kernel cannot reset its peak.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Layout, has, make, open_directory, remove_tree, unreadable, write};
use crate::{Context, Result};

/// What a job may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Memory in bytes, all processes, tmpfs and pipes together; no swap on top.
    pub memory: u64,
    /// Processes and threads.
    pub processes: u32,
    /// Thousandths of a CPU.
    pub millicpus: u32,
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
    at_reset: Usage,
}

#[derive(Debug)]
enum Groups {
    V1 { memory: PathBuf, pids: PathBuf, cpu: PathBuf, cpuacct: PathBuf, doors: Vec<OwnedFd> },
    V2 { group: PathBuf, directory: OwnedFd, peak: Option<File>, doors: Vec<OwnedFd> },
}

/// The period over which a CPU share is counted, in microseconds.
const CPU_PERIOD: u64 = 100_000;

/// What a group may still be charged with between jobs before it is asked to let go.
const NEGLIGIBLE: u64 = 256 * 1024;

impl SlotCgroup {
    pub(super) fn create(layout: &Layout, name: &str, launcher_uid: u32) -> Result<Self> {
        let mut groups = match layout {
            Layout::V1 { memory, pids, cpu, cpuacct } => Groups::V1 {
                memory: memory.join(name),
                pids: pids.join(name),
                cpu: cpu.join(name),
                cpuacct: cpuacct.join(name),
                doors: Vec::new(),
            },
            Layout::V2 { base, .. } => open_v2(&base.join(name), launcher_uid)?,
        };
        for group in groups.paths() {
            make(group)?;
        }
        if let Groups::V1 { .. } = &groups {
            let opened =
                groups.paths().into_iter().map(|group| open_door(&group.join("tasks"))).collect::<Result<_>>()?;
            if let Groups::V1 { doors, .. } = &mut groups {
                *doors = opened;
            }
        }
        Ok(Self { groups, launcher_uid, limits: None, at_reset: Usage::default() })
    }

    /// Sets the limits and starts counting from zero. The group must be empty.
    ///
    /// # Errors
    /// The file that could not be written.
    pub fn reset(&mut self, limits: Limits) -> Result<()> {
        if let Groups::V2 { group, peak: None, .. } = &self.groups {
            let group = group.clone();
            remove_tree(&group)?;
            self.groups = open_v2(&group, self.launcher_uid)?;
            self.limits = None;
        }
        if self.limits != Some(limits) {
            self.groups.limit(limits)?;
            self.limits = Some(limits);
        }
        self.groups.let_go()?;
        self.restart_count()
    }

    /// Counts from now: what a parked process used before its request came is not the job's.
    ///
    /// # Errors
    /// The file that could not be read or written.
    pub fn restart_count(&mut self) -> Result<()> {
        self.groups.reset_peak()?;
        self.at_reset = self.groups.read()?;
        Ok(())
    }

    /// The directory that a process can be started in; version 2 only.
    #[must_use]
    pub fn start_directory(&self) -> Option<&OwnedFd> {
        match &self.groups {
            Groups::V1 { .. } => None,
            Groups::V2 { directory, .. } => Some(directory),
        }
    }

    /// The files by which a process of one thread moves itself in: it writes `0` to each.
    ///
    /// The kernel checks who opened such a file, not who writes to it, and on version 1 a thread that
    /// moves itself takes none of the locks that stop every fork and exit on the host
    /// (`cgroup_procs_write_start` in the kernel's `kernel/cgroup/cgroup.c`).
    #[must_use]
    pub fn doors(&self) -> &[OwnedFd] {
        match &self.groups {
            Groups::V1 { doors, .. } | Groups::V2 { doors, .. } => doors,
        }
    }

    /// What was used since the last reset.
    ///
    /// # Errors
    /// The file that could not be read.
    pub fn usage(&self) -> Result<Usage> {
        let now = self.groups.read()?;
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
        Ok(self.groups.cpu()?.saturating_sub(self.at_reset.cpu))
    }

    /// A descriptor that becomes readable when the group runs out of memory, for version 1, whose OOM
    /// killer takes one process only. Version 2 ends the whole group by itself (`memory.oom.group`).
    ///
    /// # Errors
    /// The file that could not be opened or written.
    pub fn oom_event(&self) -> Result<Option<OwnedFd>> {
        let Groups::V1 { memory, .. } = &self.groups else { return Ok(None) };
        let event = nix::sys::eventfd::EventFd::from_value_and_flags(
            0,
            nix::sys::eventfd::EfdFlags::EFD_CLOEXEC | nix::sys::eventfd::EfdFlags::EFD_NONBLOCK,
        )
        .doing(|| "eventfd")?;
        let control = memory.join("memory.oom_control");
        let control = File::open(&control).doing(|| format!("open {}", control.display()))?;
        let registration =
            format!("{} {}", std::os::fd::AsRawFd::as_raw_fd(&event), std::os::fd::AsRawFd::as_raw_fd(&control));
        write(&memory.join("cgroup.event_control"), registration)?;
        Ok(Some(event.into()))
    }

    /// Sends SIGKILL to all in the group at once, where the kernel can.
    pub fn kill(&self) {
        if let Groups::V2 { group, .. } = &self.groups {
            let _ = fs::write(group.join("cgroup.kill"), "1");
        }
    }

    /// Whether no process is left in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups
            .paths()
            .iter()
            .all(|group| fs::read_to_string(group.join("cgroup.procs")).is_ok_and(|listed| listed.trim().is_empty()))
    }
}

impl Drop for SlotCgroup {
    fn drop(&mut self) {
        for group in self.groups.paths() {
            let _ = fs::remove_dir(group);
        }
    }
}

impl Groups {
    fn paths(&self) -> Vec<&Path> {
        match self {
            Self::V1 { memory, pids, cpu, cpuacct, .. } => {
                let mut paths = vec![memory.as_path(), pids, cpu, cpuacct];
                paths.dedup();
                paths
            }
            Self::V2 { group, .. } => vec![group],
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
                    write(&with_swap, limits.memory.to_string())?;
                }
                write(&memory.join("memory.swappiness"), "0")?;
                write(&pids.join("pids.max"), limits.processes.to_string())?;
                write(&cpu.join("cpu.cfs_period_us"), CPU_PERIOD.to_string())?;
                write(&cpu.join("cpu.cfs_quota_us"), quota.to_string())
            }
            Self::V2 { group, .. } => {
                write(&group.join("memory.max"), limits.memory.to_string())?;
                if has(group, "memory.swap.max") {
                    write(&group.join("memory.swap.max"), "0")?;
                }
                write(&group.join("memory.oom.group"), "1")?;
                write(&group.join("pids.max"), limits.processes.to_string())?;
                write(&group.join("cpu.max"), format!("{quota} {CPU_PERIOD}"))
            }
        }
    }

    /// Gives back cached pages that a job's end did not.
    fn let_go(&self) -> Result<()> {
        if let Self::V1 { memory, .. } = self
            && read_number(&memory.join("memory.usage_in_bytes"))? > NEGLIGIBLE
        {
            write(&memory.join("memory.force_empty"), "0")?;
        }
        Ok(())
    }

    fn reset_peak(&self) -> Result<()> {
        match self {
            Self::V1 { memory, .. } => write(&memory.join("memory.max_usage_in_bytes"), "0"),
            Self::V2 { peak: Some(peak), .. } => {
                let mut peak = peak;
                peak.write_all(b"reset").doing(|| "reset memory.peak")
            }
            Self::V2 { peak: None, .. } => Ok(()),
        }
    }

    fn cpu(&self) -> Result<Duration> {
        match self {
            Self::V1 { cpuacct, .. } => Ok(Duration::from_nanos(read_number(&cpuacct.join("cpuacct.usage"))?)),
            Self::V2 { group, .. } => Ok(Duration::from_micros(read_field(&group.join("cpu.stat"), "usage_usec")?)),
        }
    }

    fn read(&self) -> Result<Usage> {
        let cpu = self.cpu()?;
        Ok(match self {
            Self::V1 { memory, pids, .. } => Usage {
                cpu,
                memory_peak: read_number(&memory.join("memory.max_usage_in_bytes"))?,
                oom_kills: read_field(&memory.join("memory.oom_control"), "oom_kill")?,
                forks_refused: read_field(&pids.join("pids.events"), "max")?,
            },
            Self::V2 { group, peak, .. } => Usage {
                cpu,
                memory_peak: match peak {
                    Some(peak) => reread(peak)?,
                    None => read_number(&group.join("memory.peak"))?,
                },
                oom_kills: read_field(&group.join("memory.events"), "oom_kill")?,
                forks_refused: read_field(&group.join("pids.events"), "max")?,
            },
        })
    }
}

/// Hands the file by which processes enter a group to a launcher's root.
pub(super) fn delegate(group: &Path, uid: u32) -> Result<()> {
    let procs = group.join("cgroup.procs");
    chown(&procs, Some(uid), None).doing(|| format!("chown {} to {uid}", procs.display()))
}

fn open_v2(group: &Path, launcher_uid: u32) -> Result<Groups> {
    make(group)?;
    delegate(group, launcher_uid)?;
    // Since Linux 6.12 a write resets the peak as seen through the same descriptor.
    let peak = File::options()
        .read(true)
        .write(true)
        .open(group.join("memory.peak"))
        .ok()
        .filter(|mut peak| peak.write_all(b"reset").is_ok());
    let doors = vec![open_door(&group.join("cgroup.procs"))?];
    Ok(Groups::V2 { group: group.to_owned(), directory: open_directory(group)?, peak, doors })
}

fn open_door(path: &Path) -> Result<OwnedFd> {
    File::options().write(true).open(path).map(OwnedFd::from).doing(|| format!("open {}", path.display()))
}

fn reread(mut file: &File) -> Result<u64> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_string(&mut text)).doing(|| "read memory.peak")?;
    text.trim().parse().map_err(|_| unreadable(Path::new("memory.peak"), &text))
}

fn read_number(path: &Path) -> Result<u64> {
    let text = fs::read_to_string(path).doing(|| format!("read {}", path.display()))?;
    text.trim().parse().map_err(|_| unreadable(path, &text))
}

fn read_field(path: &Path, field: &str) -> Result<u64> {
    let text = fs::read_to_string(path).doing(|| format!("read {}", path.display()))?;
    text.lines().find_map(|line| line.strip_prefix(field)?.trim().parse().ok()).ok_or_else(|| unreadable(path, &text))
}
