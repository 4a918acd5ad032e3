//! A library that the interpreters of cold jobs load when they start, before anything of a stranger's is in them.
//!
//! It is a copy in memory, sealed: a job maps it under no name of the host's, and no inode of the host's hangs on it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

use crate::error::{Context, Result};
use crate::sys;

/// The number at which an interpreter finds it, and closes it when it has loaded it: the first behind a job's own.
pub const NUMBER: RawFd = 5;

/// A launcher keeps it out of the way of the numbers that it places things at, and below 64, where tables of descriptors grow.
const FROM: RawFd = 48;

/// The library's copy.
#[derive(Debug)]
pub struct Library(OwnedFd);

impl Library {
    /// Copies it.
    ///
    /// # Errors
    /// The call that failed.
    pub fn copy(library: OwnedFd) -> Result<Self> {
        let doing = || "copy the library of interpreters";
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        // Not to be run as a program, which Linux knows since 6.3 and some hosts insist on: sysctl vm.memfd_noexec.
        let made = memfd_create(c"cloister", flags | MemfdFlags::NOEXEC_SEAL);
        let mut copy = File::from(made.or_else(|_| memfd_create(c"cloister", flags)).doing(doing)?);
        // Others read what is open here at the same time, from a place that is theirs too.
        let library = File::from(library);
        let size = library.metadata().doing(doing)?.len();
        let mut all = vec![0; usize::try_from(size).map_err(io::Error::other).doing(doing)?];
        library.read_exact_at(&mut all, 0).doing(doing)?;
        copy.write_all(&all).doing(doing)?;
        fcntl_add_seals(&copy, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)
            .doing(doing)?;
        rustix::io::fcntl_dupfd_cloexec(&copy, FROM).doing(doing).map(Self)
    }

    /// Puts it where the interpreter that this process is about to become will look for it.
    ///
    /// # Errors
    /// The call that failed.
    ///
    /// # Safety
    /// Nothing in this process owns the descriptor [`NUMBER`].
    pub(crate) unsafe fn place(&self) -> io::Result<()> {
        // SAFETY: the caller vouches for the one that is overwritten.
        unsafe { sys::place_fd(self.0.as_raw_fd(), NUMBER) }
    }
}
