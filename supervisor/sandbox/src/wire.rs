//! Messages with descriptors between the supervisor and a launcher (or zygote): `unix(7)`,
//! `SOCK_SEQPACKET`, `SCM_RIGHTS`. One JSON document a packet.
//!
//! Both ends are ours; what is checked is that a packet is whole and carries what it should.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, recv, recvmsg, sendmsg,
    setsockopt, socketpair, sockopt,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::error::{Context, Error, Result};
use crate::spec::{IdRange, Slot, Spec};

/// No message is larger; the largest holds a profile's list of calls and the runner's source.
const LARGEST: usize = 192 * 1024;

/// No message carries more descriptors.
const MOST_FDS: usize = 16;

/// What the supervisor asks for.
#[derive(Debug, Serialize, Deserialize)]
pub enum Order {
    /// First of all: the profile, with what is carried. Answered by [`Notice::Ready`].
    SetUp(Box<Spec>, IdRange, Brought),
    /// First of all to a zygote: the profile, [as it is inside](Spec::inside). Answered by [`Notice::Ready`].
    Serve(Box<Spec>),
    /// Build a cell for the slot. Answered by [`Notice::Cell`].
    Cell(Slot),
    /// Start a zygote: an interpreter with this command and environment. Carries its own wire to the
    /// supervisor, over which it answers, and the library that it is to load.
    Zygote(Vec<String>, Vec<String>),
    /// Start a job's process in the slot's cell. Carries, in this order, the cell's pidfd, standard
    /// input, output, error, the result pipe and that of what calls return, and then what [`IntoCgroup`] says. Answered by
    /// [`Notice::Started`], and [`Notice::Exited`] at its end. Launchers only.
    Start(Slot, IntoCgroup, Span),
    /// The same of a zygote, whose jobs always go into their control group themselves: the C library forks them, which
    /// knows nothing of groups.
    Fork(Slot, Span),
    /// Fork another zygote, which imports these modules too, those of them that are modules, and may take so many bytes for
    /// it. Carries the new one's own wire to the supervisor, over which it answers as one that was started. Zygotes only.
    Grow(Vec<String>, u64),
    /// Say that orders are still carried out. Answered by [`Notice::Pong`].
    Ping,
}

/// What the first order to a launcher carries, in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brought {
    /// The library that a cold job's interpreter loads.
    pub library: bool,
    /// The interpreter, where only root may read it.
    pub interpreter: bool,
}

/// What a process is to serve, which bounds the CPU time that the kernel lets it have by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Span {
    /// One job.
    Job,
    /// A session, which is as many cells as are sent: what each may use is counted from outside.
    Session,
}

/// How a job's process gets into its control group, before anything that it uses is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IntoCgroup {
    /// It is born there: the message carries the group's directory.
    Born,
    /// It goes there itself, with a `0` to each file that the message carries.
    Walks,
}

/// What the launcher answers.
#[derive(Debug, Serialize, Deserialize)]
pub enum Notice {
    /// First of all: here I am. Carries a pidfd of the launcher's or zygote's process.
    Begun,
    /// The launcher's own confinement is complete, or a zygote has imported what it should.
    Ready,
    /// Of a zygote, ahead of [`Notice::Ready`]: what it takes and has.
    Holds(Holds),
    /// The cell exists; carries a pidfd of its init, whose end is the end of all in the cell, and the root of the
    /// file system that its job's files are on.
    Cell(Slot),
    /// The job's process exists; carries its pidfd.
    Started(Slot),
    /// The job's process has ended; others of the cell may live on until the cell is ended.
    Exited(Slot, End),
    /// Orders are still carried out.
    Pong,
    /// An order could not be carried out.
    Failed(Option<Slot>, String),
    /// An order could not be carried out for want of something that the host is short of for now.
    Short(Option<Slot>, String),
}

impl Notice {
    /// An order, a slot's or one for all, that could not be carried out.
    #[must_use]
    pub fn failed(slot: impl Into<Option<Slot>>, error: &Error) -> Self {
        let (slot, why) = (slot.into(), error.to_string());
        if error.is_shortage() { Self::Short(slot, why) } else { Self::Failed(slot, why) }
    }
}

/// What a zygote takes and has, once it has imported what it should.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holds {
    /// Memory that no other zygote shares with it, in bytes.
    pub bytes: u64,
    /// Of the modules that it was asked to import beside its parent's, those that there are.
    pub modules: Vec<String>,
}

/// How a process ended, as `wait(2)` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// By `exit` with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// One end of the connection. Closed on exec.
#[derive(Debug)]
pub struct Wire(OwnedFd);

impl Wire {
    /// A connected pair.
    ///
    /// # Errors
    /// The call that failed.
    pub fn pair() -> Result<(Self, Self)> {
        let (one, other) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
            .doing(|| "socketpair SOCK_SEQPACKET")?;
        for end in [&one, &other] {
            setsockopt(end, sockopt::SndBuf, &(2 * LARGEST)).doing(|| "setsockopt SO_SNDBUF")?;
        }
        Ok((Self(one), Self(other)))
    }

    /// The connection that a descriptor refers to.
    #[must_use]
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// The descriptor.
    #[must_use]
    pub fn into_fd(self) -> OwnedFd {
        self.0
    }

    /// Sends one message with descriptors; the caller keeps its copies.
    ///
    /// # Errors
    /// `io::ErrorKind::WouldBlock` on a non-blocking socket that is full; `BrokenPipe` when the peer is gone;
    /// `InvalidInput` for a message that is larger than the other end takes.
    pub fn send<M: Serialize>(&self, message: &M, fds: &[RawFd]) -> io::Result<()> {
        let bytes = serde_json::to_vec(message)?;
        if bytes.len() > LARGEST {
            let size = bytes.len();
            let why = format!(
                "a message of {size} bytes, where {LARGEST} are the most: what a profile mounts, imports, sets and rules \
                 on comes to too much together"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let rights = [ControlMessage::ScmRights(fds)];
        let control = if fds.is_empty() { &[][..] } else { &rights[..] };
        let flags = MsgFlags::MSG_NOSIGNAL;
        sendmsg::<UnixAddr>(self.0.as_raw_fd(), &[IoSlice::new(&bytes)], control, flags, None)?;
        Ok(())
    }

    /// Receives one message; `None` when the peer has closed its end.
    ///
    /// # Errors
    /// `WouldBlock` on a non-blocking socket with nothing to read; `InvalidData` for a packet that is
    /// cut off or no message.
    pub fn receive<M: DeserializeOwned>(&self) -> io::Result<Option<(M, Vec<OwnedFd>)>> {
        match self.receive_once() {
            // The peer has gone without reading all that it was sent. The kernel tells that once, before
            // it hands out what the peer had said, which may well be why it went: unix_release_sock() in
            // net/unix/af_unix.c.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => self.receive_once(),
            received => received,
        }
    }

    fn receive_once<M: DeserializeOwned>(&self) -> io::Result<Option<(M, Vec<OwnedFd>)>> {
        // Asked for first: room for the largest would be mapped and given back for each small message.
        let peek = MsgFlags::MSG_PEEK | MsgFlags::MSG_TRUNC;
        let mut bytes = vec![0; recv(self.0.as_raw_fd(), &mut [], peek)?.min(LARGEST)];
        let mut control = nix::cmsg_space!([RawFd; MOST_FDS]);
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let received =
            recvmsg::<UnixAddr>(self.0.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::MSG_CMSG_CLOEXEC)?;
        let mut fds = Vec::new();
        for message in received.cmsgs()? {
            if let ControlMessageOwned::ScmRights(rights) = message {
                // SAFETY: the kernel has just installed these descriptors for this message alone.
                fds.extend(rights.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
            }
        }
        let (length, flags) = (received.bytes, received.flags);
        if length == 0 {
            return Ok(None);
        }
        if flags.intersects(MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a message was cut off"));
        }
        let message = serde_json::from_slice(&bytes[..length]);
        // Freed memory keeps its content, and a zygote's is its jobs'.
        std::hint::black_box(&mut bytes).fill(0);
        Ok(Some((message?, fds)))
    }
}

/// Says first of all which process is at this end, so that it can be ended if it hangs.
///
/// # Errors
/// The call that failed.
pub fn announce(wire: &Wire) -> Result<()> {
    let own = rustix::process::pidfd_open(rustix::process::getpid(), rustix::process::PidfdFlags::empty())
        .doing(|| "pidfd_open itself")?;
    wire.send(&Notice::Begun, &[own.as_raw_fd()]).doing(|| "tell the supervisor")
}

impl AsRawFd for Wire {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl std::os::fd::AsFd for Wire {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Takes exactly the descriptors that a message should carry.
///
/// # Errors
/// When there are more or fewer.
pub fn exactly<const N: usize>(fds: Vec<OwnedFd>) -> Result<[OwnedFd; N]> {
    let count = fds.len();
    fds.try_into().map_err(|_| Error::Peer(format!("a message carried {count} descriptors, expected {N}")))
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::{LARGEST, Notice, Wire};

    #[test]
    fn a_message_that_the_other_end_would_cut_off_is_not_sent() {
        let (one, other) = Wire::pair().expect("sockets can be had");
        let refused = one.send(&Notice::Failed(None, "x".repeat(LARGEST)), &[]).expect_err("too large");
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
        assert!(refused.to_string().contains("are the most"), "{refused}");
        one.send(&Notice::Failed(None, "x".repeat(LARGEST - 64)), &[]).expect("fits");
        assert!(matches!(other.receive(), Ok(Some((Notice::Failed(None, why), _))) if why.len() == LARGEST - 64));
    }
}
