//! What a request asks for: what its header says, and with a place and a body all of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cloister_program::Taken;
use cloister_protocol::event::EVENT_STREAM;
use cloister_protocol::{
    BUSY_HEADER, Busy, EXPLAIN_HEADER, ExecuteRequest, ID_HEADER, JobId, RUNTIME_HEADER, SESSION_HEADER, TENANT_HEADER, Tenant,
    WHOLE_HEADER,
};
use hyper::Request;
use hyper::header::ACCEPT;

use crate::door::places::Place;
use crate::door::sessions::Turn;

/// Who asks for what, as far as the header says.
#[derive(Debug)]
pub struct Asked {
    /// The request's id.
    pub id: JobId,
    /// For whom.
    pub tenant: Tenant,
    /// Whether the layers in force are to be told.
    pub explain: bool,
    /// Whether what the job prints is to be told while it runs.
    pub streamed: bool,
    /// Whether of that only calls are to be told, and the answer.
    pub whole: bool,
    /// The runtime for which its profile was chosen, if it was.
    pub runtime: Option<String>,
    /// The session of which the script is a cell, if it is one, and what is done while another of its cells runs.
    pub session: Option<(JobId, Busy)>,
    /// Since when.
    pub since: Instant,
}

/// A request that has a place, and was read whole.
#[derive(Debug)]
pub struct Wanted {
    /// Its header.
    pub asked: Asked,
    /// Its body.
    pub request: ExecuteRequest,
    /// Where its job may run.
    pub place: Arc<Place>,
    /// The turn in its session that it has, if it is a cell.
    pub turn: Option<Turn>,
    /// How long it waited for that.
    pub queued: Duration,
    /// What its body takes, until this is dropped.
    pub memory: Taken,
}

impl Asked {
    /// Reads the header.
    #[must_use]
    pub fn of<B>(request: &Request<B>) -> Self {
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        Self {
            id: header(ID_HEADER).and_then(JobId::parse).unwrap_or_else(JobId::random),
            tenant: header(TENANT_HEADER).and_then(Tenant::parse).unwrap_or_default(),
            explain: header(EXPLAIN_HEADER) == Some("1"),
            streamed: header(ACCEPT.as_str()) == Some(EVENT_STREAM),
            whole: header(WHOLE_HEADER) == Some("1"),
            runtime: header(RUNTIME_HEADER).map(str::to_owned),
            session: header(SESSION_HEADER).and_then(JobId::parse).map(|session| {
                (session, header(BUSY_HEADER).and_then(Busy::read).unwrap_or_default())
            }),
            since: Instant::now(),
        }
    }
}
