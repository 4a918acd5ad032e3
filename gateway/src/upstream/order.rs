//! A request to run a job, as the supervisor gets it, and how its client wishes to be answered.

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
    /// Where it is noted when there is a place for it.
    pub given: PlaceGiven,
}
