//! Opening the policy: a file that others than root and the one that reads it can neither change nor put another in the
//! place of.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

/// Why a policy is not gone by.
#[derive(Debug)]
pub enum Untrusted {
    /// It cannot be opened.
    Open(PathBuf, io::Error),
    /// Others than its owner and root could have written it.
    Writable(PathBuf, u32),
    /// It belongs to another account than root and the one that reads it.
    Owner(PathBuf, u32),
    /// Others than root and the one that reads it could put another in its place, for they may write to this directory.
    Directory(PathBuf, PathBuf),
}

/// Opens a policy, once: what is looked at is what is read.
///
/// # Errors
/// [`Untrusted`], displayed as a sentence for a person.
pub fn open_policy(path: &Path) -> Result<File, Untrusted> {
    let failed = |error| Untrusted::Open(path.to_owned(), error);
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let mode = metadata.mode() & 0o7777;
    if metadata.is_file() && mode & 0o022 != 0 {
        return Err(Untrusted::Writable(path.to_owned(), mode));
    }
    if !is_trusted(metadata.uid()) {
        return Err(Untrusted::Owner(path.to_owned(), metadata.uid()));
    }
    if metadata.is_file()
        && let Some(open) = changeable_above(path).map_err(failed)?
    {
        return Err(Untrusted::Directory(path.to_owned(), open));
    }
    Ok(file)
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(path, error) => {
                write!(f, "read the policy {}: {error}: give another with --policy", path.display())
            }
            Self::Writable(path, mode) => write!(
                f,
                "the policy {0} may be written by others than its owner (mode {mode:04o}): chmod go-w {0}",
                path.display()
            ),
            Self::Owner(path, uid) => write!(
                f,
                "the policy {0} belongs to uid {uid}, who could change it at any time: chown root {0}",
                path.display()
            ),
            Self::Directory(path, directory) => write!(
                f,
                "the policy {} lies in {1}, where others could put another in its place: chown root {1}; chmod go-w {1}",
                path.display(),
                directory.display()
            ),
        }
    }
}

impl std::error::Error for Untrusted {}

/// Root, and the account that reads.
fn is_trusted(uid: u32) -> bool {
    uid == 0 || Some(uid) == own_uid()
}

/// The directory above a file in which others could put another in its place: above it as it was named, and as it is
/// where links have led; `None`, if there is none. In a sticky directory they cannot, for what lies in it is not theirs: `inode(7)`; nor in one that
/// is mounted read-only, as container engines mount configuration, whatever its mode.
///
/// # Errors
/// When it or a directory above it is not there.
pub fn changeable_above(path: &Path) -> io::Result<Option<PathBuf>> {
    let (named, real) = (std::path::absolute(path)?, fs::canonicalize(path)?);
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    for directory in named.ancestors().skip(1).chain(real.ancestors().skip(1)) {
        let metadata = fs::metadata(directory)?;
        let (mode, sticky) = (metadata.mode(), metadata.mode() & 0o1000 != 0);
        let open = !is_trusted(metadata.uid()) || (mode & 0o022 != 0 && !sticky);
        if open && !is_read_only(&fs::canonicalize(directory)?, &mounts) {
            return Ok(Some(directory.to_owned()));
        }
    }
    Ok(None)
}

/// Whether what a directory lies on is mounted read-only: proc_pid_mountinfo(5).
fn is_read_only(directory: &Path, mountinfo: &str) -> bool {
    // As the kernel writes odd characters there.
    let directory = directory.to_string_lossy().replace('\\', "\\134").replace(' ', "\\040");
    let directory = PathBuf::from(directory.replace('\t', "\\011").replace('\n', "\\012"));
    let mounts = mountinfo.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(4);
        Some((Path::new(fields.next()?), fields.next()?))
    });
    // Of those at one place the last is on top.
    let holding = mounts.filter(|(point, _)| directory.starts_with(point));
    let on_top = holding.max_by_key(|(point, _)| point.components().count());
    on_top.is_some_and(|(_, options)| options.split(',').any(|option| option == "ro"))
}

/// The id that this process runs as.
fn own_uid() -> Option<u32> {
    fs::metadata("/proc/self").ok().map(|metadata| metadata.uid())
}

#[cfg(test)]
mod tests {
    use super::is_read_only;

    #[test]
    fn the_mount_on_top_of_a_directory_decides_whether_it_can_be_written() {
        let mounts = "1 0 8:1 / / rw,relatime - ext4 /dev/vda rw\n2 1 8:1 /x /etc/policy ro,relatime - ext4 /dev/vda rw\n\
                      3 1 0:9 / /with\\040blank rw - tmpfs tmpfs rw\n4 1 0:9 / /with\\040blank ro - tmpfs tmpfs rw\n";
        for (directory, read_only) in [
            ("/", false),
            ("/etc", false),
            ("/etc/policy/..data", true),
            ("/etc/policies", false),
            ("/with blank/x", true),
        ] {
            assert_eq!(is_read_only(directory.as_ref(), mounts), read_only, "{directory}");
        }
        assert!(!is_read_only("/etc/policy".as_ref(), ""));
    }
}
