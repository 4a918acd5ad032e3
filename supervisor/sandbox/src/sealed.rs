//! What the interpreters of cold jobs load when they start, before anything of a stranger's is in them.
//!
//! It lies in memory, sealed: a job has it under no name of the host's, and no inode of the host's hangs on it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

use crate::error::{Context, Result};
use crate::sys;

/// The number at which an interpreter finds its library, and closes it when it has loaded it: the first behind a job's own.
pub const LIBRARY: RawFd = 5;

/// The number at which it finds the code of its program, and closes it when it has read it.
pub const CODE: RawFd = 6;

/// A launcher keeps both out of the way of the numbers that it places things at, and below 64, where tables of descriptors grow.
const FROM: RawFd = 48;

/// Bytes that nobody can change any more.
#[derive(Debug)]
pub struct Sealed(OwnedFd);

/// Bytes that are still written.
#[derive(Debug)]
pub struct Unsealed(File);

impl Unsealed {
    /// Without any yet.
    ///
    /// # Errors
    /// The call that failed.
    pub fn new() -> Result<Self> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        // Not to be run as a program, which Linux knows since 6.3 and some hosts insist on: sysctl vm.memfd_noexec.
        let made = memfd_create(c"cloister", flags | MemfdFlags::NOEXEC_SEAL);
        made.or_else(|_| memfd_create(c"cloister", flags)).doing(|| "memfd_create").map(|made| Self(File::from(made)))
    }

    /// Has them stay as they are. Whoever else could write them is gone.
    ///
    /// # Errors
    /// The call that failed.
    pub fn seal(self) -> Result<Sealed> {
        fcntl_add_seals(&self.0, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)
            .doing(|| "seal what interpreters load")?;
        rustix::io::fcntl_dupfd_cloexec(&self.0, FROM).doing(|| "fcntl F_DUPFD_CLOEXEC").map(Sealed)
    }

    /// Whether there are none.
    ///
    /// # Errors
    /// The call that failed.
    pub fn is_empty(&self) -> Result<bool> {
        self.0.metadata().doing(|| "fstat").map(|of| of.len() == 0)
    }
}

impl AsFd for Unsealed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Sealed {
    /// A copy of a file.
    ///
    /// # Errors
    /// The call that failed.
    pub fn copy(file: OwnedFd) -> Result<Self> {
        let doing = || "copy the library of interpreters";
        let mut copy = Unsealed::new()?;
        // Others read what is open here at the same time, from a place that is theirs too.
        let file = File::from(file);
        let size = file.metadata().doing(doing)?.len();
        let mut all = vec![0; usize::try_from(size).map_err(io::Error::other).doing(doing)?];
        file.read_exact_at(&mut all, 0).doing(doing)?;
        copy.0.write_all(&all).doing(doing)?;
        copy.seal()
    }
}

/// What one interpreter loads.
#[derive(Clone, Copy, Debug)]
pub struct ToLoad<'a> {
    /// Its library.
    pub library: &'a Sealed,
    /// The code of its program, if that has been compiled.
    pub code: Option<&'a Sealed>,
}

impl ToLoad<'_> {
    /// Puts it where the interpreter that this process is about to become will look for it; returns the number behind it.
    ///
    /// # Errors
    /// The call that failed.
    ///
    /// # Safety
    /// Nothing in this process owns the descriptors [`LIBRARY`] and [`CODE`].
    pub(crate) unsafe fn place(self) -> io::Result<RawFd> {
        // SAFETY: the caller vouches for the ones that are overwritten.
        unsafe { sys::place_fd(self.library.0.as_raw_fd(), LIBRARY) }?;
        let Some(code) = self.code else { return Ok(LIBRARY + 1) };
        // SAFETY: as above.
        unsafe { sys::place_fd(code.0.as_raw_fd(), CODE) }?;
        Ok(CODE + 1)
    }
}
