//! A session is forked into others.

use std::sync::Arc;
use std::time::Duration;

use cloister_protocol::{ErrorCode, Failure, Forked};
use tokio::sync::{OwnedMutexGuard, oneshot};

use crate::door::places::Place;
use crate::door::sessions::all::ended;
use crate::door::sessions::open::Opening;
use crate::door::sessions::room::SessionRoom;
use crate::door::sessions::turn::{Turn, between_cells, broken};
use crate::job::session::{Branched, Interpreter, Order};
use crate::job::slots::Slots;

/// How often it is looked whether there is room after all, where files of branches that are over have just been removed, and how long
/// behind one another.
const LOOKS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(10);

/// What a fork came to: the branches, and what none of them has.
type Made = (Vec<Opening>, Vec<String>);

impl Turn {
    /// Forks its session into so many branches, or none.
    ///
    /// # Errors
    /// Why there are none.
    pub async fn fork(
        mut self,
        count: u32,
        room: SessionRoom,
        slots: &Arc<Slots>,
        place: Arc<Place>,
    ) -> Result<Forked, Failure> {
        let known = (Arc::clone(&self.all), Arc::clone(&self.session));
        // In a task of its own, which a client that leaves does not cut short halfway.
        let (tell, told) = oneshot::channel();
        let forks_in = Arc::clone(slots);
        tokio::spawn(async move {
            let made = self.make_branches(count, room, &forks_in).await;
            let Self { all, memory, held, asking, .. } = self;
            drop((held, asking, place));
            all.keep_within(memory);
            // Nobody knows of them who could use them.
            if let Err(Ok((openings, _))) = tell.send(made) {
                drop(openings);
            }
        });
        let (openings, not_kept): Made = told.await.unwrap_or_else(|_| Err(broken(&known)))?;
        tracing::info!(session = %known.1.id, branches = count, "a session is forked");
        let branches = openings.iter().map(|opening| opening.session.info()).collect();
        openings.into_iter().for_each(|opening| opening.stays(Arc::clone(slots)));
        Ok(Forked { branches, not_kept })
    }

    async fn make_branches(&mut self, count: u32, room: SessionRoom, slots: &Arc<Slots>) -> Result<Made, Failure> {
        let Self { all, session, held, .. } = self;
        let gone = session.take_gone();
        let mut looks = if gone.is_empty() { 0 } else { LOOKS };
        if !gone.is_empty() {
            let order = Order::Forget(gone);
            let forget = async |interpreter: &mut Interpreter| interpreter.carry_out(&order).await;
            between_cells((all, session), held, forget).await.and_then(|forgotten| forgotten)?;
            session.look_again();
        }
        let branches: Vec<_> = (0..count).map(|_| session.branch()).collect();
        // Whoever closes one before it is there waits until it is.
        let held_branches = branches.iter().map(|branch| Arc::clone(&branch.held).try_lock_owned());
        let held_branches: Vec<_> = held_branches.map(|held| held.expect("nobody else knows of it")).collect();
        while let Err(full) = all.take_in(&branches, room) {
            if looks == 0 {
                return Err(full);
            }
            looks -= 1;
            tokio::time::sleep(PAUSE).await;
        }
        let openings: Vec<_> = branches.iter().map(|branch| Opening::new(all, branch)).collect();
        let wanted = branches.iter().map(|branch| (branch.id, Arc::clone(&branch.reins))).collect();
        let fork = async |interpreter: &mut Interpreter| interpreter.fork(wanted, slots).await;
        let Branched { branches: made, spent } = between_cells((all, session), held, fork).await?;
        session.spend(spent);
        let (made, not_kept) = made?;
        let given = give(openings, held_branches, made).await;
        // It is over itself, or one of them was closed.
        Ok((given.map_err(|closed| session.ended().map_or(closed, ended))?, not_kept))
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
