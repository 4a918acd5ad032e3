//! A session is forked into others.

use std::sync::Arc;

use cloister_protocol::{ErrorCode, Failure, Forked};
use tokio::sync::{OwnedMutexGuard, oneshot};

use crate::door::places::Place;
use crate::door::sessions::all::ended;
use crate::door::sessions::open::Opening;
use crate::door::sessions::room::SessionRoom;
use crate::door::sessions::turn::{Turn, between_cells, broken};
use crate::job::session::{Branched, Interpreter, Wanted};
use crate::job::slots::Slots;

impl Turn {
    /// Forks its session into so many branches, or none.
    ///
    /// # Errors
    /// Why there are none.
    pub async fn fork(
        self,
        count: u32,
        room: SessionRoom,
        slots: &Arc<Slots>,
        place: Arc<Place>,
    ) -> Result<Forked, Failure> {
        let Self { all, session, mut held, asking, memory } = self;
        let known = (Arc::clone(&all), Arc::clone(&session));
        let branches: Vec<_> = (0..count).map(|_| session.branch()).collect();
        // Whoever closes one before it is there waits until it is.
        let held_branches = branches.iter().map(|branch| Arc::clone(&branch.held).try_lock_owned());
        let held_branches: Vec<_> = held_branches.map(|held| held.expect("nobody else knows of it")).collect();
        all.take_in(&branches, room)?;
        let openings: Vec<_> = branches.iter().map(|branch| Opening::new(&all, branch)).collect();
        // In a task of its own, which a client that leaves does not cut short halfway.
        let (tell, told) = oneshot::channel();
        let forks_in = Arc::clone(slots);
        tokio::spawn(async move {
            let of = openings.iter().map(|opening| (opening.session.id, Arc::clone(&opening.session.reins)));
            let gone = session.take_gone();
            let wanted = Wanted { branches: of.collect(), gone: gone.clone() };
            let fork = async |interpreter: &mut Interpreter| interpreter.fork(wanted, &forks_in).await;
            let made = between_cells((&all, &session), &mut held, fork).await;
            drop((held, asking));
            let made = made.and_then(|Branched { branches, spent }| {
                session.spend(spent);
                branches
            });
            let forked = match made {
                Ok((made, not_kept)) => {
                    let given = give(openings, held_branches, made).await;
                    // It is over itself, or one of them was closed.
                    let given = given.map_err(|closed| session.ended().map_or(closed, ended));
                    given.map(|openings| (openings, not_kept))
                }
                Err(failure) => {
                    session.note_gone(&gone);
                    Err(failure)
                }
            };
            drop(place);
            all.keep_within(memory);
            // Nobody knows of them who could use them.
            if let Err(Ok((openings, _))) = tell.send(forked) {
                drop(openings);
            }
        });
        let (openings, not_kept) = told.await.unwrap_or_else(|_| Err(broken(&known)))?;
        tracing::info!(session = %known.1.id, branches = count, "a session is forked");
        openings.into_iter().for_each(|opening| opening.stays(Arc::clone(slots)));
        Ok(Forked { branches: branches.iter().map(|branch| branch.info()).collect(), not_kept })
    }
}

/// Gives each branch its interpreter.
async fn give(
    openings: Vec<Opening>,
    held: Vec<OwnedMutexGuard<Option<Interpreter>>>,
    made: Vec<Interpreter>,
) -> Result<Vec<Opening>, Failure> {
    for ((opening, mut held), interpreter) in openings.iter().zip(held).zip(made) {
        let given = opening.give(&mut held, interpreter).await;
        given.map_err(|_| {
            Failure::new(ErrorCode::Killed, "the session is not forked: a branch was closed before it was there")
        })?;
    }
    Ok(openings)
}
