//! The new mount API (`fsopen(2)`, `open_tree(2)`, `move_mount(2)`, `mount_setattr(2)`): a mount is
//! made complete while it is detached, and only then put where it can be seen.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::CWD;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree, unmount,
};

use crate::error::{Context, Result};
use crate::sys;

/// Read-only.
pub const RDONLY: u64 = libc::MOUNT_ATTR_RDONLY;
/// No set-user-ID programs.
pub const NOSUID: u64 = libc::MOUNT_ATTR_NOSUID;
/// No device nodes.
pub const NODEV: u64 = libc::MOUNT_ATTR_NODEV;
/// No programs.
pub const NOEXEC: u64 = libc::MOUNT_ATTR_NOEXEC;

/// A detached file system with these options, `("size", "64k")` or `("flag", "")`, and attributes.
///
/// # Errors
/// The option or call that the kernel refused.
pub fn new(kind: &str, options: &[(&str, String)], attributes: u64) -> Result<OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).doing(|| format!("fsopen {kind}"))?;
    for (key, value) in options {
        let set = if value.is_empty() {
            fsconfig_set_flag(&context, *key)
        } else {
            fsconfig_set_string(&context, *key, value)
        };
        set.doing(|| format!("fsconfig {kind} {key}={value}"))?;
    }
    fsconfig_create(&context).doing(|| format!("mount {kind}"))?;
    let attributes = MountAttrFlags::from_bits_retain(u32::try_from(attributes).expect("attribute bits are 32 wide"));
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes).doing(|| format!("fsmount {kind}"))
}

/// A detached copy of what is mounted at and below `path`.
///
/// # Errors
/// The call that failed.
pub fn copy(path: &Path) -> Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    open_tree(CWD, path, flags).doing(|| format!("open_tree {}", path.display()))
}

/// The same of what was opened.
///
/// # Errors
/// The call that failed.
pub fn copy_opened(directory: impl AsFd) -> Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE
        | OpenTreeFlags::AT_EMPTY_PATH;
    open_tree(directory, "", flags).doing(|| "open_tree an open directory")
}

/// A detached copy of the mount of a directory, without what is mounted in it.
///
/// # Errors
/// The call that failed.
pub fn copy_alone(directory: &Path) -> Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    open_tree(CWD, directory, flags).doing(|| format!("open_tree {}", directory.display()))
}

/// A detached mount of one file, which must be one and no link to another.
///
/// # Errors
/// The call that failed.
pub fn copy_file(file: &Path) -> Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
    open_tree(CWD, file, flags).doing(|| format!("open_tree {}", file.display()))
}

/// Adds attributes to a mount and to all below it.
///
/// # Errors
/// The call that failed.
pub fn restrict(mount: impl AsFd, attributes: u64) -> Result<()> {
    sys::mount_setattr(mount, attributes, 0, true).doing(|| "mount_setattr")
}

/// Adds attributes to a mount and to none below it.
///
/// # Errors
/// The call that failed.
pub fn restrict_alone(mount: impl AsFd, attributes: u64) -> Result<()> {
    sys::mount_setattr(mount, attributes, 0, false).doing(|| "mount_setattr")
}

/// Cuts this mount namespace off from every other: nothing mounted there is seen here, nor the
/// other way round.
///
/// # Errors
/// The call that failed.
pub fn make_all_private() -> Result<()> {
    let root = open_tree(CWD, "/", OpenTreeFlags::OPEN_TREE_CLOEXEC).doing(|| "open_tree /")?;
    sys::mount_setattr(root, 0, libc::MS_PRIVATE, true).doing(|| "mount_setattr MS_PRIVATE on /")
}

/// Puts a detached mount at `path`.
///
/// # Errors
/// The call that failed.
pub fn attach(mount: impl AsFd, path: &Path) -> Result<()> {
    move_mount(mount, "", CWD, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .doing(|| format!("move_mount to {}", path.display()))
}

/// Takes what is mounted at `path` away from there; copies of it stay.
///
/// # Errors
/// The call that failed.
pub fn detach(path: &Path) -> Result<()> {
    unmount(path, UnmountFlags::DETACH).doing(|| format!("umount {}", path.display()))
}

/// Makes the mount at `path` the root and takes the old root out of sight for good: `pivot_root(2)`,
/// with the old root stacked on the new one and detached from there.
///
/// # Errors
/// The call that failed.
pub fn pivot_into(path: &Path) -> Result<()> {
    nix::unistd::chdir(path).doing(|| format!("chdir {}", path.display()))?;
    rustix::process::pivot_root(".", ".").doing(|| format!("pivot_root {}", path.display()))?;
    unmount(".", UnmountFlags::DETACH).doing(|| "umount the old root")?;
    nix::unistd::chdir("/").doing(|| "chdir /")
}
