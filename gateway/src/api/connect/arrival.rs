//! What a conversation is given of its connection: how its jobs are followed, and that the connection is in use.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use axum::response::Response;
use cloister_protocol::JobId;

/// A job of a conversation, which is logged and counted as a request of its own.
pub struct Followed {
    /// Its id.
    pub id: JobId,
    /// Follows its answer until that is dropped.
    pub answer: Box<dyn FnOnce(Response) -> Response + Send>,
}

/// What a conversation is given of its connection.
#[derive(Clone)]
pub struct Arrival {
    /// Begins to follow a job. What it gives, dropped, is a job whose client has left.
    pub begin: Arc<dyn Fn() -> Followed + Send + Sync>,
    /// Held for as long as the conversation is: the connection is not idle.
    #[expect(dead_code, reason = "held for its end")]
    pub in_use: Arc<dyn Any + Send + Sync>,
}

impl fmt::Debug for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arrival").finish_non_exhaustive()
    }
}
