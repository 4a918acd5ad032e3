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
    /// Whether whoever sent it hears of what it shows as it is shown.
    pub shows: bool,
}

impl Conversation {
    /// With nobody who listens: the job has no tools.
    #[must_use]
    pub fn alone() -> Self {
        Self { printed: Printed::default(), calls: Arc::new(Calls::none()), shows: false }
    }

    /// With whoever sent this request, who hears of each call, and if that is asked for of what is shown.
    #[must_use]
    pub fn new(request: &ExecuteRequest, limits: ToolLimits, shows: bool) -> (Self, mpsc::Receiver<Vec<u8>>) {
        let (calls, heard) = Calls::new(request.tools.clone(), limits);
        (Self { printed: Printed::default(), calls: Arc::new(calls), shows }, heard)
    }
}
