//! A session is forked: its interpreter puts copies of itself aside, and each goes on as a session of its own.
//!
//! A branch is in the cell of the session that it comes from, as one of its processes: with its id, its namespaces and its mounts, for
//! what is confined has no power over those. Its own are the control group, by which it is held, counted, stopped and ended, what it is
//! spoken to by, and a copy of the working directory. See docs/sessions.md for what that is worth.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use cloister_protocol::{Checkpoint as Rest, ErrorCode, Failure, JobId};
use cloister_sandbox::process::FIRST_TO_GO;
use cloister_sandbox::wire::Span;
use serde::Serialize;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout_at};

use crate::job::cell::Cell;
use crate::job::frames::framed;
use crate::job::handed::Handed;
use crate::job::prepare_error::PrepareError;
use crate::job::prepared::{Pipes, START_TIME};
use crate::job::session::branch::{Copied, killed, take_in_all};
use crate::job::session::hearing::{LONGEST_REST, Opening, Reply, read_opening, read_reply};
use crate::job::session::interpreter::{Interpreter, Over, SETTLING, refusal};
use crate::job::session::orders::{Order, told};
use crate::job::session::reins::Reins;
use crate::job::session::restore::not_kept;
use crate::job::session::watched::stopped_between;
use crate::job::slots::Slots;
use crate::link::job_fds::JobFds;

/// What a session is to be forked into: what its branches are called, and what reaches their cells.
pub type Wanted = Vec<(JobId, Arc<Reins>)>;

/// An order to put a copy aside for a branch.
#[derive(Serialize)]
struct ForkOrder {
    branch: JobId,
}

/// What came of a fork.
#[derive(Debug)]
pub struct Branched {
    /// The branches, each at rest, and what of the session none of them has; or why there are none.
    pub branches: Result<(Vec<Interpreter>, Vec<String>), Failure>,
    /// CPU time that was used in groups of branches.
    pub spent: Duration,
}

/// Why there is no branch.
enum Not {
    /// As it says.
    Refused(Failure),
    /// The session's interpreter says what nobody understands, or nothing, or takes too long: it is in no state that is known.
    Dead,
}

impl<E: Into<PrepareError>> From<E> for Not {
    fn from(error: E) -> Self {
        Self::Refused(error.into().told())
    }
}

impl Interpreter {
    /// Forks it into sessions: all of them, or none. It is not to be dropped before its end.
    ///
    /// # Errors
    /// [`Over`] when nothing of the session can go on.
    pub async fn fork(&mut self, wanted: Wanted, slots: &Arc<Slots>) -> Result<Branched, Over> {
        if self.cell.restart_count().and_then(|_| self.cell.cgroup().step_up()).is_err() {
            return Err(Over);
        }
        let none = |failure| Branched { branches: Err(failure), spent: Duration::ZERO };
        let cells = match self.cells_for(wanted.len(), slots).await {
            Ok(cells) => cells,
            Err(error) => return Ok(none(error.told())),
        };
        if self.cell.cgroup().freeze(false).is_err() {
            return Err(Over);
        }
        let ids: Vec<_> = wanted.iter().map(|(id, _)| *id).collect();
        let mut begun = Vec::with_capacity(wanted.len());
        if let Err(not) = self.begin_all(wanted, cells, &mut begun).await {
            return self.undo(begun, not, ids).await;
        }
        // From here on one runs at a time, as in the session's place there may; and what is stopped is in the middle of nothing.
        let is_stopped = self.come_to_a_stop().await?;
        let taken = if is_stopped {
            take_in_all(&mut begun).await
        } else {
            Err(killed("the session is not forked: it could not be stopped"))
        };
        if let Err(failure) = taken {
            return self.undo(begun, Not::Refused(failure), ids).await;
        }
        let (branches, spent) = self.open_all(begun).await;
        let branches = branches.map(|branches| (branches, not_kept(&self.rest, self.others)));
        Ok(Branched { branches, spent })
    }

    /// At rest again without branches: why there are none. The copies are ended and what was copied for them is removed, for which all is
    /// let go on: on version 1 what is killed while it is stopped waits for that.
    async fn undo(&mut self, begun: Vec<Copied>, not: Not, ids: Vec<JobId>) -> Result<Branched, Over> {
        for copied in begun {
            copied.process.kill();
        }
        let failure = self.settled(not).await?;
        let spent = self.cpu();
        // What it cannot remove goes with the session.
        let _ = self.carry_out(&Order::Forget(ids)).await?;
        Ok(Branched { branches: Err(failure), spent })
    }

    /// At rest again, although it did not come to what was asked: why not.
    async fn settled(&mut self, not: Not) -> Result<Failure, Over> {
        match not {
            Not::Refused(failure) => self.come_to_a_stop().await.map(|_| failure),
            Not::Dead => {
                let (true, not_kept) = self.restore(&|| {}).await else { return Err(Over) };
                let without =
                    if not_kept.is_empty() { String::new() } else { format!(", without {}", not_kept.join(", ")) };
                Ok(killed(&format!(
                    "the session is not forked: its process has ended, takes too long, or says what nobody understands; it is as it was before{without}"
                )))
            }
        }
    }

    /// So many parts of the session's cell, with nothing in them.
    async fn cells_for(&self, count: usize, slots: &Arc<Slots>) -> Result<Vec<Cell>, PrepareError> {
        let (mut cells, until) = (Vec::with_capacity(count), Instant::now() + START_TIME);
        for _ in 0..count {
            let lease = slots.lease_beside(until.saturating_duration_since(Instant::now())).await?;
            cells.push(self.cell.part(lease).map_err(PrepareError::Slot)?);
            // A group takes many a file to make.
            tokio::task::yield_now().await;
        }
        Ok(cells)
    }

    /// Has the interpreter, which is awake, put aside a copy of itself for each.
    async fn begin_all(&mut self, branches: Wanted, cells: Vec<Cell>, begun: &mut Vec<Copied>) -> Result<(), Not> {
        // For all together: a session that takes its time has no more of it for having asked for many.
        let until = Instant::now() + SETTLING;
        for (of, cell) in branches.into_iter().zip(cells) {
            let one = self.begin_branch(of, cell, until).await?;
            // Each has a process of its own: it is not the one that goes on if a cell takes the session with it, either.
            let others = begun.iter().map(|other: &Copied| &other.process).chain(&self.checkpoint);
            if others.map(|other| other.number).any(|number| number == one.process.number) {
                return Err(Not::Dead);
            }
            begun.push(one);
        }
        Ok(())
    }

    /// Has it put a copy aside.
    async fn begin_branch(&mut self, of: (JobId, Arc<Reins>), mut cell: Cell, until: Instant) -> Result<Copied, Not> {
        let (pipes, theirs) = Pipes::new(Span::Session)?;
        cell.note_handed(Handed::of(pipes.ends())?);
        let said = self.ask_for_copy(of.0, &theirs, until).await?;
        let Some(pid) = said.pid else {
            let why = said.why.as_deref().unwrap_or("no copy of its process could be made");
            return Err(Not::Refused(Failure::new(ErrorCode::Exception, format!("the session is not forked: {why}"))));
        };
        // One that is not found is not ended by itself: all is.
        let all = self.cell.cgroup().processes().map_err(|_| Not::Dead)?;
        let process = self.find(&all, pid).ok_or(Not::Dead)?;
        Ok(Copied { cell, pipes, process, of })
    }

    /// What a session says, which is awake, of the copy that it is to put aside with these to read and write.
    async fn ask_for_copy(&mut self, branch: JobId, handed: &JobFds, until: Instant) -> Result<Rest, Not> {
        let done = async {
            self.line.write(framed(&ForkOrder { branch })).await?;
            self.line.hand_over(&handed.in_order().map(AsFd::as_fd)).await?;
            Ok::<_, std::io::Error>(read_reply(&mut self.reports, self.bounds.result_bytes).await)
        };
        let reply = tokio::select! {
            reply = timeout_at(until, done) => reply.ok().and_then(Result::ok).flatten(),
            () = stopped_between(&self.cell, &self.bounds) => None,
        };
        match reply {
            // It has not taken what it was handed.
            _ if !self.unread.is_read() => Err(Not::Dead),
            Some(Reply::Done(said)) if said.len() as u64 <= LONGEST_REST => Rest::read(&said).ok_or(Not::Dead),
            Some(Reply::Failed(said)) => Err(Not::Refused(told(&said))),
            _ => Err(Not::Dead),
        }
    }

    /// Wakes one after the other, and waits until it is at rest.
    async fn open_all(&self, begun: Vec<Copied>) -> (Result<Vec<Self>, Failure>, Duration) {
        let until = Instant::now() + SETTLING;
        let (mut opened, mut spent) = (Vec::with_capacity(begun.len()), Duration::ZERO);
        for begun in begun {
            let mut branch = match self.branch(begun) {
                Ok(branch) => branch,
                Err(error) => return (Err(killed(&format!("the session is not forked: {error}"))), spent),
            };
            let came = branch.come_to_be(until).await;
            spent += branch.cpu();
            match came {
                Ok(()) => opened.push(branch),
                Err(Not::Refused(failure)) => return (Err(failure), spent),
                Err(Not::Dead) => {
                    let message = "the session is not forked: a copy of its process has ended, takes too long, or holds too many locks";
                    return (Err(killed(message)), spent);
                }
            }
        }
        (Ok(opened), spent)
    }

    /// Wakes a branch, which then is at rest in its turn.
    async fn come_to_be(&mut self, until: Instant) -> Result<(), Not> {
        let woken = async {
            self.cell.set_order_of_going(self.number, FIRST_TO_GO).ok()?;
            self.wake.write_all(&[1]).await.ok()
        };
        // It is not there, or nothing of it reads.
        woken.await.ok_or(Not::Dead)?;
        self.cell.cgroup().freeze(false).map_err(PrepareError::Slot)?;
        let opening = tokio::select! {
            opening = timeout_at(until, read_opening(&mut self.reports)) => opening.unwrap_or(Opening::Nothing),
            () = stopped_between(&self.cell, &self.bounds) => Opening::Nothing,
        };
        match opening {
            Opening::Rest(rest) => self.come_to_rest(rest).await,
            Opening::Refused(said) => return Err(Not::Refused(refusal(&said))),
            Opening::Nothing => return Err(Not::Dead),
        }
        self.check_at_rest().await.map_err(|Over| Not::Dead)
    }
}
