//! The end of a session's line that its processes read from, and what they leave in it.

use std::os::fd::OwnedFd;

use rustix::io::ioctl_fionread;
use rustix::net::{RecvFlags, recv};

/// Reads of what was said, after which more is being said: a pipe of the most that a user may have is emptied by 256 (`pipe(7)`).
const MOST_READ: usize = 1024;

/// The end that the session has, in our hands too.
///
/// Descriptors that were handed over and that nobody has taken are on their way, and count to us: who has more of those than he may have
/// files open can send none to anybody (`ETOOMANYREFS`, `unix(7)`). They are on their way for as long as anybody has this end. So what is
/// in it when this goes is thrown away: nobody writes any more then.
#[derive(Debug)]
pub(super) struct FarEnd(OwnedFd);

impl From<OwnedFd> for FarEnd {
    fn from(end: OwnedFd) -> Self {
        Self(end)
    }
}

impl FarEnd {
    /// Whether all that was written was read.
    pub fn is_read(&self) -> bool {
        ioctl_fionread(&self.0).is_ok_and(|bytes| bytes == 0)
    }

    /// Throws away what nobody has read. Whether that came to an end.
    ///
    /// It is an end that processes of the session's may have, branches too: whether it blocks is theirs to say at any time.
    pub fn forget(&self) -> bool {
        let mut chunk = [0; 4096];
        empty(|| recv(&self.0, &mut chunk, RecvFlags::DONTWAIT).map(|(read, _)| read))
    }
}

impl Drop for FarEnd {
    fn drop(&mut self) {
        self.forget();
    }
}

/// Reads until there is nothing, or too much for a pipe or a socket to have held. Whether there is nothing.
pub(super) fn empty(mut read: impl FnMut() -> rustix::io::Result<usize>) -> bool {
    (0..MOST_READ).any(|_| !read().is_ok_and(|read| read > 0))
}
