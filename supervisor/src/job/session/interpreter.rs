//! The interpreter of a session, between two cells.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use cloister_protocol::report::{Report, failure};
use cloister_protocol::{Checkpoint as Rest, ErrorCode, ExecuteRequest, Failure, JobId};
use cloister_sandbox::process::{self, FIRST_TO_GO, LAST_TO_GO};
use cloister_sandbox::wire::End;
use rustix::process::{Signal, pidfd_send_signal};
use tokio::io::BufReader;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe;
use tokio::sync::oneshot::Receiver;

use crate::job::bounds::Bounds;
use crate::job::cell::Cell;
use crate::job::denial::Rules;
use crate::job::frames::FrameWriter;
use crate::job::locks::{Holders, holds_too_many};
use crate::job::message::{encode, feed_all};
use crate::job::prepare_error::PrepareError;
use crate::job::prepared::{Pipes, Prepared};
use crate::job::processes::{dead, has_ended, hold, stop};
use crate::job::report::NotReady;
use crate::job::residue::Residue;
use crate::job::session::far_end::FarEnd;
use crate::job::session::hearing::{Opening, read_opening, read_rest};
use crate::job::session::reins::Reins;
use crate::job::session::watched::stopped_between;

/// How long an interpreter may take until it is at rest again: it has a copy of itself to make.
pub(super) const SETTLING: Duration = Duration::from_secs(10);

/// How much of what it says is read at once.
pub(super) const REPORT: usize = 1024;

/// How long the end of a copy that another has taken the place of is waited for.
const OLD_END: Duration = Duration::from_millis(50);

/// The session is over: nothing of it can go on.
#[derive(Debug)]
pub struct Over;

/// A session's interpreter and the cell that it is in. Dropped, all of it is ended.
#[derive(Debug)]
pub struct Interpreter {
    pub(super) session: JobId,
    pub(super) cell: Cell,
    pub(super) process: AsyncFd<OwnedFd>,
    /// Its number on the host.
    pub(super) number: u32,
    /// How it ends, where somebody will tell.
    pub(super) ended: Option<Receiver<End>>,
    /// What wakes the checkpoint.
    pub(super) wake: pipe::Sender,
    pub(super) output: [Arc<pipe::Receiver>; 2],
    pub(super) reports: BufReader<pipe::Receiver>,
    pub(super) line: FrameWriter,
    /// The other end of the line.
    pub(super) unread: FarEnd,
    pub(super) checkpoint: Option<Checkpoint>,
    pub(super) rest: Rest,
    /// How many processes it has started that were there when it came to rest.
    pub(super) others: u32,
    pub(super) cells: u64,
    pub(super) bounds: Bounds,
    pub(super) rules: Arc<Rules>,
    pub(super) reins: Arc<Reins>,
}

/// The copy that goes on if a cell takes the interpreter with it.
#[derive(Debug)]
pub(super) struct Checkpoint {
    pub(super) process: AsyncFd<OwnedFd>,
    pub(super) number: u32,
}

impl Checkpoint {
    /// Begins its end.
    pub(super) fn kill(&self) {
        let _ = pidfd_send_signal(self.process.get_ref().as_fd(), Signal::KILL);
    }
}

impl Interpreter {
    /// Has a process begin a session, with the files that its request brings.
    ///
    /// # Errors
    /// Why it could not; within, why it would not: a file that cannot be put where the request says.
    pub async fn open(
        prepared: Prepared,
        (session, request): (JobId, &ExecuteRequest),
        bounds: Bounds,
        rules: Arc<Rules>,
        reins: Arc<Reins>,
    ) -> Result<Result<Self, Failure>, PrepareError> {
        let Prepared { mut cell, pipes, process, ended, .. } = prepared;
        let Pipes { stdin, stdout, stderr, result, returns, unread } = pipes;
        let (mut wake, line) = (pipe::Sender::from_owned_fd_unchecked(stdin)?, FrameWriter::new(returns)?);
        let number = process::number(process.get_ref().as_fd()).ok_or(NotReady::Ended)?;
        cell.be_freezable(number)?;
        cell.set_order_of_going(number, FIRST_TO_GO)?;
        let message = encode(request, &bounds, cell.begin(request));
        let mut reports = BufReader::with_capacity(REPORT, result);
        let begun = async { tokio::join!(read_opening(&mut reports), feed_all(&mut wake, &message, request)).0 };
        let rest = match tokio::time::timeout(SETTLING, begun).await {
            Ok(Opening::Rest(rest)) => rest,
            Ok(Opening::Refused(said)) => return Ok(Err(refusal(&said))),
            Ok(Opening::Nothing) | Err(_) => return Err(NotReady::Ended.into()),
        };
        let mut interpreter = Self {
            session,
            cell,
            process,
            number,
            ended: Some(ended),
            wake,
            output: [Arc::new(stdout), Arc::new(stderr)],
            reports,
            line,
            unread: unread.expect("a session's pipes have it").into(),
            checkpoint: None,
            rest: Rest::default(),
            others: 0,
            cells: 0,
            bounds,
            rules,
            reins,
        };
        interpreter.come_to_rest(rest).await;
        Ok(Ok(interpreter))
    }

    /// How many cells have begun in it.
    #[must_use]
    pub fn cells(&self) -> u64 {
        self.cells
    }

    /// Memory that it holds, in bytes.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.cell.cgroup().memory().unwrap_or(0)
    }

    /// What branches of it have left that are over.
    #[must_use]
    pub fn residue(&self) -> Arc<Residue> {
        self.cell.residue()
    }

    /// What its cells are held to.
    #[must_use]
    pub fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// Whether a copy is there that would go on.
    #[must_use]
    pub fn has_checkpoint(&self) -> bool {
        self.checkpoint.as_ref().is_some_and(|checkpoint| !has_ended(&checkpoint.process))
    }

    /// Ends it, and waits until nothing of it runs any more.
    pub async fn end(self) {
        self.cell.kill();
        self.cell.gone().await;
    }

    /// Waits until the interpreter is at rest behind a cell, and stops it.
    ///
    /// # Errors
    /// [`Over`], when it does not come to that and there is no checkpoint.
    pub async fn settle(&mut self) -> Result<(), Over> {
        let rest = tokio::time::timeout(SETTLING, read_rest(&mut self.reports, self.bounds.result_bytes));
        let rest = tokio::select! {
            rest = rest => rest.ok().flatten(),
            () = stopped_between(&self.cell, &self.bounds) => None,
        };
        match rest {
            Some(rest) => self.come_to_rest(rest).await,
            None if self.restore(&|| {}).await.0 => {}
            None => return Err(Over),
        }
        self.check_at_rest().await
    }

    /// Whether it holds no more of the kernel's than what is counted: locks stay while it is stopped.
    pub(super) async fn check_at_rest(&self) -> Result<(), Over> {
        if self.cell.has_too_many_locks().await {
            tracing::warn!(session = %self.session, "a session that holds too many record locks is ended");
            return Err(Over);
        }
        Ok(())
    }

    /// CPU time that it has used since its last cell or order began.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        self.cell.cgroup().cpu().unwrap_or_default()
    }

    /// Whether it holds too many of these record locks.
    #[must_use]
    pub fn holds_too_many(&self, held: &Holders) -> bool {
        holds_too_many(self.cell.cgroup(), held)
    }

    /// Stops all again, with the checkpoint that there is. Whether it came to that.
    ///
    /// # Errors
    /// As [`settle`](Self::settle).
    pub(super) async fn come_to_a_stop(&self) -> Result<bool, Over> {
        let is_stopped = stop(self.cell.cgroup()).await;
        self.check_at_rest().await.map(|()| is_stopped)
    }

    /// Takes note of the checkpoint, and stops all.
    pub(super) async fn come_to_rest(&mut self, rest: Rest) {
        let all = self.cell.cgroup().processes().unwrap_or_default();
        let before = self.checkpoint.take();
        let had = before.as_ref().is_some_and(|before| all.contains(&before.number));
        self.checkpoint = rest.pid.and_then(|pid| self.find(&all, pid));
        if let Some(before) = before {
            // Before all is stopped: in version 1 it would be, before its end.
            before.kill();
            let _ = tokio::time::timeout(OLD_END, dead(&before.process)).await;
        }
        let own = 1 + usize::from(self.checkpoint.is_some()) + usize::from(had);
        self.others = u32::try_from(all.len().saturating_sub(own)).unwrap_or(u32::MAX);
        self.rest = rest;
        stop(self.cell.cgroup()).await;
    }

    /// The process that has this number inside: the one that the interpreter says is its checkpoint.
    pub(super) fn find(&self, all: &[u32], pid: u32) -> Option<Checkpoint> {
        let is_it = |number: &u32| *number != self.number && process::number_inside(*number) == Some(pid);
        let number = *all.iter().find(|number| is_it(number))?;
        let process = hold(number)?;
        // What is held has that number, and is in the group: it was not another's meanwhile.
        let still = self.cell.cgroup().processes().is_ok_and(|all| all.contains(&number));
        if !still || !is_it(&number) || self.cell.set_order_of_going(number, LAST_TO_GO).is_err() {
            return None;
        }
        Some(Checkpoint { process, number })
    }
}

/// Why the runner would not begin a session.
pub(super) fn refusal(said: &[u8]) -> Failure {
    match failure(said) {
        Report::Failure(failure) => failure,
        _ => Failure::new(ErrorCode::Exception, "what the session says of its beginning cannot be understood"),
    }
}
