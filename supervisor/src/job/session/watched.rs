//! A cell that runs: watched until it has come to something, or something stops it.

use std::os::fd::OwnedFd;
use std::time::Duration;

use cloister_sandbox::wire::End;
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot::Receiver;

use crate::job::bounds::Bounds;
use crate::job::calls::Calls;
use crate::job::cell::Cell;
use crate::job::clock::{UsedUp, used_up};
use crate::job::processes::dead;
use crate::job::report::Said;
use crate::job::running::{cpu_time_used_up, out_of_memory, step_back};
use crate::job::session::reins::Reins;
use crate::job::verdict::Stop;

/// What is watched of a cell.
pub struct Watched<'a> {
    /// Where it runs.
    pub cell: &'a Cell,
    /// The interpreter's process.
    pub process: &'a AsyncFd<OwnedFd>,
    /// How that ended, where somebody will tell: who goes on from a checkpoint is nobody's child.
    pub ended: &'a mut Option<Receiver<End>>,
    /// Readable when its group ran out of memory, where the kernel tells so.
    pub oom: Option<&'a AsyncFd<OwnedFd>>,
    /// What is enforced on it.
    pub bounds: &'a Bounds,
    /// How long it may take.
    pub wall: Duration,
    /// What it calls of whoever sent it.
    pub calls: &'a Calls,
    /// Who interrupts it.
    pub reins: &'a Reins,
}

impl Watched<'_> {
    /// Waits for what it says, or for what stops it.
    pub async fn stops(self, said: impl Future<Output = Said>) -> Stop {
        let Self { cell, process, ended, oom, bounds, wall, calls, reins } = self;
        let (cgroup, interrupt_wait) = (cell.cgroup(), bounds.sessions.interrupt_wait);
        tokio::select! {
            biased;
            said = said => match said {
                Said::Nothing => Stop::Gone,
                said => Stop::Said(said),
            },
            time = used_up(wall, calls, cgroup) => match time {
                UsedUp::Wall => Stop::WallTime(wall),
                UsedUp::Calls => Stop::CallTime(calls.total()),
            },
            () = cpu_time_used_up(cgroup, bounds, cgroup.cpu()) => Stop::CpuTime,
            () = out_of_memory(oom) => Stop::OutOfMemory,
            () = cell.too_many_locks() => Stop::TooManyLocks,
            stop = ends(process, ended) => stop,
            () = reins.unheeded(interrupt_wait) => Stop::Unheeded(interrupt_wait),
            never = step_back(cgroup) => match never {},
        }
    }
}

/// Waits for the end of the interpreter's process, and tells how that came where it is told.
async fn ends(process: &AsyncFd<OwnedFd>, ended: &mut Option<Receiver<End>>) -> Stop {
    if let Some(telling) = ended {
        let told = telling.await;
        // Who would have told may have died: from now on nobody will.
        *ended = None;
        if let Ok(end) = told {
            return Stop::Ended(end);
        }
    }
    dead(process).await;
    Stop::Gone
}

/// Waits until something stops what an interpreter does between its verdict and its rest, or for an order: its time is its profile's, as a
/// cell's.
pub async fn stopped_between(cell: &Cell, bounds: &Bounds) {
    tokio::select! {
        () = cpu_time_used_up(cell.cgroup(), bounds, cell.cgroup().cpu()) => {}
        () = cell.too_many_locks() => {}
        never = step_back(cell.cgroup()) => match never {},
    }
}
