//! What a job left is looked at by this alone: nothing is followed, and nobody is waited for.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Dir, Mode, OFlags, ResolveFlags, Stat, fstat, openat2};
use rustix::path::Arg;

/// The names in a directory, without those of itself and of the one above.
pub fn entries(directory: &mut Dir) -> impl Iterator<Item = CString> {
    let names = directory.map_while(Result::ok).map(|entry| entry.file_name().to_owned());
    names.filter(|name| !matches!(name.to_bytes(), b"." | b".."))
}

/// So many names of a directory, sorted, and whether that is all of them.
pub fn sorted(directory: &mut Dir, most: usize) -> (Vec<CString>, bool) {
    let mut names: Vec<_> = entries(directory).take(most + 1).collect();
    let all = names.len() <= most;
    names.truncate(most);
    names.sort_unstable();
    (names, all)
}

/// Opens a directory below another.
///
/// # Errors
/// What the kernel said: there is none, or the way to it leads elsewhere.
pub fn open_directory(at: impl AsFd, path: impl Arg) -> io::Result<Dir> {
    Ok(Dir::new(open(at, path, OFlags::RDONLY | OFlags::DIRECTORY)?)?)
}

/// Opens for reading what is below a directory.
///
/// # Errors
/// What the kernel said.
pub fn open_file(at: impl AsFd, path: impl Arg) -> io::Result<OwnedFd> {
    open(at, path, OFlags::RDONLY)
}

/// What is below a directory, without a look into it.
///
/// # Errors
/// What the kernel said.
pub fn stat_below(at: impl AsFd, path: impl Arg) -> io::Result<Stat> {
    Ok(fstat(open(at, path, OFlags::PATH)?)?)
}

/// Opens what is below a directory, on its file system, without passing a link or waiting for anyone.
fn open(at: impl AsFd, path: impl Arg, flags: OFlags) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // With a path alone nothing is opened that could be waited for, and openat2(2) knows no flag for that.
    let flags = if flags.contains(OFlags::PATH) { flags } else { flags | OFlags::NONBLOCK | OFlags::NOCTTY };
    let resolve =
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    Ok(openat2(at, path, flags, Mode::empty(), resolve)?)
}

/// The size that a file says it has.
#[must_use]
pub fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}
