//! Programs of ours that this one starts, beside it on the disk.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Where a package puts them.
const PACKAGED: &str = "/usr/lib/cloister";

/// A program as it was when it was opened: one that takes its place, as with an upgrade, is not run by who is not of its
/// version.
#[derive(Debug)]
pub struct Program(File);

/// There is no such program.
#[derive(Debug, thiserror::Error)]
#[error("start {}, which has to lie beside this program: {error}", program.display())]
pub struct NoProgram {
    program: PathBuf,
    error: io::Error,
}

impl From<Program> for OwnedFd {
    fn from(program: Program) -> Self {
        program.0.into()
    }
}

impl Program {
    /// The one of this name, beside this process's own, or where a package puts what nobody calls by himself.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn beside(name: &str) -> Result<Self, NoProgram> {
        let own = std::env::current_exe().map_err(|error| NoProgram { program: name.into(), error })?;
        let program = own.with_file_name(name);
        let found = File::open(&program).or_else(|error| File::open(Path::new(PACKAGED).join(name)).map_err(|_| error));
        found.map(Self).map_err(|error| NoProgram { program, error })
    }

    /// It, open for reading.
    #[must_use]
    pub fn file(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// A path by which it is run, also by who may not go where it lies.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/proc/self/fd/{}", self.0.as_raw_fd())
    }
}
