//! Processes of a job's, by descriptors that refer to them: waiting for their ends, stopping them, ending all in a group but one.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use cloister_sandbox::cgroup::SlotCgroup;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::io::unix::AsyncFd;

use crate::link::event_loop::watch;

/// How long it may take until all in a group has stopped, and until what was ended is gone.
const STOPPING: Duration = Duration::from_secs(1);
const GOING: Duration = Duration::from_secs(5);

/// How often it is looked whether all has stopped that has not at once, which takes a processor that is woken some microseconds: a timer
/// takes more than one of its milliseconds.
const AGAIN: Duration = Duration::from_millis(1);
const AT_ONCE: Duration = Duration::from_micros(200);

/// How often it is looked for processes that were started meanwhile. Where all was stopped there are none.
const ROUNDS: usize = 20;

/// Waits for the end of the process that a pidfd refers to, `pidfd_open(2)`. If that is the cell's
/// init, nothing in the cell runs any more: the kernel ends the whole PID namespace before it,
/// `pid_namespaces(7)`.
pub async fn dead(process: &AsyncFd<OwnedFd>) {
    let _ = process.readable().await;
}

/// Whether the process that a pidfd refers to has ended by now.
pub fn has_ended(process: &AsyncFd<OwnedFd>) -> bool {
    let mut polled = [PollFd::new(process.get_ref().as_fd(), PollFlags::POLLIN)];
    !matches!(poll(&mut polled, PollTimeout::ZERO), Ok(0))
}

/// Stops all in the group. Whether it has come to that.
pub async fn stop(cgroup: &SlotCgroup) -> bool {
    if cgroup.freeze(true).is_err() {
        return false;
    }
    let begun = Instant::now();
    let stopped = async {
        while !cgroup.is_frozen().unwrap_or(false) {
            if begun.elapsed() < AT_ONCE {
                // What is to stop may have been woken on this processor.
                std::thread::yield_now();
                tokio::task::yield_now().await;
            } else {
                tokio::time::sleep(AGAIN).await;
            }
        }
    };
    tokio::time::timeout(STOPPING, stopped).await.is_ok()
}

/// Ends all in the group but one process, by its number, if one is to stay. Whether nothing else is left.
///
/// What is stopped starts nothing, so that all that is listed is all that there is. Where it could not be stopped, it is looked again
/// until nothing new is found.
pub async fn end_all_but(cgroup: &SlotCgroup, kept: Option<u32>) -> bool {
    for _ in 0..ROUNDS {
        let others =
            || cgroup.processes().map(|all| all.into_iter().filter(|number| Some(*number) != kept).collect::<Vec<_>>());
        // Nothing starts anything where there is nothing.
        if others().is_ok_and(|all| all.is_empty()) {
            return cgroup.freeze(false).is_ok();
        }
        stop(cgroup).await;
        let Ok(listed) = others() else { return false };
        let held: Vec<_> = listed.into_iter().filter_map(|number| Some((number, hold(number)?))).collect();
        // A number that was read may be another's by now: what is held is ended if it is in the group still.
        let Ok(still) = others() else { return false };
        for (_, process) in held.iter().filter(|(number, _)| still.contains(number)) {
            let _ = pidfd_send_signal(process.get_ref().as_fd(), Signal::KILL);
        }
        if cgroup.freeze(false).is_err() {
            return false;
        }
        let gone = async {
            for (_, process) in held.iter().filter(|(number, _)| still.contains(number)) {
                dead(process).await;
            }
        };
        if tokio::time::timeout(GOING, gone).await.is_err() {
            return false;
        }
    }
    false
}

/// Takes hold of a process by its number, if it is there.
pub fn hold(number: u32) -> Option<AsyncFd<OwnedFd>> {
    let number = Pid::from_raw(i32::try_from(number).ok()?)?;
    watch(pidfd_open(number, PidfdFlags::empty()).ok()?).ok()
}
