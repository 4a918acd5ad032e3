//! What all in a cell ends with, and its slot's way back once all is dead.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::process::{Signal, pidfd_send_signal};
use tokio::io::unix::AsyncFd;

use crate::job::handed::Handed;
use crate::job::processes::{dead, end_all_but};
use crate::job::residue::Residue;
use crate::job::slots::{Lease, Slots};
use crate::link::forkers::Forkers;

/// What all in a cell ends with.
#[derive(Debug)]
pub(super) enum Life {
    /// Its init: a pidfd of that.
    Init(AsyncFd<OwnedFd>),
    /// Nothing of its own: it is a part of another cell, and all in it is what is in its slot's group.
    Group,
}

/// Begins the end of everything in it.
pub(super) fn kill(lease: &Lease, life: &Life) {
    if let Life::Init(init) = life {
        let _ = pidfd_send_signal(init.get_ref().as_fd(), Signal::KILL);
    }
    lease.cgroup.kill();
}

/// Which part of its limit may be charged to a slot's group that nothing is in before it is asked what that is.
const UNASKED: u64 = 8;

/// A slot is used again only when its control group is seen to be empty, and others have nothing that is charged to it or was handed to
/// what was in it.
pub(super) async fn give_back(
    slots: &Arc<Slots>,
    (lease, life): (Lease, Life),
    handed: Option<&Handed>,
    residue: &Arc<Residue>,
) {
    let cgroup = &lease.cgroup;
    let is_charged = match life {
        Life::Init(_) => {
            residue.set_over();
            cgroup.limits().is_some_and(|limits| cgroup.memory().is_ok_and(|held| held > limits.memory.0 / UNASKED))
        }
        Life::Group => true,
    };
    if cgroup.is_empty() && (!is_charged || residue.drained(cgroup, handed).await) {
        slots.release(lease);
    } else {
        slots.lose(lease);
    }
}

/// Waits until nothing in the cell runs any more, past those who forked it, should they hang.
pub(super) async fn all_dead((lease, life): &(Lease, Life), forkers: &Forkers) {
    let Life::Init(init) = life else {
        end_all_but(&lease.cgroup, None).await;
        return;
    };
    tokio::select! {
        () = dead(init) => {}
        () = forkers.end_if_hung() => unreachable!("there is always someone to wait for"),
    }
}
