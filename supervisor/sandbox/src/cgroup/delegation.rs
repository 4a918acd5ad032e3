//! The part of the version 2 hierarchy that was given to this process to rule: "Delegation of a
//! hierarchy" in `cgroups(7)`. A service manager gives a unit its own group; in a container the group
//! that is the root of its namespace is all there is.
//!
//! Outside of such a group nothing may be made, and in it no process may stay beside the groups
//! below ("no internal processes"), so the supervisor moves into a leaf.

use std::fs;
use std::path::{Path, PathBuf};

use super::group::{attach, make};
use crate::error::{Context, Result};

/// Where this process, and what else was started in the delegated group, moves to. A dot begins no
/// name that can be asked for on the command line.
const LEAF: &str = ".supervisor";

/// By this extended attribute systemd marks what it has delegated, since version 251:
/// "Control Group APIs and Delegation" in its documentation.
const MARK: &str = "user.delegate";

/// The delegated group that this process is in, as a directory below the mount point.
///
/// # Errors
/// When `/proc/self/cgroup` cannot be read.
pub fn find(mount: &Path) -> Result<Option<PathBuf>> {
    let listed = fs::read_to_string("/proc/self/cgroup").doing(|| "read /proc/self/cgroup")?;
    let Some(own) = own_group(&listed) else { return Ok(None) };
    if own.as_os_str().is_empty() {
        // Only the real root has no type, and in that no process is in the way.
        return Ok(mount.join("cgroup.type").exists().then(|| mount.to_owned()));
    }
    let group = mount.join(own);
    Ok(is_marked(&group).then_some(group))
}

/// Where this process is in a delegated group, once [`settle`] has moved it.
#[must_use]
pub fn leaf(group: &Path) -> PathBuf {
    group.join(LEAF)
}

/// Moves every process of the group into its leaf, this one among them.
///
/// # Errors
/// The step that failed.
pub fn settle(group: &Path) -> Result<()> {
    let leaf = leaf(group);
    make(&leaf)?;
    let procs = group.join("cgroup.procs");
    let listed = fs::read_to_string(&procs).doing(|| format!("read {}", procs.display()))?;
    for pid in listed.lines().filter_map(|line| line.parse::<u32>().ok()) {
        // One that has ended meanwhile is in nobody's way; one that stays is found when controllers are enabled.
        match attach(&leaf, pid) {
            Err(error) if pid == std::process::id() => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// This process's group relative to the root, or the one above if it has moved into the leaf already.
fn own_group(listed: &str) -> Option<&Path> {
    let own = Path::new(listed.lines().find_map(|line| line.strip_prefix("0::/"))?);
    Some(if own.ends_with(LEAF) { own.parent().unwrap_or(own) } else { own })
}

fn is_marked(group: &Path) -> bool {
    let mut value = [0; 8];
    rustix::fs::getxattr(group, MARK, &mut value).is_ok_and(|length| value[..length] == *b"1")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::own_group;

    #[test]
    fn the_own_group_is_the_same_before_and_after_the_move_into_the_leaf() {
        let service = Path::new("system.slice/cloister-supervisor.service");
        for line in
            ["0::/system.slice/cloister-supervisor.service", "0::/system.slice/cloister-supervisor.service/.supervisor"]
        {
            assert_eq!(own_group(&format!("1:cpu:/elsewhere\n{line}\n")), Some(service));
        }
        assert_eq!(own_group("0::/\n"), Some(Path::new("")));
        assert_eq!(own_group("0::/.supervisor\n"), Some(Path::new("")));
        assert_eq!(own_group("4:memory:/docker\n"), None);
    }
}
