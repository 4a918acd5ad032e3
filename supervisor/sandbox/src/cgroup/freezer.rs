//! Stops all in a slot's group, and lets it go on: what is stopped uses no processor, whatever it was about to do.

use std::fs;
use std::path::{Path, PathBuf};

use super::doors::Doors;
use super::group::{end_processes, let_in, write};
use super::knob::Knob;
use crate::error::{Context, Result};

/// What stops a slot's group. Dropping it lets what is left of that go on.
#[derive(Debug)]
pub(super) struct Freezer {
    way: Way,
    /// The slot's own group in version 2, and one of the freezer's hierarchy in version 1.
    group: PathBuf,
}

/// How a group is stopped, and what it takes to have a process held by it.
#[derive(Debug)]
enum Way {
    V1(Doors),
    V2,
}

impl Freezer {
    /// For a group of version 2, in which all is anyway: `cgroup.freeze` in the kernel's `cgroup-v2`.
    pub(super) fn v2(group: PathBuf) -> Self {
        Self { way: Way::V2, group }
    }

    /// For a group of version 1, which nothing is in: `freezer-subsystem` in the kernel's `admin-guide/cgroup-v1`.
    pub(super) fn v1(group: PathBuf, doors: Doors) -> Result<Self> {
        // One that is there is nobody's, or what is in it keeps it from being removed, and this from being made.
        let _ = fs::remove_dir(&group);
        fs::create_dir(&group).doing(|| format!("mkdir {}", group.display()))?;
        Ok(Self { way: Way::V1(doors), group })
    }

    /// Has a process held by it, and so what that starts; in version 2 it is, where it is in the slot's group.
    pub(super) fn take_in(&self, process: u32) -> Result<()> {
        match &self.way {
            Way::V1(doors) => let_in(doors.open(&self.group.join("cgroup.procs"))?, process),
            Way::V2 => Ok(()),
        }
    }

    /// Whether nothing is in a group of its own.
    pub(super) fn is_empty(&self) -> bool {
        match &self.way {
            Way::V1(_) => Knob::read(&self.group, "cgroup.procs").and_then(|listed| listed.is_blank()).unwrap_or(false),
            Way::V2 => true,
        }
    }

    /// Ends what is in it.
    pub(super) fn end(&self) {
        end_processes(&self.group);
        let _ = self.set(false);
    }

    /// Stops all of it, which takes a moment, or lets it go on.
    pub(super) fn set(&self, frozen: bool) -> Result<()> {
        let (file, value) = match (&self.way, frozen) {
            (Way::V1(_), true) => ("freezer.state", "FROZEN"),
            (Way::V1(_), false) => ("freezer.state", "THAWED"),
            (Way::V2, true) => ("cgroup.freeze", "1"),
            (Way::V2, false) => ("cgroup.freeze", "0"),
        };
        write(&self.group.join(file), value)
    }

    /// Whether all of it has stopped.
    pub(super) fn is_frozen(&self) -> Result<bool> {
        let (file, line) = match &self.way {
            Way::V1(_) => ("freezer.state", "FROZEN"),
            Way::V2 => ("cgroup.events", "frozen 1"),
        };
        let path = self.group.join(file);
        let told = fs::read_to_string(&path).doing(|| format!("read {}", path.display()))?;
        Ok(told.lines().any(|told| told == line))
    }
}

/// Ends what an earlier life has stopped in the groups below this one of version 1's freezer: what is killed there ends when it may go
/// on, and no sooner.
pub(super) fn end_stopped(groups: &Path) {
    let groups = fs::read_dir(groups).into_iter().flatten().flatten().map(|entry| entry.path());
    for group in groups.filter(|group| group.is_dir()) {
        end_stopped(&group);
        end_processes(&group);
        let _ = fs::write(group.join("freezer.state"), "THAWED");
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        let _ = self.set(false);
        if matches!(self.way, Way::V1(_)) {
            let _ = fs::remove_dir(&self.group);
        }
    }
}
