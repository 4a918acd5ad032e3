//! A sandbox that waits for its request, on its way from a profile's pool to the job's end.

use std::convert::Infallible;
use std::sync::Arc;

use cloister_protocol::ExecuteRequest;
use tokio::sync::oneshot;

use crate::job::bounds::Bounds;
use crate::job::conversation::Conversation;
use crate::job::denial::Rules;
use crate::job::outcome::Outcome;
use crate::job::prepare_error::PrepareError;
use crate::job::prepared::Prepared;
use crate::pool::line::InService;
use crate::pool::spent::Spent;

/// A sandbox that waits for a request.
#[derive(Debug)]
pub struct Child {
    /// The sandbox.
    pub prepared: Prepared,
    /// Whether another is parked in its place.
    pub parked: bool,
}

/// A sandbox that waits for its request, and what its job is judged by.
#[derive(Debug)]
pub struct Ready {
    prepared: Prepared,
    bounds: Bounds,
    rules: Arc<Rules>,
    spent: Arc<Spent>,
    _serving: Option<Serving>,
    _in_service: InService<Child, PrepareError>,
}

/// Dropped when a child has served.
pub type Serving = oneshot::Sender<Infallible>;

impl Ready {
    /// For a request that is judged by these.
    #[must_use]
    pub fn new(
        (prepared, serving, in_service): (Prepared, Option<Serving>, InService<Child, PrepareError>),
        bounds: Bounds,
        rules: Arc<Rules>,
        spent: Arc<Spent>,
    ) -> Self {
        Self { prepared, bounds, rules, spent, _serving: serving, _in_service: in_service }
    }

    /// What its job is held to.
    #[must_use]
    pub fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// With other bounds than the profile's.
    #[must_use]
    pub fn within(self, bounds: Bounds) -> Self {
        Self { bounds, ..self }
    }

    /// Runs the request to its outcome; meanwhile the conversation has what it prints and calls. Dropping the future kills the job and frees
    /// its slot.
    ///
    /// # Errors
    /// When its sandbox was lost.
    pub async fn run(self, request: &ExecuteRequest, conversation: &Conversation) -> Result<Outcome, PrepareError> {
        let mut outcome = self.prepared.run(request, &self.bounds, conversation).await?;
        self.spent.add(outcome.ahead, outcome.used.cpu);
        if let Err(failure) = &mut outcome.verdict {
            self.rules.explain(failure, &outcome.used);
        }
        Ok(outcome)
    }
}
