//! What of its slot's namespaces a cell is in, as its init goes there.

use std::ops::RangeFrom;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use nix::sched::{CloneFlags, setns, unshare};

use crate::error::{Context, Result};
use crate::weaker::{Layer, Plan};
use crate::{loopback, sys};

/// What of its slot's a cell's init goes into. What is missing it has to make, or does without.
pub struct Namespaces<'a> {
    /// The jobs' user namespace, last.
    pub users: Option<BorrowedFd<'a>>,
    /// The mounts that a cell's begin as a copy of.
    pub mounts: Option<BorrowedFd<'a>>,
    /// That of network.
    pub network: Option<BorrowedFd<'a>>,
    /// That of IPC.
    pub ipc: Option<BorrowedFd<'a>>,
}

/// What a job before has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// Objects in the slot's IPC namespace.
    InIpc,
}

impl Namespaces<'_> {
    /// How many there are at most.
    pub const MOST: RawFd = 4;

    /// Has each put at the next of these numbers.
    ///
    /// # Errors
    /// What `put` failed with.
    pub fn put(&self, numbers: RangeFrom<RawFd>, put: impl Fn(RawFd, RawFd) -> Result<()>) -> Result<()> {
        let each = [self.users, self.mounts, self.network, self.ipc];
        each.iter().zip(numbers).try_for_each(|(namespace, number)| {
            namespace.map_or(Ok(()), |namespace| put(namespace.as_raw_fd(), number))
        })
    }

    /// The same in a process that has nothing but what was put there.
    ///
    /// # Safety
    /// They were put there, and are closed by nothing that owns them.
    #[must_use]
    pub unsafe fn from(&self, mut numbers: RangeFrom<RawFd>) -> Namespaces<'static> {
        let mut at_next = |namespace: Option<BorrowedFd<'_>>| {
            let number = numbers.next();
            // SAFETY: as the caller vouches.
            namespace.and(number).map(|number| unsafe { BorrowedFd::borrow_raw(number) })
        };
        let [users, mounts, network, ipc] = [self.users, self.mounts, self.network, self.ipc].map(&mut at_next);
        Namespaces { users, mounts, network, ipc }
    }

    /// Has a cell's init be in the slot's network and IPC namespaces, or in new ones: in one of IPC of its own where something was
    /// found in the slot's.
    ///
    /// # Errors
    /// The call that failed.
    pub fn enter(&self, plan: &Plan) -> Result<Found> {
        match self.network {
            Some(network) => setns(network, CloneFlags::CLONE_NEWNET).doing(|| "setns the slot's network")?,
            None if plan.leaves_out(Layer::NetworkNamespace) => {}
            None => {
                // What a job leaves behind in one with an interface, such as ports that linger, is the next one's
                // to find, so that each gets a new one.
                unshare(CloneFlags::CLONE_NEWNET).doing(|| "unshare CLONE_NEWNET")?;
                loopback::bring_up()?;
            }
        }
        let Some(ipc) = self.ipc else { return Ok(Found::Nothing) };
        setns(ipc, CloneFlags::CLONE_NEWIPC).doing(|| "setns the slot's IPC namespace")?;
        // None can be made; what is made all the same is nobody else's. Queues of POSIX nobody can count.
        if sys::system_v_objects().doing(|| "count System V objects")? == 0 {
            return Ok(Found::Nothing);
        }
        unshare(CloneFlags::CLONE_NEWIPC).doing(|| "unshare CLONE_NEWIPC")?;
        Ok(Found::InIpc)
    }
}
