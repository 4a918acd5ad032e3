//! A job whose request was read whole, on its way to the supervisor and back. `/execute` and `/mcp` come together here.
//!
//! A request is checked whole before it goes on, so that no malformed one ever takes a place at the supervisor, and it
//! stays here until there is one.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use cloister_protocol::event::EVENT_STREAM;
use cloister_protocol::{ErrorCode, ExecuteRequest, InvalidRequest, JobId, TIMING_HEADER, Writer};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};

use crate::admission::caller::Caller;
use crate::api::app::App;
use crate::api::refusal::{refuse, refuse_with, unanswered};
use crate::api::streamed::{StreamOutcome, Streamed};
use crate::upstream::supervisor::Wish;

/// Asks proxies that buffer answers (nginx and those that took it over) not to.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// A request as the supervisor gets it: what it reads was never a stranger's spelling.
struct Canonical {
    body: Vec<u8>,
    profile: Option<String>,
}

/// Parses a body and writes it anew.
fn canonical(writer: Writer, body: Vec<u8>) -> Result<Canonical, InvalidRequest> {
    let request = ExecuteRequest::parse_from(writer, &body)?;
    drop(body);
    let body = serde_json::to_vec(&request).expect("strings, numbers and JSON that was parsed");
    Ok(Canonical { body, profile: request.profile })
}

impl App {
    /// Runs a job whose request was read whole, when it is its turn.
    pub async fn run(
        &self,
        id: JobId,
        caller: &Caller,
        wish: Wish,
        (writer, body): (Writer, Vec<u8>),
    ) -> Result<Response, Box<Response>> {
        let memory = self.bodies.begin(caller.tenant());
        let Canonical { body, profile } = memory
            .work(body, move |body| canonical(writer, body))
            .await
            .map_err(|error| Box::new(refuse(id, ErrorCode::InvalidRequest, error.to_string())))?;
        caller.admit(profile.as_deref()).map_err(|refused| Box::new(refuse_with(id, refused)))?;
        let answer = self.supervisor.execute(id, caller.tenant(), wish, body).await;
        let answer = answer.unwrap_or_else(|away| unanswered(id, away));
        if let Some(timing) = answer.headers().get(TIMING_HEADER).and_then(|timing| timing.to_str().ok()) {
            self.metrics.measure_timing(timing);
        }
        let is_stream = answer.headers().get(CONTENT_TYPE).is_some_and(|form| form == EVENT_STREAM);
        Ok(if is_stream { self.stream(id, answer) } else { answer })
    }

    /// A streamed answer, whose job has only begun.
    fn stream(&self, id: JobId, answer: Response) -> Response {
        let stream_outcome = StreamOutcome::default();
        let metrics = Arc::clone(&self.metrics);
        let mut answer = answer.map(|body| Body::new(Streamed::new(body, id, metrics, stream_outcome.clone())));
        let headers = answer.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(BUFFERING, HeaderValue::from_static("no"));
        answer.extensions_mut().insert(stream_outcome);
        answer
    }
}
