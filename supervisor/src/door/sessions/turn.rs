//! A turn in a session: one cell, or one order, at a time.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use cloister_protocol::{Busy, ErrorCode, ExecuteRequest, Failure, JobId, SessionEnd, Tenant};
use tokio::sync::{OwnedMutexGuard, oneshot};

use crate::door::places::Place;
use crate::door::sessions::all::{Sessions, ended};
use crate::door::sessions::held::end;
use crate::door::sessions::room::SessionRoom;
use crate::door::sessions::session::{Asking, Session};
use crate::job::bounds::Bounds;
use crate::job::conversation::Conversation;
use crate::job::outcome::Outcome;
use crate::job::prepare_error::PrepareError;
use crate::job::session::{Interpreter, Order, Over, Replied};

/// How many may wait for their turn in one session: each holds a connection.
const MOST_WAITING: usize = 16;

/// For how long they wait.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// A turn in a session. Dropped, the next has it.
#[derive(Debug)]
pub struct Turn {
    pub(super) all: Arc<Sessions>,
    pub(super) session: Arc<Session>,
    pub(super) held: OwnedMutexGuard<Option<Interpreter>>,
    pub(super) asking: Asking,
    pub(super) memory: u64,
}

impl Sessions {
    /// Waits for a turn in a session of a tenant's.
    ///
    /// # Errors
    /// When there is no such session, it is over or so before its turn, or it is busy and that is to be told at once.
    pub async fn turn(
        self: &Arc<Self>,
        (id, tenant): (JobId, Tenant),
        busy: Busy,
        SessionRoom { memory, waiting, .. }: SessionRoom,
    ) -> Result<Turn, Failure> {
        let session = self.find(id, tenant)?;
        if session.is_opening() {
            return Err(Failure::new(ErrorCode::SessionBusy, "the session is still being opened"));
        }
        if self.asked(tenant) >= waiting {
            let message = format!(
                "{waiting} requests of yours wait for their turn in sessions already: the others' share of the policy's queue"
            );
            return Err(Failure::new(ErrorCode::Overloaded, message));
        }
        let most = if busy == Busy::Refuse { 0 } else { MOST_WAITING };
        let asking = session.ask(most).map_err(|asked| is_busy(busy, asked))?;
        let turn = tokio::time::timeout(LONGEST_WAIT, Arc::clone(&session.held).lock_owned());
        let held = tokio::select! {
            biased;
            end = session.over() => return Err(ended(end)),
            held = turn => held.map_err(|_| is_busy(busy, 1))?,
        };
        if held.is_none() {
            return Err(ended(session.ended().unwrap_or(SessionEnd::Crashed)));
        }
        Ok(Turn { all: Arc::clone(self), session, held, asking, memory })
    }
}

fn is_busy(busy: Busy, asked: usize) -> Failure {
    let message = match busy {
        Busy::Refuse => "a cell of the session runs, and the request would not wait for its end (busy)".to_owned(),
        Busy::Wait => format!(
            "{asked} requests wait for their turn in the session, or one has waited for {} s",
            LONGEST_WAIT.as_secs()
        ),
    };
    Failure::new(ErrorCode::SessionBusy, message)
}

impl Turn {
    /// What its session's cells are held to.
    #[must_use]
    pub fn bounds(&self) -> &Bounds {
        &self.session.bounds
    }

    /// The layers in force.
    #[must_use]
    pub fn layers(&self) -> &str {
        &self.session.layers
    }

    /// The name of its session's profile.
    #[must_use]
    pub fn profile(&self) -> &str {
        &self.session.profile
    }

    /// Runs a cell to its outcome; meanwhile the conversation has what it prints and calls. Dropping the future interrupts the cell,
    /// as whoever would have had the answer has left: it ends by that or by force, and the session goes on.
    ///
    /// # Errors
    /// When the session is over, or was lost.
    pub async fn run(
        self,
        request: &ExecuteRequest,
        conversation: &Conversation,
        place: Arc<Place>,
    ) -> Result<Outcome, Failure> {
        let Self { all, session, mut held, asking, memory } = self;
        let known = (Arc::clone(&all), Arc::clone(&session));
        let next = held.as_mut().expect("a turn has it").next(request);
        let conversation = conversation.clone();
        let (mut tell, told) = oneshot::channel();
        tokio::spawn(async move {
            session.begin_cell();
            let ran = {
                let mut run = pin!(held.as_mut().expect("as before").run(next, &conversation));
                tokio::select! {
                    biased;
                    outcome = &mut run => Ok(outcome),
                    end = session.over() => Err(end),
                    () = tell.closed() => {
                        session.reins.interrupt();
                        tokio::select! { outcome = run => Ok(outcome), end = session.over() => Err(end) }
                    }
                }
            };
            session.end_cell(ran.as_ref().ok().and_then(|outcome| outcome.as_ref().ok()));
            drop(asking);
            let lives = lives(&ran);
            if matches!(lives, Lives::Not) {
                // What ended its branches is told before they are dead.
                all.end(&session, SessionEnd::Crashed);
                end(&mut held).await;
            }
            let _ = tell.send(match ran {
                Ok(Ok(outcome)) => Ok(outcome),
                Ok(Err(error)) => Err(error.told_after_start()),
                Err(end) => Err(ended(end).after_start()),
            });
            // Its place is free when it has come to rest: what runs until then runs in it.
            rest(lives, (&all, &session), held, memory).await;
            drop(place);
        });
        told.await.unwrap_or_else(|_| Err(broken(&known)))
    }

    /// Has the session carry out an order about its files.
    ///
    /// # Errors
    /// Why it was not.
    pub async fn carry_out(self, order: Order, place: Arc<Place>) -> Result<Replied, Failure> {
        let Self { all, session, mut held, asking, memory } = self;
        let known = (Arc::clone(&all), Arc::clone(&session));
        let (tell, told) = oneshot::channel();
        // In a task of its own, which a client that leaves does not cut short halfway.
        tokio::spawn(async move {
            let carry_out = async |interpreter: &mut Interpreter| interpreter.carry_out(&order).await;
            let done = between_cells((&all, &session), &mut held, carry_out).await;
            drop((held, asking, place));
            all.keep_within(memory);
            let _ = tell.send(done.and_then(|replied| replied));
        });
        told.await.unwrap_or_else(|_| Err(broken(&known)))
    }
}

/// Has a session's interpreter do something between two cells, unless the session is over first. What that uses is the session's.
///
/// # Errors
/// That the session is over.
pub(super) async fn between_cells<T>(
    (all, session): (&Sessions, &Arc<Session>),
    held: &mut Option<Interpreter>,
    does: impl AsyncFnOnce(&mut Interpreter) -> Result<T, Over>,
) -> Result<T, Failure> {
    let done = tokio::select! {
        biased;
        done = does(held.as_mut().expect("a turn has it")) => Ok(done),
        end = session.over() => Err(end),
    };
    if let Ok(Err(Over)) = done {
        all.end(session, SessionEnd::Crashed);
        end(held).await;
    }
    if let Some(interpreter) = held.as_ref() {
        session.spend(interpreter.cpu());
        session.rest(interpreter.memory());
    }
    match done {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(Over)) => Err(ended(SessionEnd::Crashed)),
        Err(end) => Err(ended(end)),
    }
}

/// A bug of ours: what the session is in is not known, and so it is over.
pub(super) fn broken((all, session): &(Arc<Sessions>, Arc<Session>)) -> Failure {
    all.end(session, SessionEnd::Crashed);
    Failure::new(ErrorCode::Internal, "what runs the session has ended").after_start()
}

/// What a cell has left of its session.
#[derive(Clone, Copy)]
enum Lives {
    /// With the CPU time that was told of it.
    AsItWas(Duration),
    Restored(Duration),
    Not,
}

fn lives(ran: &Result<Result<Outcome, PrepareError>, SessionEnd>) -> Lives {
    let Ok(Ok(outcome)) = ran else { return Lives::Not };
    match outcome.of_cell.as_ref().and_then(|cell| cell.restored) {
        None => Lives::AsItWas(outcome.used.cpu),
        Some(true) => Lives::Restored(outcome.used.cpu),
        Some(false) => Lives::Not,
    }
}

/// Behind a cell: until its session is at rest, nobody has the next turn.
async fn rest(
    lives: Lives,
    (all, session): (&Sessions, &Arc<Session>),
    mut held: OwnedMutexGuard<Option<Interpreter>>,
    memory: u64,
) {
    let Some(interpreter) = held.as_mut() else { return };
    let settled = match lives {
        Lives::AsItWas(told) => tokio::select! {
            settled = interpreter.settle() => settled.map(|()| told),
            _ = session.over() => Err(Over),
        },
        Lives::Restored(told) => Ok(told),
        Lives::Not => Err(Over),
    };
    if let Ok(told) = settled {
        // What it used behind its verdict is the session's.
        session.spend(interpreter.cpu().saturating_sub(told));
        session.rest(interpreter.memory());
        drop(held);
        all.keep_within(memory);
        return;
    }
    all.end(session, SessionEnd::Crashed);
    end(&mut held).await;
}
