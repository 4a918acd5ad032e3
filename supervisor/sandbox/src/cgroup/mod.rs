//! Control groups: what a job may use, what it has used, and its certain end.
//!
//! Version 2 is preferred; version 1 and hybrid layouts, each controller in a hierarchy of its own,
//! are supported. Only the supervisor touches these files; a job sees none of them.

mod delegation;
mod hold;
mod knob;
mod layout;
mod slot;

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

pub(crate) use hold::Hold;
pub use hold::describe;
pub use layout::{Layout, Version};
pub use slot::{Limits, SlotCgroup, Usage};

use crate::{Context, Result};

/// Cloister's own part of the hierarchies, removed again when dropped. It has one living owner.
#[derive(Debug)]
pub struct Tree {
    layout: Layout,
    name: String,
    /// Let go of last, when nothing is left to be taken for another's.
    _hold: Hold,
}

/// The group in which launchers and zygotes live.
const LAUNCHERS: &str = "launchers";

/// Ten times a job's share of a busy machine for what all jobs wait for: "Weights" in the kernel's
/// `Documentation/admin-guide/cgroup-v2.rst`.
const OURS_WEIGHT: &str = "1000";

/// The same in version 1, where 1024 are usual.
const OURS_SHARES: &str = "10240";

impl Tree {
    /// Creates the groups under `name`, after ending and removing what an earlier life left there. Nothing is touched
    /// of a life that goes on.
    ///
    /// # Errors
    /// A controller that is missing, a file that could not be written, or that another process has the name.
    pub fn create(name: &str) -> Result<Self> {
        let layout = Layout::detect()?;
        if let Layout::V2 { base, delegated: true } = &layout {
            delegation::settle(base)?;
            enable_controllers(base)?;
            write(&delegation::leaf(base).join("cpu.weight"), OURS_WEIGHT)?;
        }
        let mounts = layout.mounts();
        let first = mounts.first().expect("every layout has a hierarchy").join(name);
        let tree = Self { layout, name: name.to_owned(), _hold: Hold::take(&first)? };
        for directory in tree.directories() {
            // The directory that the lock is on stays what it is.
            make(&directory)?;
            remove_below(&directory)?;
            make(&directory.join(LAUNCHERS))?;
        }
        match &tree.layout {
            Layout::V1 { cpu, .. } => write(&cpu.join(name).join(LAUNCHERS).join("cpu.shares"), OURS_SHARES)?,
            Layout::V2 { base, .. } => {
                enable_controllers(base)?;
                enable_controllers(&base.join(name))?;
                write(&base.join(name).join(LAUNCHERS).join("cpu.weight"), OURS_WEIGHT)?;
            }
        }
        Ok(tree)
    }

    /// Which version is used.
    #[must_use]
    pub fn version(&self) -> Version {
        self.layout.version()
    }

    /// Bounds the memory of this process, where it has a group of its own: a delegated one of version 2. Never that of
    /// the jobs.
    ///
    /// # Errors
    /// The file that could not be written.
    pub fn bound_own(&self, bytes: u64) -> Result<()> {
        match &self.layout {
            Layout::V2 { base, delegated: true } => {
                write(&delegation::leaf(base).join("memory.max"), bytes.to_string())
            }
            _ => Ok(()),
        }
    }

    /// Puts a process, and what it will start, into the launchers' group.
    ///
    /// # Errors
    /// The file that could not be written.
    pub fn adopt_launcher(&self, pid: u32) -> Result<()> {
        self.directories().iter().try_for_each(|directory| attach(&directory.join(LAUNCHERS), pid))
    }

    /// Lets a launcher's root start processes in the slots' groups without the host's privileges:
    /// delegation, cgroups(7). Version 2 only; on version 1 processes are moved by the supervisor.
    ///
    /// # Errors
    /// The file whose owner could not be changed.
    pub fn delegate_to(&self, uid: u32) -> Result<()> {
        let Layout::V2 { base, .. } = &self.layout else { return Ok(()) };
        let own = base.join(&self.name);
        [own.clone(), own.join(LAUNCHERS)].iter().try_for_each(|group| slot::delegate(group, uid))
    }

    /// The group of one slot, made if it is not there.
    ///
    /// # Errors
    /// The step that failed.
    pub fn slot(&self, number: u32, launcher_uid: u32) -> Result<SlotCgroup> {
        SlotCgroup::create(&self.layout, &format!("{}/slot-{number}", self.name), launcher_uid)
    }

    /// Ends every process in the tree and removes its directories.
    ///
    /// # Errors
    /// When a process would not die within five seconds, or a directory could not be removed.
    pub fn remove(&self) -> Result<()> {
        self.directories().iter().try_for_each(|directory| remove_tree(directory))
    }

    fn directories(&self) -> Vec<PathBuf> {
        self.layout.mounts().into_iter().map(|mount| mount.join(&self.name)).collect()
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = self.remove();
    }
}

pub(crate) fn make(directory: &Path) -> Result<()> {
    match fs::create_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(error).doing(|| format!("mkdir {}", directory.display()))
        }
        _ => Ok(()),
    }
}

/// Writes one value to one of a group's files.
pub(crate) fn write(path: &Path, value: impl AsRef<str>) -> Result<()> {
    let value = value.as_ref();
    fs::write(path, value).doing(|| format!("write {value} to {}", path.display()))
}

pub(crate) fn attach(group: &Path, pid: u32) -> Result<()> {
    write(&group.join("cgroup.procs"), pid.to_string())
}

fn enable_controllers(group: &Path) -> Result<()> {
    write(&group.join("cgroup.subtree_control"), "+cpu +memory +pids")
}

/// Ends what lives below a group, deepest first, and removes it.
fn remove_below(group: &Path) -> Result<()> {
    let children = match fs::read_dir(group) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.doing(|| format!("read {}", group.display()))?,
    };
    children.flatten().filter(|entry| entry.path().is_dir()).try_for_each(|child| remove_tree(&child.path()))
}

/// The same, and the group itself.
pub(crate) fn remove_tree(group: &Path) -> Result<()> {
    remove_below(group)?;
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        end_processes(group);
        match fs::remove_dir(group) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            // Version 1 has no event for an emptied group; ends take milliseconds.
            Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(2)),
            Err(error) => return Err(error).doing(|| format!("rmdir {}", group.display())),
        }
    }
}

/// Sends SIGKILL to all in a group: at once where the kernel can (`cgroup.kill`), else one by one.
fn end_processes(group: &Path) {
    if fs::write(group.join("cgroup.kill"), "1").is_err() {
        end_each(group);
    }
}

/// Ends the processes of a group and no other: a number that was read may be another process's by now, so each is taken
/// hold of (`pidfd_open(2)`) and ended only if it is in the group still, which then is the one that is held.
fn end_each(group: &Path) {
    let held: Vec<_> = members(group)
        .into_iter()
        .filter(|pid| *pid > 1)
        .filter_map(|pid| Some((pid, pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?)))
        .collect();
    let still = members(group);
    for (_, process) in held.iter().filter(|(pid, _)| still.contains(pid)) {
        let _ = pidfd_send_signal(process, Signal::KILL);
    }
}

fn members(group: &Path) -> Vec<i32> {
    let listed = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    listed.lines().filter_map(|line| line.parse().ok()).collect()
}

/// Opens a group's directory, for a process that is to start in it.
pub(crate) fn open_directory(group: &Path) -> Result<OwnedFd> {
    fs::File::open(group).map(OwnedFd::from).doing(|| format!("open {}", group.display()))
}

/// Whether a group's file exists, which tells what this kernel can do.
pub(crate) fn has(group: &Path, file: &str) -> bool {
    fs::metadata(group.join(file)).is_ok_and(|metadata| metadata.mode() != 0)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::end_each;

    /// A directory stands for a group, of which it has the one file that is read.
    #[test]
    fn without_cgroup_kill_each_process_of_a_group_is_ended_and_what_is_gone_harms_nobody() {
        let group = std::env::temp_dir().join(format!("group-{}", std::process::id()));
        fs::create_dir_all(&group).expect("writable");
        let start = || Command::new("sleep").arg("600").spawn().expect("sleep is there");
        let (mut member, mut other, mut gone) = (start(), start(), start());
        gone.kill().expect("ours");
        gone.wait().expect("ours");
        fs::write(group.join("cgroup.procs"), format!("0\n1\n{}\n{}\n", gone.id(), member.id())).expect("writable");
        end_each(&group);
        assert!(!member.wait().expect("ours").success());
        assert!(other.try_wait().expect("ours").is_none());
        other.kill().expect("ours");
        other.wait().expect("ours");
        fs::remove_dir_all(&group).expect("ours");
    }
}
