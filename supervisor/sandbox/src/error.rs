//! One error for the kernel's refusals: what was being done, and what the kernel said.

use std::fmt::Display;

/// What is said in front of a failure for want of something that the host is short of.
const SHORT: &str = "\u{5}";

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
        /// What the kernel had answered the library, where it was the kernel that refused.
        errno: Option<i32>,
    },
    /// A step failed in another process for want of something that the host is short of.
    #[error("{0}")]
    Short(String),
    /// Other processes are in this one's control group, as in a terminal's, so that none can be made below it.
    #[error(
        "make control groups below this process's own, {}: other processes are in it, as in a terminal's, and none may be \
         beside groups that controllers hold: start it in one for itself (systemd-run --scope --property=Delegate=yes COMMAND)",
        .0.display()
    )]
    SharedGroup(std::path::PathBuf),
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
        match self {
            Self::Kernel { errno, .. } => is_shortage(errno),
            Self::Layer { errno, .. } => errno.is_some_and(is_short),
            Self::Short(_) => true,
            Self::SharedGroup(_) | Self::Peer(_) => false,
        }
    }

    /// What another process is told of it, in which [`Error::told`] finds it.
    pub(crate) fn to_tell(&self) -> String {
        let mark = if self.is_shortage() { SHORT } else { "" };
        format!("{mark}{self}")
    }

    /// What failed in another process, by what that has said of it.
    pub(crate) fn told(doing: impl Display, said: &str) -> Self {
        match said.strip_prefix(SHORT) {
            Some(why) => Self::Short(format!("{doing}: {why}")),
            None => Self::Peer(format!("{doing}: {said}")),
        }
    }

    /// A layer's refusal that is none of the kernel's.
    pub(crate) fn layer(doing: impl Display, reason: impl Display) -> Self {
        Self::Layer { doing: doing.to_string(), reason: reason.to_string(), errno: None }
    }

    /// A refusal that a layer's library tells of, with the errno behind it if there is one.
    pub(crate) fn library(doing: impl Display, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut causes = std::iter::successors(Some(error), |error| error.source());
        let errno = causes.find_map(|cause| cause.downcast_ref::<std::io::Error>()?.raw_os_error());
        Self::Layer { doing: doing.to_string(), reason: error.to_string(), errno }
    }

    /// What a library did that keeps the errno to itself, with the errno that it has left behind.
    pub(crate) fn library_call(doing: impl Display, reason: impl Display) -> Self {
        let errno = std::io::Error::last_os_error().raw_os_error();
        Self::Layer { doing: doing.to_string(), reason: reason.to_string(), errno }
    }
}

/// Whether the kernel's refusal is for want of something that others have at the moment: `clone(2)`, `unshare(2)`, `open(2)`.
#[must_use]
pub fn is_shortage(errno: &std::io::Error) -> bool {
    errno.raw_os_error().is_some_and(is_short)
}

fn is_short(errno: i32) -> bool {
    [libc::EAGAIN, libc::ENOMEM, libc::EMFILE, libc::ENFILE, libc::ENOSPC, libc::EUSERS].contains(&errno)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::Error;

    #[test]
    fn a_librarys_refusal_for_want_of_memory_is_a_shortage() {
        let refused =
            |errno| Error::library("filter", &seccompiler::Error::Seccomp(io::Error::from_raw_os_error(errno)));
        assert!(refused(libc::ENOMEM).is_shortage());
        assert!(!refused(libc::EINVAL).is_shortage());
        assert!(!Error::library("filter", &seccompiler::Error::EmptyFilter).is_shortage());
        assert!(!Error::layer("landlock", "only partly").is_shortage());
    }
}
