//! A session is opened.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use cloister_protocol::{
    Entry, ErrorCode, ExecuteRequest, Failure, JobId, SessionEnd, SessionInfo, SessionRequest, Tenant,
};
use tokio::sync::oneshot;

use crate::door::admitted::Admitted;
use crate::door::engine::Engine;
use crate::door::places::Place;
use crate::door::sessions::all::{Sessions, ended};
use crate::door::sessions::held::end;
use crate::door::sessions::session::Session;
use crate::job::bounds::Bounds;
use crate::job::session::Interpreter;
use crate::job::slots::Slots;
use crate::pool::Pool;

impl Sessions {
    /// Opens a session of the policy in force, in a place that it is made in.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn open(
        self: &Arc<Self>,
        engine: &Engine,
        (id, tenant): (JobId, Tenant),
        asked: SessionRequest,
        place: Place,
    ) -> Result<SessionInfo, Failure> {
        let SessionRequest { profile, files, idle_s, cells } = asked;
        if !cells.is_empty() {
            return Err(Failure::new(ErrorCode::InvalidRequest, "cells are sent one by one here"));
        }
        let request = ExecuteRequest { entry: Entry::Session, profile, files, ..ExecuteRequest::default() };
        let in_force = engine.in_force();
        let room = in_force.sessions();
        let pool = Arc::clone(in_force.pool(&request, None)?);
        let Some(language) = pool.bounds.language.of_cells else {
            let message = format!("profile {:?} has no sessions: its runtime is not Python", pool.name);
            return Err(Failure::new(ErrorCode::InvalidRequest, message));
        };
        let bounds = Bounds { language, ..pool.bounds };
        let admitted = Admitted::new(in_force, Arc::clone(&pool), engine.cgroup_version(), tenant, &request);
        let told = (pool.name.as_str(), admitted.explain());
        let session = Session::new((id, tenant), told, bounds, idle_s.map(Duration::from_secs));
        self.take_in(std::slice::from_ref(&session), room)?;
        let opening = Opening::new(self, &session);
        // In a task of its own, which a client that leaves does not cut short halfway.
        let (tell, told) = oneshot::channel();
        tokio::spawn(async move {
            let opened = opening.open(pool, &request).await;
            drop(place);
            // Nobody knows of it who could use it.
            if let Err(Ok(opening)) = tell.send(opened) {
                drop(opening);
            }
        });
        let opening = told.await.map_err(|_| Failure::new(ErrorCode::Internal, "the session's task ended"))??;
        opening.stays(Arc::clone(&engine.ground().slots));
        tracing::info!(session = %id, profile = session.profile, "a session is open");
        Ok(session.info())
    }

    /// Ends a session when its time is over, or it is seen to hold too many record locks at rest.
    fn watch(self: &Arc<Self>, session: &Arc<Session>, slots: Arc<Slots>) {
        let (all, session): (Weak<Self>, _) = (Arc::downgrade(self), Arc::clone(session));
        let mut lists = slots.locks.lists();
        drop(slots);
        tokio::spawn(async move {
            loop {
                let next = match session.due(Instant::now()) {
                    Ok(end) => {
                        if let Some(all) = all.upgrade() {
                            all.end(&session, end);
                        }
                        return;
                    }
                    Err(next) => next,
                };
                tokio::select! {
                    _ = session.over() => return,
                    () = tokio::time::sleep_until(next.into()) => {}
                    Ok(()) = lists.changed() => {
                        // While a cell runs, who runs it sees to it.
                        let held = Arc::clone(&*lists.borrow_and_update());
                        if session.holds_too_many(&held)
                            && let Some(all) = all.upgrade()
                        {
                            all.end(&session, SessionEnd::Memory);
                            return;
                        }
                    }
                }
            }
        });
    }
}

/// A session that is being opened. Dropped, it is over.
#[derive(Debug)]
pub(super) struct Opening {
    all: Arc<Sessions>,
    pub(super) session: Arc<Session>,
    stays: bool,
}

impl Opening {
    /// Of one that was taken in. Whatever becomes of this: it does not stay unless it was opened.
    pub(super) fn new(all: &Arc<Sessions>, session: &Arc<Session>) -> Self {
        Self { all: Arc::clone(all), session: Arc::clone(session), stays: false }
    }

    /// Gives the session its interpreter.
    ///
    /// # Errors
    /// When it is over by now.
    pub(super) async fn give(&self, place: &mut Option<Interpreter>, interpreter: Interpreter) -> Result<(), Failure> {
        self.session.set_open(&interpreter);
        *place = Some(interpreter);
        match self.session.ended() {
            None => Ok(()),
            Some(over) => {
                end(place).await;
                Err(ended(over))
            }
        }
    }

    async fn open(self, pool: Arc<Pool>, request: &ExecuteRequest) -> Result<Self, Failure> {
        let session = &self.session;
        let mut held = session.held.lock().await;
        // To its end, whatever becomes of the session meanwhile: who has it made would have the slot of one that nobody waits for.
        let made = pool.session((session.id, request), session.bounds, Arc::clone(&session.reins)).await;
        self.give(&mut held, made.map_err(|error| error.told())??).await?;
        drop(held);
        Ok(self)
    }

    pub(super) fn stays(mut self, slots: Arc<Slots>) {
        self.stays = true;
        self.all.watch(&self.session, slots);
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        if !self.stays {
            self.all.end(&self.session, SessionEnd::Closed);
        }
    }
}
