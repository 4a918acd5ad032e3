//! The native library of interpreters, opened once: of the version that what serves is of, and for who may not go where it lies.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use crate::program::Program;

/// Its file's name.
pub const ZYGOTE_LIBRARY: &str = "libcloister_zygote.so";

/// It, if it is there.
#[derive(Debug)]
pub struct Library(Option<OwnedFd>);

impl Library {
    /// The one that lies beside this process's own program, or where a package puts it.
    #[must_use]
    pub fn find() -> Self {
        Self::of(Program::beside(ZYGOTE_LIBRARY).ok().map(OwnedFd::from))
    }

    pub(crate) fn of(open: Option<OwnedFd>) -> Self {
        Self(open)
    }

    pub(crate) fn file(&self) -> Option<BorrowedFd<'_>> {
        self.0.as_ref().map(std::os::fd::AsFd::as_fd)
    }

    /// A descriptor of it.
    ///
    /// # Errors
    /// When it was not there.
    pub fn open(&self) -> io::Result<OwnedFd> {
        let missing = || {
            let why = format!(
                "{ZYGOTE_LIBRARY} lay neither beside the program nor where a package puts it when this was started"
            );
            io::Error::new(io::ErrorKind::NotFound, why)
        };
        self.0.as_ref().ok_or_else(missing)?.try_clone()
    }
}
