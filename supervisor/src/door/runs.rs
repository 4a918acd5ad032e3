//! What a request runs in: a sandbox of its own, or a session.

use std::sync::Arc;

use cloister_protocol::{ExecuteRequest, Failure};

use crate::door::engine::Engine;
use crate::door::in_force::{check_size, check_timeout};
use crate::door::places::Place;
use crate::door::sessions::Turn;
use crate::job::bounds::Bounds;
use crate::job::conversation::Conversation;
use crate::job::outcome::Outcome;
use crate::pool::ready::Ready;

/// What a request runs in.
#[derive(Debug)]
pub enum Runs {
    /// A sandbox of its own.
    Job(Box<Ready>),
    /// A turn in a session, of which it is a cell.
    Cell(Turn),
}

impl Runs {
    /// What a request runs in that has a place, and a turn if it is a cell; with the layers in force if they were asked for.
    ///
    /// # Errors
    /// Why it cannot run.
    pub async fn of(
        engine: &Engine,
        (request, place, turn): (&ExecuteRequest, &Place, Option<Turn>),
        (runtime, explain): (Option<&str>, bool),
    ) -> Result<(Self, Option<String>), Failure> {
        if let Some(turn) = turn {
            check_size("code", request, turn.bounds(), turn.profile())?;
            check_timeout(request, turn.bounds(), turn.profile())?;
            let layers = explain.then(|| turn.layers().to_owned());
            return Ok((Self::Cell(turn), layers));
        }
        let admitted = engine.admit(place, request, runtime)?;
        let layers = explain.then(|| admitted.explain());
        Ok((Self::Job(Box::new(admitted.ready().await?)), layers))
    }

    /// What it is held to.
    #[must_use]
    pub fn bounds(&self) -> &Bounds {
        match self {
            Self::Job(ready) => ready.bounds(),
            Self::Cell(turn) => turn.bounds(),
        }
    }

    /// Runs the request to its outcome; meanwhile the conversation has what it prints and calls. Dropping the future kills a job, and
    /// interrupts a cell.
    ///
    /// # Errors
    /// When what it ran in was lost.
    pub async fn run(
        self,
        request: &ExecuteRequest,
        conversation: &Conversation,
        place: &Arc<Place>,
    ) -> Result<Outcome, Failure> {
        match self {
            Self::Job(ready) => ready.run(request, conversation).await.map_err(|error| error.told_after_start()),
            Self::Cell(turn) => turn.run(request, conversation, Arc::clone(place)).await,
        }
    }
}
