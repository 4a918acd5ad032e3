//! The hierarchies of control groups that this process is shown, and where it is in each.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use crate::error::{Error, Result};

/// Which version of the interface is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// One hierarchy a controller.
    V1,
    /// The unified hierarchy.
    V2,
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        })
    }
}

/// A hierarchy, or a part of one, and where it is shown.
#[derive(Debug)]
pub(super) struct Mount {
    pub(super) version: Version,
    pub(super) point: PathBuf,
    /// The group that is shown there.
    root: PathBuf,
    controllers: Vec<String>,
}

impl Mount {
    pub(super) fn has(&self, controller: &str) -> bool {
        self.version == Version::V1 && self.controllers.iter().any(|name| name == controller)
    }

    /// Where a group is, that is named as `/proc/self/cgroup` does.
    ///
    /// # Errors
    /// When the mount shows another part of the hierarchy.
    pub(super) fn shows(&self, group: &Path) -> Result<PathBuf> {
        // Upwards leads a name of a group that is outside of this process's cgroup namespace.
        let upwards = group.components().any(|part| part == Component::ParentDir);
        match group.strip_prefix(&self.root) {
            Ok(below) if below.as_os_str().is_empty() => Ok(self.point.clone()),
            Ok(below) if !upwards => Ok(self.point.join(below)),
            _ => Err(Error::layer(
                format_args!("find this process's control group {}", group.display()),
                format_args!(
                    "{} shows the groups below {} and not that one: mount the hierarchy in the cgroup namespace of this process",
                    self.point.display(),
                    self.root.display()
                ),
            )),
        }
    }
}

/// The hierarchies that are shown, in their order.
pub(super) fn mounts(mountinfo: &str) -> Vec<Mount> {
    mountinfo.lines().filter_map(mount).collect()
}

/// One line: proc_pid_mountinfo(5).
fn mount(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let mut after = after.split(' ');
    let version = match after.next()? {
        "cgroup2" => Version::V2,
        "cgroup" => Version::V1,
        _ => return None,
    };
    let controllers = after.nth(1).unwrap_or_default().split(',').map(str::to_owned).collect();
    let mut fields = before.split(' ').skip(3);
    Some(Mount { version, root: decoded(fields.next()?), point: decoded(fields.next()?), controllers })
}

/// This process's group in the hierarchy of a controller, or in version 2 for the empty name: proc_pid_cgroup(5).
pub(super) fn own_group(listed: &str, controller: &str) -> Option<PathBuf> {
    listed.lines().find_map(|line| {
        let (controllers, group) = line.split_once(':')?.1.split_once(':')?;
        controllers.split(',').any(|name| name == controller).then(|| group.into())
    })
}

/// A path as it is: blanks, tabs, line ends and backslashes stand there as three octal digits. proc_pid_mountinfo(5).
pub(super) fn decoded(field: &str) -> PathBuf {
    let mut parts = field.split('\\');
    let mut path = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                path.push(byte);
                path.extend(&part.as_bytes()[3..]);
            }
            None => path.extend([b"\\", part.as_bytes()].concat()),
        }
    }
    PathBuf::from(OsString::from_vec(path))
}
