//! The directory in which the gateway keeps what is to outlast it. It is for one gateway, and nobody else writes there.
//!
//! Everything in it is opened by the directory's descriptor: whatever its path leads to later, this is what was looked at.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use cloister_keys::{USED, UsedError, UsedFile};
use nix::fcntl::{OFlag, open, openat, renameat};
use nix::sys::stat::Mode;
use nix::unistd::geteuid;

/// What keeps a second gateway out, and says who the first is.
const LOCK: &str = "lock";

/// For its owner alone.
const MODE: Mode = Mode::from_bits_truncate(0o600);

/// Why there is no such directory.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It is not there, or is a link to one.
    #[error(
        "open the state directory {path}: {1}: it has to be a directory itself, no symbolic link, and belong to the gateway's \
         account: install -d -m 700 -o cloister-gateway {path}",
        path = .0.display()
    )]
    Open(PathBuf, io::Error),
    /// Somebody else owns it.
    #[error("the state directory {path} belongs to uid {1}, the gateway runs as {2}: chown {2} {path}", path = .0.display())]
    Owner(PathBuf, u32, u32),
    /// Others could write what they like into it.
    #[error("the state directory {path} may be written by others than its owner (mode {1:04o}): chmod go-w {path}", path = .0.display())]
    Writable(PathBuf, u32),
    /// Another gateway has it.
    #[error("the state directory {path} is in use by another gateway ({1}): give this one a directory of its own with --state", path = .0.display())]
    Taken(PathBuf, String),
    /// A file in it cannot be used.
    #[error("use {path}: {1}", path = .0.display())]
    File(PathBuf, io::Error),
    /// What was used is not known.
    #[error(transparent)]
    Used(#[from] UsedError),
}

/// The directory, held by this process until its end.
#[derive(Debug)]
pub struct StateDirectory {
    path: PathBuf,
    directory: OwnedFd,
    _lock: File,
}

impl StateDirectory {
    /// Takes it; `who` is what a second gateway is told of this one.
    ///
    /// # Errors
    /// It is not there, not this account's alone, or another gateway's.
    pub fn take(path: &Path, who: &str) -> Result<Self, StateError> {
        let failed = |error: nix::Error| StateError::Open(path.to_owned(), error.into());
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let directory = File::from(open(path, OFlag::O_RDONLY | flags, Mode::empty()).map_err(failed)?);
        let found = directory.metadata().map_err(|error| StateError::Open(path.to_owned(), error))?;
        let (owner, own, mode) = (found.uid(), geteuid().as_raw(), found.mode() & 0o7777);
        if owner != own {
            return Err(StateError::Owner(path.to_owned(), owner, own));
        }
        if mode & 0o022 != 0 {
            return Err(StateError::Writable(path.to_owned(), mode));
        }
        let directory = OwnedFd::from(directory);
        let lock = lock(path, &directory, who)?;
        Ok(Self { path: path.to_owned(), directory, _lock: lock })
    }

    /// What keys had used when this was last kept; `None` if it never was.
    ///
    /// # Errors
    /// It is damaged, or cannot be read.
    pub fn used(&self) -> Result<Option<UsedFile>, StateError> {
        let path = self.path.join(USED);
        match open_in(&self.directory, USED, OFlag::O_RDONLY) {
            Ok(file) => Ok(Some(UsedFile::read(file, &path)?)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StateError::File(path, error)),
        }
    }

    /// Keeps what keys have used: who reads the file then, or after a failure of the machine, finds this or what was there
    /// before.
    ///
    /// # Errors
    /// It could not be written; what was there before is there.
    pub fn keep(&self, used: &UsedFile) -> io::Result<()> {
        let new = format!("{USED}.new");
        let mut file = open_in(&self.directory, &new, OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC)?;
        file.write_all(&used.to_json())?;
        file.sync_all()?;
        renameat(&self.directory, new.as_str(), &self.directory, USED)?;
        Ok(nix::unistd::fsync(&self.directory)?)
    }

    /// Opens a file to read and write, and makes it if it is not there.
    ///
    /// # Errors
    /// It cannot be.
    pub fn open(&self, name: &str) -> Result<File, StateError> {
        open_in(&self.directory, name, OFlag::O_RDWR | OFlag::O_CREAT)
            .map_err(|error| StateError::File(self.path.join(name), error))
    }

    /// Its path, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// flock(2); released when the process ends.
fn lock(path: &Path, directory: &OwnedFd, who: &str) -> Result<File, StateError> {
    let failed = |error| StateError::File(path.join(LOCK), error);
    let mut lock = open_in(directory, LOCK, OFlag::O_RDWR | OFlag::O_CREAT).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = lock.take(200).read_to_string(&mut holder);
            return Err(StateError::Taken(path.to_owned(), holder.trim().to_owned()));
        }
        Err(std::fs::TryLockError::Error(error)) => return Err(failed(error)),
    }
    let say = |lock: &mut File| {
        lock.set_len(0)?;
        lock.rewind()?;
        writeln!(lock, "{who}")
    };
    say(&mut lock).map_err(failed)?;
    Ok(lock)
}

fn open_in(directory: &OwnedFd, name: &str, flags: OFlag) -> io::Result<File> {
    // A pipe in its place is no file, and does not keep whoever opens it waiting.
    let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    let file = File::from(openat(directory, name, flags, MODE)?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no file")) }
}
