//! The wall time of a job: it goes by while the job runs, and stands still while the job waits for its calls of tools.
//!
//! Whether it waits is not asked of the job. While a call is open, what the kernel counts of its processors' time goes by, and no
//! more: a job all of whose threads wait uses none.

use std::time::{Duration, Instant};

use cloister_sandbox::cgroup::SlotCgroup;

use crate::job::calls::Calls;

/// How soon it is looked again whether a job that computes beside an open call has used its time up.
const AGAIN: Duration = Duration::from_millis(10);

/// Which time is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsedUp {
    /// The wall time.
    Wall,
    /// What all calls may wait together.
    Calls,
}

/// Completes when the job has run for so long, or has waited for its calls as long as it may.
pub async fn used_up(wall: Duration, calls: &Calls, cgroup: &SlotCgroup) -> UsedUp {
    let mut run = Duration::ZERO;
    loop {
        let since = Instant::now();
        if !calls.any_open() {
            tokio::select! {
                () = tokio::time::sleep(wall.saturating_sub(run)) => return UsedUp::Wall,
                () = calls.turned() => {}
            }
            run += since.elapsed();
            continue;
        }
        calls.begin_round(cgroup.cpu().ok());
        let soonest = wall.saturating_sub(run).min(calls.total().saturating_sub(calls.waited()));
        tokio::select! {
            () = tokio::time::sleep(soonest.max(AGAIN)) => {}
            () = calls.turned() => {}
        }
        let computed = calls.end_round(cgroup.cpu().ok());
        run += computed;
        if run >= wall {
            return UsedUp::Wall;
        }
        if calls.waited() >= calls.total() {
            return UsedUp::Calls;
        }
    }
}
