//! Device nodes of a slot's own, made by `mknod(2)` before the power to make any is given up.
//!
//! What hangs on an inode is everybody's who can open it: record locks and `flock`, by which a job would reach other jobs
//! and the host's programs. So no two slots share a node, and none is the host's. They lie in `/dev`, the one place of a
//! host where nodes are sure to work, below the name of the control group, and live as long as their owner. The host's other
//! accounts have no business with any of them: only root, and who serves the jobs, may pass to them.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::thread::Builder;

use cloister_terms::Uid;
use nix::fcntl::OFlag;
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::{Mode, SFlag, mknod, umask};

use crate::cgroup::{Hold, make as make_directory};
use crate::error::{Context, Error, Result};
use crate::spec::Spec;

/// The device nodes of a sandbox. All are harmless and without state.
pub(crate) const NODES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];

/// The links beside them.
pub(crate) const LINKS: [(&str, &str); 4] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// Where a job's shared memory is mounted.
pub(crate) const SHM: &str = "shm";

/// Where all supervisors of a host have their nodes.
const PLACE: &str = "/dev/cloister";

/// How often the place is made again that another, who was the last to leave, has just removed.
const TRIES: u32 = 100;

/// The mode of a directory that all may look into.
const OPEN: u32 = 0o755;

/// Where in an owner's directory all sets are.
const SETS: &str = "slots";

/// As many sets of nodes as slots may be numbered, each a directory named after its slot. Their owner removes them when this is
/// dropped.
#[derive(Debug)]
pub struct Devices {
    directory: PathBuf,
    sets: u32,
    /// Of their owner. Let go of last, when nothing is left to be taken for another's.
    hold: Option<Hold>,
}

/// What jobs have for devices.
#[derive(Debug)]
pub enum Made {
    /// Nodes of their own.
    Own(Devices),
    /// The host's, which all share, because of this.
    Hosts(Error),
}

impl Devices {
    /// Makes so many sets under a control group's name, after removing what an earlier life left there. Nothing is
    /// touched of a life that goes on.
    ///
    /// # Errors
    /// When another process has the name, who is named.
    pub fn make(name: &str, sets: u32) -> Result<Made> {
        match Self::make_in(Path::new(PLACE), name, sets) {
            Ok(devices) => Ok(Made::Own(devices)),
            Err(error @ Error::Kernel { .. }) => Ok(Made::Hosts(error)),
            // No refusal of the kernel's: somebody has it.
            Err(taken) => Err(taken),
        }
    }

    fn make_in(place: &Path, name: &str, sets: u32) -> Result<Self> {
        let (hold, own) = (hold(place, name)?, place.join(name));
        // From here on, whatever fails, the directory goes again.
        let devices = Self { directory: own.join(SETS), sets, hold: Some(hold) };
        empty(&own)?;
        permit(place, 0o711)?;
        permit(&own, 0o710)?;
        make_directory(&devices.directory)?;
        permit(&devices.directory, OPEN)?;
        let nodes = host_nodes()?;
        make_sets(&devices.directory, sets, &nodes)?;
        // Where a mount or a control group forbids devices, they can be made and not used.
        let first = devices.directory.join("0").join(NODES[0]);
        fs::File::open(&first).doing(|| format!("open {}", first.display()))?;
        Ok(devices)
    }

    /// Those that another process has made and owns.
    #[must_use]
    pub fn of(directory: PathBuf, sets: u32) -> Self {
        Self { directory, sets, hold: None }
    }

    /// Lets another use them beside root.
    ///
    /// # Errors
    /// The call that failed.
    pub fn let_in(&self, other: Uid) -> Result<()> {
        let own = self.directory.parent().unwrap_or(&self.directory);
        chown(own, None, Some(other.0)).doing(|| format!("chown {}", own.display()))
    }

    /// What keeps others from taking their name, for as long as that is open.
    #[must_use]
    pub fn hold(&self) -> Option<BorrowedFd<'_>> {
        self.hold.as_ref().map(AsFd::as_fd)
    }

    /// Removes them.
    ///
    /// # Errors
    /// The call that failed.
    pub fn remove(&self) -> Result<()> {
        let Some(own) = self.directory.parent() else { return Ok(()) };
        empty(own)?;
        fs::remove_dir(own).doing(|| format!("rmdir {}", own.display()))?;
        // The last to leave; while others are there, this is refused.
        let _ = own.parent().map(fs::remove_dir);
        Ok(())
    }

    /// The directory of all sets.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// How many there are: for the slots of the numbers below.
    #[must_use]
    pub fn sets(&self) -> u32 {
        self.sets
    }
}

impl Drop for Devices {
    fn drop(&mut self) {
        if self.hold.is_some() {
            let _ = self.remove();
        }
    }
}

/// Opens the directory of all sets, which takes the id of who made them or serves the jobs, for who then copies its mount.
///
/// # Errors
/// The call that failed.
pub fn open(spec: &Spec) -> Result<Option<OwnedFd>> {
    let opened = |directory: &PathBuf| {
        nix::fcntl::open(directory, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
            .doing(|| format!("open {}", directory.display()))
    };
    spec.devices.as_ref().map(opened).transpose()
}

fn hold(place: &Path, name: &str) -> Result<Hold> {
    let mut held =
        Err(Error::layer(format_args!("take {name:?} in {}", place.display()), "it is removed all the time"));
    for _ in 0..TRIES {
        make_directory(place)?;
        held = Hold::take(&place.join(name));
        match &held {
            Err(Error::Kernel { errno, .. }) if errno.kind() == io::ErrorKind::NotFound => {}
            _ => break,
        }
    }
    held
}

/// The numbers of the host's devices, `makedev(3)`.
fn host_nodes() -> Result<Vec<(&'static str, u64)>> {
    let number = |name| {
        let path = Path::new("/dev").join(name);
        let metadata = fs::metadata(&path).doing(|| format!("stat {}", path.display()))?;
        Ok((name, metadata.rdev()))
    };
    NODES.into_iter().map(number).collect()
}

/// Makes all of them, a half each in two threads: with some hundred, that is a good part of a start. Both are gone when this returns.
fn make_sets(directory: &Path, sets: u32, nodes: &[(&str, u64)]) -> Result<()> {
    let make = |numbers: Range<u32>| {
        // The mask is this thread's alone: what it makes has the modes that are given.
        unshare(CloneFlags::CLONE_FS).doing(|| "unshare CLONE_FS")?;
        umask(Mode::empty());
        numbers.into_iter().try_for_each(|number| make_set(&directory.join(number.to_string()), nodes))
    };
    std::thread::scope(|scope| {
        let halves = [0..sets / 2, sets / 2..sets].map(|numbers| {
            Builder::new().spawn_scoped(scope, || make(numbers)).doing(|| "start a thread to make device nodes")
        });
        let made = halves.map(|half| half.and_then(|half| half.join().expect("making nodes does not panic")));
        made.into_iter().collect()
    })
}

fn make_set(set: &Path, nodes: &[(&str, u64)]) -> Result<()> {
    make_open(set)?;
    for (name, number) in nodes {
        let path = set.join(name);
        mknod(&path, SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), *number)
            .doing(|| format!("mknod {}", path.display()))?;
    }
    make_open(&set.join(SHM))?;
    for (name, target) in LINKS {
        let path = set.join(name);
        symlink(target, &path).doing(|| format!("symlink {}", path.display()))?;
    }
    Ok(())
}

fn make_open(directory: &Path) -> Result<()> {
    DirBuilder::new().mode(OPEN).create(directory).doing(|| format!("mkdir {}", directory.display()))
}

fn empty(directory: &Path) -> Result<()> {
    let doing = || format!("empty {}", directory.display());
    for entry in fs::read_dir(directory).doing(doing)? {
        fs::remove_dir_all(entry.doing(doing)?.path()).doing(doing)?;
    }
    Ok(())
}

fn permit(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode)).doing(|| format!("chmod {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{Devices, Made};

    /// Root's alone, as all of this is; without the power to make nodes it says so.
    #[test]
    fn each_set_is_of_its_own_and_all_are_gone_with_their_owner() {
        let place = std::env::temp_dir().join(format!("cloister-devices-{}", std::process::id()));
        let group = place.join("group");
        let sets = group.join("slots");
        fs::create_dir_all(group.join("7/left")).expect("writable");
        let made = Devices::make_in(&place, "group", 2);
        let Ok(devices) = made else {
            let error = made.expect_err("not made").to_string();
            assert!(error.contains("mknod") || error.contains("open"), "{error}");
            assert!(!place.exists(), "what was begun is gone");
            return;
        };
        assert_eq!(fs::read_dir(&sets).expect("made").count(), 2, "what an earlier life left is gone");
        let inode = |set: &str| std::os::unix::fs::MetadataExt::ino(&fs::metadata(sets.join(set)).expect("made"));
        assert_ne!(inode("0/null"), inode("1/null"));
        assert_eq!(devices.directory(), sets);
        assert!(!group.join("7").exists());
        let second = Devices::make_in(&place, "group", 1).expect_err("taken").to_string();
        assert!(second.contains("--cgroup"), "{second}");
        assert!(sets.join("1/urandom").exists(), "nothing of a living one's is touched");
        drop(devices);
        assert!(!place.exists());
    }

    #[test]
    fn where_no_place_can_be_made_jobs_have_the_hosts() {
        assert!(matches!(Devices::make_in(Path::new("/proc/cloister"), "group", 1), Err(crate::Error::Kernel { .. })));
        let _: fn(&str, u32) -> crate::Result<Made> = Devices::make;
    }
}
