//! A session is forked: its interpreter puts copies of itself aside, and each goes on as a session of its own.
//!
//! A branch is in the cell of the session that it comes from, as one of its processes: with its id, its namespaces and its mounts, for
//! what is confined has no power over those. Its own are the control group, by which it is held, counted, stopped and ended, what it is
//! spoken to by, and a copy of the working directory. See docs/sessions.md for what that is worth.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use cloister_protocol::{Checkpoint as Rest, ErrorCode, Failure, JobId};
use cloister_sandbox::process::{self, FIRST_TO_GO};
use cloister_sandbox::wire::Span;
use serde::Serialize;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout_at};

use crate::job::cell::Cell;
use crate::job::frames::framed;
use crate::job::prepare_error::PrepareError;
use crate::job::prepared::{Pipes, START_TIME};
use crate::job::processes::stop;
use crate::job::session::branch::{Copied, killed, take_in_all};
use crate::job::session::hearing::{LONGEST_REST, Opening, Reply, read_opening, read_reply};
use crate::job::session::interpreter::{Interpreter, Over, SETTLING, refusal};
use crate::job::session::orders::told;
use crate::job::session::reins::Reins;
use crate::job::session::restore::not_kept;
use crate::job::session::watched::stopped_between;
use crate::job::slots::Slots;

/// What a session is to be forked into: what its branches are called, and what reaches their cells.
pub type Wanted = Vec<(JobId, Arc<Reins>)>;

/// An order to put a copy aside for a branch, or none; and to remove the files of those that are over.
#[derive(Serialize)]
struct ForkOrder<'a> {
    branch: Option<JobId>,
    gone: &'a [JobId],
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
        let begun = match self.begin_all(wanted, cells).await {
            Ok(begun) => begun,
            Err(not) => return self.settled(not).await.map(none),
        };
        // From here on one runs at a time, as in the session's place there may; and what is stopped is in the middle of nothing.
        let is_stopped = self.come_to_a_stop().await?;
        let taken = if is_stopped {
            take_in_all(begun).await
        } else {
            Err(killed("the session is not forked: it could not be stopped"))
        };
        let (branches, spent) = match taken {
            Ok(begun) => self.open_all(begun).await,
            Err(failure) => (Err(failure), Duration::ZERO),
        };
        let branches = branches.map(|branches| (branches, not_kept(&self.rest, self.others)));
        Ok(Branched { branches, spent })
    }

    /// Has it remove the files of branches that are over, of the same session that was opened once. It is not to be dropped before its
    /// end.
    ///
    /// # Errors
    /// [`Over`] when nothing of the session can go on; within, why they may be there.
    pub async fn forget_branches(&mut self, gone: &[JobId]) -> Result<Result<(), Failure>, Over> {
        let ready = self.cell.restart_count().and_then(|_| self.cell.cgroup().step_up());
        if ready.and_then(|()| self.cell.cgroup().freeze(false)).is_err() {
            return Err(Over);
        }
        match self.remove_copies(gone).await {
            Ok(()) => self.come_to_a_stop().await.map(|_| Ok(())),
            Err(not) => self.settled(not).await.map(Err),
        }
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

    /// Whether it is stopped.
    async fn come_to_a_stop(&self) -> Result<bool, Over> {
        let is_stopped = stop(self.cell.cgroup()).await;
        self.check_at_rest().await.map(|()| is_stopped)
    }

    /// So many parts of the session's cell, with nothing in them.
    async fn cells_for(&self, count: usize, slots: &Arc<Slots>) -> Result<Vec<Cell>, PrepareError> {
        let (mut cells, until) = (Vec::with_capacity(count), Instant::now() + START_TIME);
        for _ in 0..count {
            let lent = slots.lend().map_err(PrepareError::Slot)?;
            // A slot of the others may just have been lost.
            let lease = timeout_at(until, slots.lease()).await;
            let lease = lease.map_err(|_| PrepareError::TooSlow(START_TIME))?;
            let mut cell = self.cell.part(lease).map_err(PrepareError::Slot)?;
            cell.keep(lent);
            cells.push(cell);
            // A group takes many a file to make.
            tokio::task::yield_now().await;
        }
        Ok(cells)
    }

    /// Has the interpreter, which is awake, put aside a copy of itself for each.
    async fn begin_all(&mut self, branches: Wanted, cells: Vec<Cell>) -> Result<Vec<Copied>, Not> {
        // For all together: a session that takes its time has no more of it for having asked for many.
        let until = Instant::now() + SETTLING;
        let ids: Vec<_> = branches.iter().map(|(id, _)| *id).collect();
        let mut begun = Vec::with_capacity(ids.len());
        for (of, cell) in branches.into_iter().zip(cells) {
            let one = self.begin_branch(of, cell, until).await;
            // Each has a process of its own: it is not the one that goes on if a cell takes the session with it, either.
            let is_taken = |one: &Copied| {
                let others = begun.iter().map(|other: &Copied| &other.process).chain(&self.checkpoint);
                others.map(|other| other.number).any(|number| number == one.process.number)
            };
            match one {
                Ok(one) if is_taken(&one) => return Err(Not::Dead),
                Ok(one) => begun.push(one),
                Err(Not::Refused(failure)) => {
                    self.remove_copies(&ids).await?;
                    return Err(Not::Refused(failure));
                }
                Err(Not::Dead) => return Err(Not::Dead),
            }
        }
        Ok(begun)
    }

    /// Has it remove the files that were copied for branches.
    async fn remove_copies(&mut self, of: &[JobId]) -> Result<(), Not> {
        if of.is_empty() {
            return Ok(());
        }
        match self.ask(&ForkOrder { branch: None, gone: of }, None, Instant::now() + SETTLING).await {
            Err(Not::Dead) => Err(Not::Dead),
            // What it could not remove goes with the session.
            Ok(_) | Err(Not::Refused(_)) => Ok(()),
        }
    }

    /// Has it put a copy aside.
    async fn begin_branch(&mut self, of: (JobId, Arc<Reins>), cell: Cell, until: Instant) -> Result<Copied, Not> {
        let (pipes, theirs) = Pipes::new(Span::Session)?;
        let said = self.ask(&ForkOrder { branch: Some(of.0), gone: &[] }, Some(theirs), until).await?;
        let said = Rest::read(&said).ok_or(Not::Dead)?;
        let Some(pid) = said.pid else {
            let why = said.why.as_deref().unwrap_or("no copy of its process could be made");
            return Err(Not::Refused(Failure::new(ErrorCode::Exception, format!("the session is not forked: {why}"))));
        };
        let all = self.cell.cgroup().processes().map_err(PrepareError::Slot)?;
        let process = self.find(&all, pid).ok_or(Not::Dead)?;
        Ok(Copied { cell, pipes, process, of })
    }

    /// Has a session do it that is awake.
    async fn ask(
        &mut self,
        message: &ForkOrder<'_>,
        handed: Option<crate::link::job_fds::JobFds>,
        until: Instant,
    ) -> Result<Vec<u8>, Not> {
        let done = async {
            self.line.write(framed(message)).await?;
            if let Some(handed) = &handed {
                self.line.hand_over(&handed.in_order().map(AsFd::as_fd)).await?;
            }
            Ok::<_, std::io::Error>(read_reply(&mut self.reports, self.bounds.result_bytes).await)
        };
        let reply = tokio::select! {
            reply = timeout_at(until, done) => reply.ok().and_then(Result::ok).flatten(),
            () = stopped_between(&self.cell, &self.bounds) => None,
        };
        match reply {
            Some(Reply::Done(said)) if said.len() as u64 <= LONGEST_REST => Ok(said),
            Some(Reply::Failed(said)) => Err(Not::Refused(told(&said))),
            _ => Err(Not::Dead),
        }
    }

    /// Wakes one after the other, and waits until it is at rest.
    async fn open_all(&self, begun: Vec<Copied>) -> (Result<Vec<Self>, Failure>, Duration) {
        let until = Instant::now() + SETTLING;
        let (mut opened, mut spent) = (Vec::with_capacity(begun.len()), Duration::ZERO);
        for begun in begun {
            let mut branch = self.branch(begun);
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
            process::set_order_of_going(self.number, FIRST_TO_GO).ok()?;
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
