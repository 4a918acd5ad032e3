//! Programs of ours that this one starts, beside it on the disk.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::PathBuf;

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

impl Program {
    /// The one of this name, beside this process's own.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn beside(name: &str) -> Result<Self, NoProgram> {
        let own = std::env::current_exe().map_err(|error| NoProgram { program: name.into(), error })?;
        let program = own.with_file_name(name);
        File::open(&program).map(Self).map_err(|error| NoProgram { program, error })
    }

    /// A path by which it is run, also by who may not go where it lies.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/proc/self/fd/{}", self.0.as_raw_fd())
    }
}
