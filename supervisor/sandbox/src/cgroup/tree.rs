//! Cloister's own part of the hierarchies: the groups of its launchers and of its slots.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use cloister_terms::Uid;

use super::delegation;
use super::doors::Doors;
use super::freezer::end_stopped;
use super::group::{
    attach, delegate, enable_controllers, hand_over, hand_over_file, make, remove_below, remove_tree, write,
};
use super::hold::Hold;
use super::layout::Layout;
use super::mounts::Version;
use super::slot::SlotCgroup;
use crate::error::{Context, Error, Result};
use crate::spec::Slot;

/// Cloister's own part of the hierarchies. It has one living owner, who removes it when this is dropped.
#[derive(Debug)]
pub struct Tree {
    layout: Layout,
    name: String,
    doors: Doors,
    /// Of its owner. Let go of last, when nothing is left to be taken for another's.
    hold: Option<Hold>,
}

/// The group in which launchers and zygotes live.
const LAUNCHERS: &str = "launchers";

/// Files of version 2 by which the owner of a group rules those below it, beside the group itself.
const HANDED_OVER: &[&str] = &["cgroup.procs", "cgroup.subtree_control", "memory.max"];

/// The names of files by which processes enter a group.
const DOORS: [&str; 2] = ["cgroup.procs", "tasks"];

/// Which part of a container's memory is this process's at most.
const OURS_OF_MEMORY: u64 = 4;

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
        let hold = Some(Hold::take(&first)?);
        let tree = Self { layout, name: name.to_owned(), doors: Doors::own(), hold };
        tree.end_stopped();
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

    /// One that another process has made and owns.
    #[must_use]
    pub fn of(layout: Layout, name: String, doors: Doors) -> Self {
        Self { layout, name, doors, hold: None }
    }

    /// Where it is.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What keeps others from taking its name, for as long as that is open.
    #[must_use]
    pub fn hold(&self) -> Option<BorrowedFd<'_>> {
        self.hold.as_ref().map(AsFd::as_fd)
    }

    /// Lets another make groups in it, and bound their memory and its own: one that is not root.
    ///
    /// # Errors
    /// The file whose owner could not be changed.
    pub fn hand_over(&self, to: Uid) -> Result<()> {
        self.directories().iter().try_for_each(|group| hand_over(group, HANDED_OVER, to))?;
        match &self.layout {
            Layout::V2 { base, delegated: true } => {
                let leaf = delegation::leaf(base);
                // To be passed, whatever the mask.
                fs::set_permissions(&leaf, fs::Permissions::from_mode(0o711))
                    .doing(|| format!("chmod {}", leaf.display()))?;
                hand_over_file(&leaf.join("memory.max"), to)
            }
            _ => Ok(()),
        }
    }

    /// Whether a path is that of a file by which processes enter a group of it.
    #[must_use]
    pub fn has_door(&self, path: &Path) -> bool {
        let is_door = path.file_name().is_some_and(|name| DOORS.iter().any(|door| name == *door));
        let group = path.parent().filter(|_| is_door);
        let plain = |group: &Path| group.components().all(|part| matches!(part, Component::Normal(_)));
        let below = |tree: &PathBuf| group.and_then(|group| group.strip_prefix(tree).ok()).is_some_and(plain);
        self.directories().iter().any(below)
    }

    /// Which version is used.
    #[must_use]
    pub fn version(&self) -> Version {
        self.layout.version()
    }

    /// Bounds the memory of this process, where it has a group of its own, as it does in one of version 2. Where that or one
    /// above it is bounded, as a container is, what runs below is held to what this leaves of it: memory then is used up
    /// where jobs are, one of which goes, and not in the container, which may go as a whole (`memory.oom.group`).
    ///
    /// # Errors
    /// The file that could not be written.
    pub fn bound_memory(&self, own: u64) -> Result<()> {
        let Layout::V2 { base, delegated: true } = &self.layout else { return Ok(()) };
        write(&delegation::leaf(base).join("memory.max"), own.to_string())?;
        let left = delegation::memory(base).map(|all| all - own.min(all / OURS_OF_MEMORY));
        let left = left.map_or_else(|| "max".to_owned(), |bytes| bytes.to_string());
        write(&base.join(&self.name).join("memory.max"), left)
    }

    /// Whether the memory of this process and of what it starts is bounded, as a container's is. Version 2 only.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        matches!(&self.layout, Layout::V2 { base, .. } if delegation::memory(base).is_some())
    }

    /// Makes sure that what runs in a slot can be stopped, as sessions are between their cells.
    ///
    /// # Errors
    /// When it cannot, on a host of version 1 without that controller.
    pub fn require_freezer(&self) -> Result<()> {
        match &self.layout {
            Layout::V1 { freezer: None, .. } => Err(Error::layer(
                "sessions",
                "this host's control groups of version 1 have no freezer, by which sessions are stopped between their cells: mount it, or set sessions = 0 under [supervisor]",
            )),
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
    pub fn delegate_to(&self, uid: Uid) -> Result<()> {
        let Layout::V2 { base, .. } = &self.layout else { return Ok(()) };
        let own = base.join(&self.name);
        [own.clone(), own.join(LAUNCHERS)].iter().try_for_each(|group| delegate(group, uid))
    }

    /// The group of one slot, made if it is not there.
    ///
    /// # Errors
    /// The step that failed.
    pub fn slot(&self, slot: Slot, launcher: Uid) -> Result<SlotCgroup> {
        SlotCgroup::create(&self.layout, &self.doors, &format!("{}/slot-{}", self.name, slot.0), launcher)
    }

    /// Ends every process in the tree and removes its directories.
    ///
    /// # Errors
    /// When a process would not die within five seconds, or a directory could not be removed.
    pub fn remove(&self) -> Result<()> {
        self.end_stopped();
        self.directories().iter().try_for_each(|directory| remove_tree(directory))
    }

    fn end_stopped(&self) {
        if let Layout::V1 { freezer: Some(freezer), .. } = &self.layout {
            end_stopped(&freezer.join(&self.name));
        }
    }

    /// Its directory in each hierarchy.
    fn directories(&self) -> Vec<PathBuf> {
        self.layout.mounts().into_iter().map(|mount| mount.join(&self.name)).collect()
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        if self.hold.is_some() {
            let _ = self.remove();
        }
    }
}
