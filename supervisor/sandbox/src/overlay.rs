//! What a job sees of the host as files of its cell's own: an overlay file system over each tree, made anew for each
//! cell and read-only, with nothing but the tree below it.
//!
//! A bind mount would show the host's inodes, and what hangs on an inode is everybody's: record locks and `flock`,
//! which then bind the host and other jobs, sockets that can be connected to, pipes that can be drained. Those of an
//! overlay are nobody else's, and its options name no path of the host. Content is shared as before, for a mapping is
//! of the file below. The kernel's `filesystems/overlayfs`.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::{fs, io};

use cloister_terms::Mount;
use nix::unistd::chdir;
use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

use crate::error::{Context, Error, Result};
use crate::mount::{self, NODEV, NOSUID, RDONLY};
use crate::spec::Spec;

/// Where the launcher's root has what only overlays are made from; no job sees it.
pub(crate) const LOWER: &str = "/lower";

/// The upper of two layers, as no overlay has one alone. What is asked of the file system itself, `statfs(2)`, is
/// asked of this one, and not of the host's disk.
pub(crate) const EMPTY: &str = "/lower/empty";

/// A copy of an interpreter that can be run and not read.
const PROGRAM: &str = "/lower/program/interpreter";

/// Opens the profile's interpreter as the host has it, if that is for others to run and not to read, so that no
/// process that runs it can be looked into: `execve(2)`, `PR_SET_DUMPABLE`.
#[must_use]
pub fn open_interpreter(interpreter: &Path, mounts: &[Mount]) -> Option<fs::File> {
    let mut path = interpreter.to_owned();
    // The links lead from place to place as a job sees them.
    for _ in 0..8 {
        let shown = |mount: &&Mount| path.starts_with(&mount.inside);
        let mount = mounts.iter().filter(shown).max_by_key(|mount| mount.inside.as_os_str().len())?;
        let host = mount.host.join(path.strip_prefix(&mount.inside).ok()?);
        match fs::read_link(&host) {
            Ok(target) => path = path.parent()?.join(target),
            Err(_) => {
                let file = fs::File::open(host).ok()?;
                let readable = file.metadata().ok()?.mode() & 0o004 != 0;
                return (!readable).then_some(file);
            }
        }
    }
    None
}

/// Puts a copy of the interpreter into the root that is being made at `stage`.
///
/// # Errors
/// The step that failed.
pub(crate) fn keep_interpreter(stage: &Path, interpreter: &mut fs::File) -> Result<()> {
    let doing = || "copy the interpreter";
    let size = interpreter.metadata().doing(doing)?.len() + (64 << 10);
    let options = [("size", size.to_string()), ("nr_inodes", "4".to_owned()), ("mode", "0755".to_owned())];
    let place = mount::new("tmpfs", &options, NOSUID | NODEV)?;
    let path = stage.join(&PROGRAM[1..]);
    let directory = path.parent().unwrap_or(stage);
    fs::create_dir_all(directory).doing(doing)?;
    mount::attach(&place, directory)?;
    let mut copy = fs::File::options().write(true).create_new(true).mode(0o711).open(path).doing(doing)?;
    io::copy(interpreter, &mut copy).doing(doing)?;
    drop(copy);
    mount::restrict_alone(place, RDONLY)
}

/// What an overlay is made over.
#[derive(Debug)]
pub struct Tree {
    /// Where a job sees it.
    inside: PathBuf,
    /// Where it lies in the launcher's root.
    lower: PathBuf,
    shown: Shown,
}

#[derive(Debug)]
enum Shown {
    /// The directory.
    Directory,
    /// This file of the directory.
    File(OsString),
    /// The file itself, without an overlay: one that can be run and not read. An overlay would have to read it; and who
    /// cannot open a file can neither lock it nor flush it.
    Program,
}

/// The directory that a file of the host lies in, and its name there.
///
/// # Errors
/// When the file has no directory to be seen in, being a mount itself.
pub(crate) fn parent_of(file: &Path) -> Result<(PathBuf, OsString)> {
    let real = fs::canonicalize(file).doing(|| format!("look up {}", file.display()))?;
    let (Some(parent), Some(name)) = (real.parent(), real.file_name()) else {
        return Err(not_by_itself(file));
    };
    if mount_of(&real)? != mount_of(parent)? {
        return Err(not_by_itself(file));
    }
    Ok((parent.to_owned(), name.to_owned()))
}

/// All that an overlay is needed for, parents first: the trees that the profile shows. Called in the launcher's root,
/// whose `files` were put aside in the given directories.
///
/// # Errors
/// What cannot be found out, or cannot be shown.
pub(crate) fn trees(spec: &Spec, files: Vec<(PathBuf, PathBuf, OsString)>) -> Result<Vec<Tree>> {
    let mut trees: Vec<Tree> =
        files.into_iter().map(|(inside, lower, name)| Tree { inside, lower, shown: Shown::File(name) }).collect();
    for point in mounts()? {
        let shown = spec.mounts.iter().any(|mount| point.starts_with(&mount.inside));
        if !shown || trees.iter().any(|tree| tree.inside == point) {
            continue;
        }
        if !spec.mounts.iter().any(|mount| mount.inside == point) {
            return Err(hides(&point, &point));
        }
        trees.push(Tree { lower: point.clone(), inside: point, shown: Shown::Directory });
    }
    let interpreter = spec.command.first().and_then(|path| fs::canonicalize(path).ok());
    if let Some(inside) = interpreter.filter(|path| fs::File::open(path).is_err()) {
        let copy = PathBuf::from(PROGRAM);
        // Where nobody could copy it, the file itself; its mount names its place on the host.
        let lower = if copy.exists() { copy } else { inside.clone() };
        trees.push(Tree { inside, lower, shown: Shown::Program });
    }
    trees.sort_by(|one, other| one.inside.cmp(&other.inside));
    Ok(trees)
}

impl Tree {
    /// Where a job sees it.
    pub(crate) fn inside(&self) -> &Path {
        &self.inside
    }

    /// Whether it is a directory.
    pub(crate) fn is_directory(&self) -> bool {
        matches!(self.shown, Shown::Directory)
    }

    /// Whether its mount is put nowhere before it is where a job sees it.
    pub(crate) fn is_made_detached(&self) -> bool {
        !matches!(self.shown, Shown::File(_))
    }

    /// An overlay of its own for the calling cell, detached. Changes the working directory.
    ///
    /// # Errors
    /// The call that failed.
    pub(crate) fn mount(&self) -> Result<OwnedFd> {
        self.mount_unnamed().map_err(|error| match error {
            Error::Kernel { doing, errno } => {
                Error::Kernel { doing: format!("show {} by an overlay: {doing}", self.inside.display()), errno }
            }
            other => other,
        })
    }

    fn mount_unnamed(&self) -> Result<OwnedFd> {
        if matches!(self.shown, Shown::Program) {
            return mount::copy(&self.lower);
        }
        // By the working directory, for an option is short, takes no colon, and is shown to the job.
        chdir(&self.lower).doing(|| format!("chdir {}", self.lower.display()))?;
        let options = [("lowerdir", format!("{EMPTY}:.")), ("redirect_dir", "nofollow".to_owned())];
        let overlay = mount::new("overlay", &options, RDONLY | NOSUID | NODEV)?;
        let Shown::File(name) = &self.shown else { return Ok(overlay) };
        // Only a mount that is in place can be taken a part of: open_tree(2). The place goes with the old root.
        mount::attach(overlay, &self.lower)?;
        mount::copy_file(&self.lower.join(name))
    }
}

fn not_by_itself(file: &Path) -> Error {
    let reason = "it is a mount by itself, and no overlay can be made over a single file: show a directory with it";
    Error::layer(format_args!("show {}", file.display()), reason)
}

/// Over what another mount of the host hides, nobody but the host's root can make an overlay: `clone_private_mount` in
/// the kernel's `fs/namespace.c`.
pub(crate) fn hides(shown: &Path, place: &Path) -> Error {
    let reason = format!("something else is mounted in {}: show directories in which nothing is", place.display());
    Error::layer(format_args!("show {} by an overlay", shown.display()), reason)
}

/// The number of the mount that a path leads to, as in `/proc/self/mountinfo`.
fn mount_of(path: &Path) -> Result<u64> {
    let known = statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::MNT_ID);
    known.map(|known| known.stx_mnt_id).doing(|| format!("statx {}", path.display()))
}

/// The place of every mount, `proc_pid_mountinfo(5)`.
fn mounts() -> Result<Vec<PathBuf>> {
    let path = "/proc/self/mountinfo";
    let text = fs::read(path).doing(|| format!("read {path}"))?;
    let point = |line: &[u8]| line.split(|&byte| byte == b' ').nth(4).map(unescaped);
    Ok(text.split(|&byte| byte == b'\n').filter_map(point).collect())
}

/// A path of `mountinfo`, in which blanks and backslashes are written in octal.
fn unescaped(text: &[u8]) -> PathBuf {
    let mut path = Vec::new();
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let octal = (byte == b'\\')
            .then(|| after.get(..3))
            .flatten()
            .and_then(|digits| u8::from_str_radix(OsStr::from_bytes(digits).to_str()?, 8).ok());
        path.push(octal.unwrap_or(byte));
        rest = if octal.is_some() { &after[3..] } else { after };
    }
    PathBuf::from(OsString::from_vec(path))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::unescaped;

    #[test]
    fn paths_of_the_kernels_list_are_read_as_they_are() {
        for (written, path) in [("/a", "/a"), (r"/a\040b\134", r"/a b\"), (r"/\0", r"/\0"), (r"/\999", r"/\999")] {
            assert_eq!(unescaped(written.as_bytes()), Path::new(path), "{written}");
        }
    }
}
