//! One error for the kernel's refusals: what was being done, and what the kernel said.

use std::fmt::Display;

/// A step that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refused a call.
    #[error("{doing}: {errno}")]
    Kernel {
        /// The call and its object, such as `mount proc on /proc`.
        doing: String,
        /// What the kernel answered.
        errno: std::io::Error,
    },
    /// A layer's library refused or could not enforce what was asked.
    #[error("{doing}: {reason}")]
    Layer {
        /// The call and its object.
        doing: String,
        /// The library's reason.
        reason: String,
    },
    /// The process at the other end of a socket is gone or does not keep to the protocol.
    #[error("{0}")]
    Peer(String),
}

/// The result of a step.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Says what was being done when a call failed.
pub trait Context<T> {
    /// Names the call and its object; only evaluated on failure.
    ///
    /// # Errors
    /// The error it was called on, with that name.
    fn doing<D: Display>(self, what: impl FnOnce() -> D) -> Result<T>;
}

impl<T, E: Into<std::io::Error>> Context<T> for std::result::Result<T, E> {
    fn doing<D: Display>(self, what: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|errno| Error::Kernel { doing: what().to_string(), errno: errno.into() })
    }
}

impl Error {
    /// Whether the host was short of processes, memory, files or namespaces, which passes.
    #[must_use]
    pub fn is_shortage(&self) -> bool {
        matches!(self, Self::Kernel { errno, .. } if is_shortage(errno))
    }

    /// A layer's refusal that is no plain errno.
    pub(crate) fn layer(doing: impl Display, reason: impl Display) -> Self {
        Self::Layer { doing: doing.to_string(), reason: reason.to_string() }
    }
}

/// Whether the kernel's refusal is for want of something that others have at the moment: `clone(2)`, `unshare(2)`, `open(2)`.
#[must_use]
pub fn is_shortage(errno: &std::io::Error) -> bool {
    let short = [libc::EAGAIN, libc::ENOMEM, libc::EMFILE, libc::ENFILE, libc::ENOSPC, libc::EUSERS];
    errno.raw_os_error().is_some_and(|errno| short.contains(&errno))
}
