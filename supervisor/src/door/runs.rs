//! What a request runs in: a sandbox of its own, or a session.

use std::sync::Arc;

use cloister_protocol::{ErrorCode, ExecuteRequest, Failure};

use crate::door::engine::Engine;
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
            check(request, &turn)?;
            return Ok((Self::Cell(turn), None));
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

/// Checks a cell by what its session is held to.
fn check(request: &ExecuteRequest, turn: &Turn) -> Result<(), Failure> {
    let (bounds, profile) = (turn.bounds(), turn.profile());
    let (size, most) = (request.script.len() as u64, bounds.script_bytes);
    if size > most {
        return Err(Failure::new(ErrorCode::TooLarge, format!("code is {size} bytes, profile {profile:?} accepts {most}")));
    }
    if request.timeout_ms.is_some() && !bounds.may_lower_timeout {
        let message = format!("timeout_ms: profile {profile:?} does not let requests lower their wall time");
        return Err(Failure::new(ErrorCode::InvalidRequest, message));
    }
    Ok(())
}
