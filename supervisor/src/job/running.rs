//! A job that runs: watched until something stops it, and ended whatever that was.

use std::convert::Infallible;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::pin;
use std::time::Duration;

use cloister_sandbox::cgroup::SlotCgroup;
use cloister_sandbox::wire::End;
use rustix::process::{Signal, pidfd_send_signal};
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot::Receiver;

use crate::job::bounds::Bounds;
use crate::job::calls::Calls;
use crate::job::cell::{Cell, sweep};
use crate::job::clock::{UsedUp, used_up};
use crate::job::processes::{dead, has_ended};
use crate::job::report::Said;
use crate::job::verdict::Stop;

/// How long a job runs before it leaves a busy machine to those that have just begun. Most have ended by then, and pay
/// nothing for it.
const LONG: Duration = Duration::from_millis(200);

/// How long a dead job's last words may take. They are in the pipe by then, or will never be.
const AFTERMATH: Duration = Duration::from_secs(1);

/// What is watched of a job that has its request.
#[derive(Debug)]
pub struct Running<'a> {
    /// Where it runs.
    pub cell: &'a mut Cell,
    /// Its first process.
    pub process: &'a AsyncFd<OwnedFd>,
    /// Readable when its group ran out of memory, where the kernel tells so.
    pub oom: Option<&'a AsyncFd<OwnedFd>>,
    /// What is enforced on it.
    pub bounds: &'a Bounds,
    /// How long it may take.
    pub wall: Duration,
    /// What it calls of whoever sent it.
    pub calls: &'a Calls,
}

impl Running<'_> {
    /// Waits for what stops it, and ends all of it. `None` if it ended, and those who could tell how had died before.
    pub async fn watch_to_its_end(
        &mut self,
        ended: Receiver<End>,
        report: &mut (impl Future<Output = Said> + Unpin),
    ) -> Option<Stop> {
        let mut silent = false;
        let Some(stop) = self.stop(ended, report, &mut silent).await else {
            self.cell.kill();
            self.cell.gone().await;
            return None;
        };
        self.end(&stop).await;
        self.calls.set_ended();
        Some(match stop {
            Stop::Ended(end) if !silent => last_words(report).await.map_or(Stop::Ended(end), Stop::Said),
            stop => stop,
        })
    }

    /// What stops it; and whether it has closed the pipe of its report by then, and said nothing.
    async fn stop(
        &self,
        mut ended: Receiver<End>,
        report: &mut (impl Future<Output = Said> + Unpin),
        silent: &mut bool,
    ) -> Option<Stop> {
        let cgroup = self.cell.cgroup();
        let mut orphaned = false;
        let mut deadline = pin!(used_up(self.wall, self.calls, cgroup));
        let mut cpu_time = pin!(cpu_time_used_up(cgroup, self.bounds, Ok(Duration::ZERO)));
        let mut memory = pin!(out_of_memory(self.oom));
        let mut locks = pin!(self.cell.too_many_locks());
        let mut long = pin!(step_back(cgroup));
        loop {
            tokio::select! {
                biased;
                said = &mut *report, if !*silent => match said {
                    // A script may close the pipe and go on; its end will say what became of it.
                    Said::Nothing => *silent = true,
                    said => return Some(Stop::Said(said)),
                },
                time = &mut deadline => return Some(match time {
                    UsedUp::Wall => Stop::WallTime(self.wall),
                    UsedUp::Calls => Stop::CallTime(self.calls.total()),
                }),
                () = &mut cpu_time => return Some(Stop::CpuTime),
                () = &mut memory => return Some(Stop::OutOfMemory),
                () = &mut locks => return Some(Stop::TooManyLocks),
                end = &mut ended, if !orphaned => match end {
                    Ok(end) => return Some(Stop::Ended(end)),
                    // Only the zygote may have died: the job goes on below the launcher, and what it reports is as
                    // true as ever. Nobody could tell how it ended without a report, though.
                    Err(_) => orphaned = true,
                },
                () = dead(self.process), if orphaned => {
                    return if *silent { None } else { last_words(report).await.map(Stop::Said) };
                }
                never = &mut long => match never {},
            }
        }
    }

    /// Ends it, in front of its answer, whatever that is: nothing of the job goes on after it. What is killed neither
    /// returns to its program nor makes another process, so that if it is the one that is counted, it stays alone:
    /// copy_process() in `kernel/fork.c`. One that has ended may have left another in its place.
    async fn end(&mut self, stop: &Stop) {
        let (cell, said) = (&mut *self.cell, matches!(stop, Stop::Said(_)));
        let _ = pidfd_send_signal(self.process.get_ref().as_fd(), Signal::KILL);
        let alone = said && cell.cgroup().has_one_task() && !has_ended(self.process);
        cell.kill();
        // What a job that is alone wrote is in the pipes, its report came last of it, and what its process takes to go is
        // the kernel's time. Files are read, and others of the job may still write: then all are waited for.
        if alone && cell.left_nothing() {
            return;
        }
        // After a report there is in most cases one process, whose end is quicker told than that of its cell.
        if said {
            dead(self.process).await;
            if cell.cgroup().is_empty() {
                return;
            }
        }
        cell.gone().await;
    }
}

/// What a dead job had reported, if it had.
async fn last_words(report: impl Future<Output = Said>) -> Option<Said> {
    // The result pipe's other end may be on its way between sockets that nobody holds.
    sweep();
    tokio::time::timeout(AFTERMATH, report).await.ok().filter(|said| !matches!(said, Said::Nothing))
}

/// Ends when the group has used its CPU time, of which so much is used by now. Looks again only when it could have, at full speed.
pub(super) async fn cpu_time_used_up(
    cgroup: &SlotCgroup,
    bounds: &Bounds,
    mut by_now: cloister_sandbox::Result<Duration>,
) {
    while let Ok(used) = by_now {
        let Some(left) = bounds.cpu.checked_sub(used).filter(|left| !left.is_zero()) else { return };
        let soonest = left.mul_f64(1000.0 / f64::from(bounds.millicpus));
        tokio::time::sleep(soonest.max(Duration::from_millis(1))).await;
        by_now = cgroup.cpu();
    }
}

pub(super) async fn out_of_memory(event: Option<&AsyncFd<OwnedFd>>) {
    match event {
        Some(event) => {
            let _ = event.readable().await;
        }
        None => std::future::pending().await,
    }
}

/// Has a job that runs for long leave the machine to others.
pub(super) async fn step_back(cgroup: &SlotCgroup) -> Infallible {
    tokio::time::sleep(LONG).await;
    // If it cannot, others wait for longer; its end tells what is wrong with the group.
    let _ = cgroup.step_back();
    std::future::pending().await
}
