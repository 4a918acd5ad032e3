//! What the supervisor is asked for: a job or a cell, and how its client wishes to be answered; or something of sessions.

use cloister_protocol::{Busy, JobId};
use hyper::Method;
use hyper::body::Bytes;
use hyper::header::HeaderValue;

use crate::upstream::place_given::PlaceGiven;

/// How a client wishes to be answered.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish {
    /// With the layers in force.
    pub explain: bool,
    /// As a stream of events.
    pub stream: bool,
    /// Which is whole for the client, so that only calls are to be told before its end.
    pub whole: bool,
}

/// A request to run a job, as the supervisor gets it.
#[derive(Clone, Debug)]
pub struct Order {
    /// Canonical JSON.
    pub body: Bytes,
    /// The runtime for which its profile was chosen, if it was: under another it is not begun.
    pub runtime: Option<HeaderValue>,
    /// Of what it is a cell, if it is one.
    pub cell: Option<CellOf>,
    /// Where it is noted when there is a place for it.
    pub given: PlaceGiven,
}

/// Of what a script is a cell.
#[derive(Clone, Copy, Debug)]
pub struct CellOf {
    /// The session.
    pub session: JobId,
    /// What it does while another cell of that runs.
    pub busy: Busy,
}

/// Something that is asked of sessions: of one, or of all of a tenant's.
#[derive(Clone, Debug)]
pub struct SessionOrder {
    /// What is done.
    pub method: Method,
    /// With what: a path below `/sessions`, percent-encoded, or nothing.
    pub path: String,
    /// What the body is.
    pub media_type: &'static str,
    /// The body; of most there is none.
    pub body: Bytes,
}

impl SessionOrder {
    /// Without a body.
    pub fn plain(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), media_type: "", body: Bytes::new() }
    }
}
