//! What a branch of a session is handed, to be spoken to by: whether anybody still has it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Our ends of it. Pipes and sockets count to who made them, which is us, for as long as anybody has one end of them: the pages of pipes
/// (`pipe-user-pages-soft` in `proc_sys_fs(5)`), and the kernel's memory. It goes by way of a session, which may keep it. All is seen but
/// a socket that who has it has shut down, `shutdown(2)`: a kibibyte, and nothing can be on its way in it.
#[derive(Debug)]
pub struct Handed([OwnedFd; 5]);

impl Handed {
    /// What is at the other ends of these.
    ///
    /// # Errors
    /// When no more files can be opened.
    pub fn of([line, wake, stdout, stderr, result]: [BorrowedFd<'_>; 5]) -> io::Result<Self> {
        let again = |end: BorrowedFd<'_>| end.try_clone_to_owned();
        Ok(Self([again(line)?, again(wake)?, again(stdout)?, again(stderr)?, again(result)?]))
    }

    /// Whether nobody has anything of it any more: `POLLERR` of an end that is written to, `POLLHUP` of one that is read from and of a
    /// socket, which `poll(2)` tells unasked.
    #[must_use]
    pub fn is_let_go(&self) -> bool {
        let mut polled = self.0.each_ref().map(|end| PollFd::new(end.as_fd(), PollFlags::empty()));
        let gone = PollFlags::POLLERR | PollFlags::POLLHUP;
        poll(&mut polled, PollTimeout::ZERO).is_ok()
            && polled.iter().all(|end| end.revents().is_some_and(|told| told.intersects(gone)))
    }
}
