//! The listener of a recorded filter, `seccomp_unotify(2)`: calls arrive here, wait, and are answered.
//!
//! To let a call go on is no decision on what it does: whoever shares the caller's memory can change what
//! its arguments point to in between. What a filter refuses for good is refused here by the numbers in the
//! call's registers alone, which nobody can change any more.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::process::{PidfdGetfdFlags, pidfd_getfd};

use crate::seccomp::LISTENER;

/// A call that waits for its answer.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    id: u64,
    /// The caller's thread, as this process sees it.
    pub thread: u32,
    /// The call's number.
    pub number: i64,
    /// Its arguments.
    pub arguments: [u64; 6],
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It is made.
    GoOn,
    /// It fails with this error.
    Errno(i32),
}

/// The listener.
#[derive(Debug)]
pub struct Listener(OwnedFd);

impl Listener {
    /// The listener of a process that has just put its filter in force; none while it has not.
    ///
    /// # Errors
    /// `ESRCH` when the process has ended, `EPERM` without `CAP_SYS_PTRACE`: `pidfd_getfd(2)`.
    pub fn of(process: BorrowedFd<'_>) -> io::Result<Option<Self>> {
        let fd = match pidfd_getfd(process, LISTENER, PidfdGetfdFlags::empty()) {
            Ok(fd) => fd,
            Err(rustix::io::Errno::BADF) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        // Before that the number may be of anything that its launcher left open.
        let what = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()))?;
        Ok((what.as_os_str() == "anon_inode:seccomp notify").then_some(Self(fd)))
    }

    /// The next call that waits, if one does.
    ///
    /// # Errors
    /// `BrokenPipe` when nobody is left who could make one; what the kernel says otherwise.
    pub fn receive(&self) -> io::Result<Option<Call>> {
        loop {
            let mut polled = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
            if poll(&mut polled, PollTimeout::ZERO)? == 0 {
                return Ok(None);
            }
            let events = polled[0].revents().unwrap_or(PollFlags::POLLHUP);
            if !events.contains(PollFlags::POLLIN) {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            // SAFETY: plain integers, for which zero is a valid value; the kernel insists on zeros.
            let mut asked: libc::seccomp_notif = unsafe { std::mem::zeroed() };
            // SAFETY: the structure has the size that is part of the request's number and outlives the call.
            let returned = unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut asked) };
            if returned == 0 {
                let number = i64::from(asked.data.nr);
                return Ok(Some(Call { id: asked.id, thread: asked.pid, number, arguments: asked.data.args }));
            }
            let error = io::Error::last_os_error();
            // The caller was killed meanwhile, or a signal came.
            if !matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINTR)) {
                return Err(error);
            }
        }
    }

    /// Whether a call still waits. What was read of its caller's memory before is the caller's then, and not
    /// of a process that was given the same id after its end.
    #[must_use]
    pub fn waits(&self, call: &Call) -> bool {
        // SAFETY: the number of eight bytes that the request reads outlives the call.
        unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const call.id) == 0 }
    }

    /// Answers a call.
    ///
    /// # Errors
    /// What the kernel says; that the caller is gone is no error.
    pub fn reply(&self, call: &Call, reply: Reply) -> io::Result<()> {
        let (error, flags) = match reply {
            Reply::GoOn => (0, u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE).expect("the lowest bit")),
            Reply::Errno(errno) => (-errno, 0),
        };
        let mut answer = libc::seccomp_notif_resp { id: call.id, val: 0, error, flags };
        // SAFETY: the structure has the size that is part of the request's number and outlives the call.
        let returned = unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut answer) };
        let error = io::Error::last_os_error();
        if returned == 0 || error.raw_os_error() == Some(libc::ENOENT) { Ok(()) } else { Err(error) }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl Call {
    /// The path that an argument points to, as the caller wrote it.
    #[must_use]
    pub fn path(&self, argument: usize) -> Option<PathBuf> {
        const LONGEST: usize = 4096; // PATH_MAX
        let memory = File::open(format!("/proc/{}/mem", self.thread)).ok()?;
        let mut text = vec![0; LONGEST];
        // Less is read where the memory ends.
        let read = memory.read_at(&mut text, self.arguments[argument]).ok()?;
        text.truncate(text[..read].iter().position(|byte| *byte == 0)?);
        Some(OsString::from_vec(text).into())
    }
}
