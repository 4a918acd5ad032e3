//! What is said between a job and whoever sent it, while it runs.

use std::sync::Arc;

use cloister_protocol::ExecuteRequest;
use cloister_terms::ToolLimits;
use tokio::sync::mpsc;

use crate::job::calls::Calls;
use crate::job::output::Printed;

/// What a job prints and calls, and what its calls come to.
#[derive(Clone, Debug)]
pub struct Conversation {
    /// What it has printed so far.
    pub printed: Printed,
    /// Its calls of tools.
    pub calls: Arc<Calls>,
}

impl Conversation {
    /// With nobody who listens: the job has no tools.
    #[must_use]
    pub fn alone() -> Self {
        Self { printed: Printed::default(), calls: Arc::new(Calls::none()) }
    }

    /// With whoever sent this request, who hears of each call.
    #[must_use]
    pub fn new(request: &ExecuteRequest, limits: ToolLimits) -> (Self, mpsc::Receiver<Vec<u8>>) {
        let (calls, heard) = Calls::new(&request.tools, limits);
        (Self { printed: Printed::default(), calls: Arc::new(calls) }, heard)
    }
}
