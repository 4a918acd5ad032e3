//! The part of the version 2 hierarchy that this process has for itself: "Delegation of a hierarchy" in `cgroups(7)`. A
//! service manager gives a unit its own group; in a container it is the container's.
//!
//! Outside of such a group nothing may be made, and in it no process may stay beside the groups
//! below ("no internal processes"), so the supervisor moves into a leaf.

use std::fs;
use std::path::{Path, PathBuf};

use super::group::{attach, make};
use super::mounts::{Mount, own_group};
use crate::error::{Context, Error, Result};

/// Where this process, and what else was started in the delegated group, moves to. A dot begins no
/// name that can be asked for on the command line.
const LEAF: &str = ".supervisor";

/// The host's own PID namespace, by its number: `PROC_PID_INIT_INO` in the kernel's `include/uapi/linux/nsfs.h`.
const HOSTS_PIDS: &str = "pid:[4026531836]";

/// By this extended attribute systemd marks what it has delegated, since version 251:
/// "Control Group APIs and Delegation" in its documentation.
const MARK: &str = "user.delegate";

/// The group that this process has for itself, as a directory below the mount point; nothing for one that is in the root of
/// the whole hierarchy.
///
/// A manager may have marked it. Without a mark, as some container runtimes leave it, it is this process's if nobody
/// else is in it: on a host itself nobody at all, in a container nobody from outside of it.
///
/// # Errors
/// When others are in the group too, or it is not shown.
pub fn find(mount: &Mount, listed: &str) -> Result<Option<PathBuf>> {
    let Some(own) = own_group(listed, "") else { return Ok(None) };
    let group = mount.shows(before_the_move(&own))?;
    if group == mount.point {
        // Only the real root has no type, and in that no process is in the way.
        return Ok(group.join("cgroup.type").exists().then_some(group));
    }
    if is_marked(&group) || are_own(&listed_in(&group)?) { Ok(Some(group)) } else { Err(Error::SharedGroup(own)) }
}

/// Whether the processes of a group, as they are listed, are this one and those of its container: what is outside of the
/// PID namespace is listed as 0, and on a host itself nothing tells one container from another.
fn are_own(listed: &str) -> bool {
    let contained = fs::read_link("/proc/self/ns/pid").is_ok_and(|namespace| namespace.as_os_str() != HOSTS_PIDS);
    let is_own = |pid: u32| pid == std::process::id() || contained && pid != 0;
    listed.lines().all(|pid| pid.parse().is_ok_and(is_own))
}

fn listed_in(group: &Path) -> Result<String> {
    let procs = group.join("cgroup.procs");
    fs::read_to_string(&procs).doing(|| format!("read {}", procs.display()))
}

/// Where this process is in a delegated group, once [`settle`] has moved it.
#[must_use]
pub fn leaf(group: &Path) -> PathBuf {
    group.join(LEAF)
}

/// The memory that there is for a group, by its own limit and those of the groups above it that are shown.
#[must_use]
pub fn memory(group: &Path) -> Option<u64> {
    let limits = group.ancestors().map_while(|group| fs::read_to_string(group.join("memory.max")).ok());
    limits.filter_map(|limit| limit.trim().parse().ok()).min()
}

/// Moves every process of the group into its leaf, this one among them.
///
/// # Errors
/// The step that failed.
pub fn settle(group: &Path) -> Result<()> {
    let leaf = leaf(group);
    make(&leaf)?;
    // What an earlier life was bounded by is not this one's; there may be no such file yet.
    let _ = fs::write(leaf.join("memory.max"), "max");
    for pid in listed_in(group)?.lines().filter_map(|line| line.parse::<u32>().ok()) {
        // One that has ended meanwhile is in nobody's way; one that stays is found when controllers are enabled.
        match attach(&leaf, pid) {
            Err(error) if pid == std::process::id() => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// The same group for a process that has moved into the leaf already.
fn before_the_move(own: &Path) -> &Path {
    if own.ends_with(LEAF) { own.parent().unwrap_or(own) } else { own }
}

fn is_marked(group: &Path) -> bool {
    let mut value = [0; 8];
    rustix::fs::getxattr(group, MARK, &mut value).is_ok_and(|length| value[..length] == *b"1")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::before_the_move;

    #[test]
    fn the_own_group_is_the_same_before_and_after_the_move_into_the_leaf() {
        let service = Path::new("/system.slice/cloister-supervisor.service");
        assert_eq!(before_the_move(service), service);
        assert_eq!(before_the_move(&service.join(".supervisor")), service);
        assert_eq!(before_the_move(Path::new("/")), Path::new("/"));
        assert_eq!(before_the_move(Path::new("/.supervisor")), Path::new("/"));
    }
}
