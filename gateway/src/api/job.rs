//! A job whose request was read whole, on its way to the supervisor and back. `/execute`, cells of sessions and `/mcp` come
//! together here.
//!
//! A request is checked whole before it goes on, so that no malformed one ever takes a place at the supervisor, and it
//! stays here until there is one. From when it is handed on it has a meter, whose last holder tells what it used.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use cloister_protocol::event::EVENT_STREAM;
use cloister_protocol::{
    CellRequest, DEFAULT_PROFILE, ErrorCode, ExecuteRequest, InvalidRequest, JobId, PROFILE_HEADER, TIMING_HEADER,
    Writer,
};
use data_encoding::HEXLOWER;
use hyper::body::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};

use crate::admission::caller::Caller;
use crate::api::app::App;
use crate::api::chosen::Chosen;
use crate::api::known::Known;
use crate::api::refusal::{refuse, refuse_with, unanswered};
use crate::api::streamed::{StreamOutcome, Streamed};
use crate::metrics::Outcome;
use crate::needs::choice::Asking;
use crate::needs::wanted::Needs;
use crate::upstream::order::{CellOf, Order, Wish};
use crate::usage::accounts::Job;
use crate::usage::meter::Meter;

/// Asks proxies that buffer answers (nginx and those that took it over) not to.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// What clients are told whose job could not be told of later.
const UNTOLD: &str = "usage events cannot be written at the moment, or too many of this key's jobs are yet to be told of, and no job is begun \
     without; nothing ran, try again shortly";

/// A request as it was sent.
#[derive(Debug)]
pub struct Sent {
    /// Who wrote it.
    pub writer: Writer,
    /// The session, if it is a cell of one.
    pub session: Option<JobId>,
    /// Its body.
    pub body: Vec<u8>,
}

/// A request as the supervisor gets it: written anew, but for JSON that goes on as it was checked (arguments, tools).
struct Canonical {
    body: Vec<u8>,
    profile: Option<String>,
    /// What its script needs; the body names no profile then, and one is to be chosen.
    needs: Option<Arc<Needs>>,
    /// Of what it is a cell, if it is one.
    cell: Option<CellOf>,
    /// Empty, if nobody asked for it.
    script_sha256: String,
    /// Whether it may call tools, so that its answer is a stream whoever asked.
    has_tools: bool,
}

/// Parses a body and writes it anew.
fn canonical((writer, session): (Writer, Option<JobId>), body: Vec<u8>, digest: bool) -> Result<Canonical, String> {
    let parsed = match session {
        Some(session) => parse_cell(writer, &body).map(|cell| {
            let busy = cell.busy;
            (cell.into(), Some(CellOf { session, busy }))
        }),
        None => ExecuteRequest::parse_from(writer, &body).map(|request| (request, None)),
    };
    let (mut request, cell): (ExecuteRequest, _) = parsed.map_err(|error| error.to_string())?;
    drop(body);
    // A session has what its profile has, whatever a cell of it says.
    let needs = match cell {
        None => Needs::of(&request.script, &std::mem::take(&mut request.packages))?.map(Arc::new),
        Some(_) => None,
    };
    let profile = if needs.is_some() { request.profile.take() } else { request.profile.clone() };
    let script_sha256 = if digest { HEXLOWER.encode(&Sha256::digest(&request.script)) } else { String::new() };
    let body = serde_json::to_vec(&request).expect("strings, numbers and JSON that was parsed");
    Ok(Canonical { body, profile, needs, cell, script_sha256, has_tools: !request.tools.is_empty() })
}

fn parse_cell(writer: Writer, body: &[u8]) -> Result<CellRequest, InvalidRequest> {
    if writer == Writer::Conversation { CellRequest::parse_message(body) } else { CellRequest::parse(body) }
}

impl App {
    /// Runs a job whose request was read whole, when it is its turn.
    pub async fn run(
        &self,
        id: JobId,
        caller: &Caller,
        mut wish: Wish,
        Sent { writer, session, body }: Sent,
    ) -> Result<Response, Box<Response>> {
        let memory = self.bodies.begin(caller.tenant());
        let (bytes_in, digest) = (body.len() as u64, self.accounts.tells());
        let Canonical { body, mut profile, needs, cell, script_sha256, has_tools } = memory
            .work(body, move |body| canonical((writer, session), body, digest))
            .await
            .map_err(|why| Box::new(refuse(id, ErrorCode::InvalidRequest, why)))?;
        let (mut body, mut chosen) = (Bytes::from(body), None);
        // A stream inside, whatever its client asked for.
        (wish.whole, wish.stream) = (has_tools && !wish.stream, wish.stream || has_tools);
        if let Some(session) = session {
            profile = Some(self.profile_of(id, caller.tenant(), session).await?);
        }
        // Before its first call can come.
        let known = has_tools.then(|| self.known.begin(id, caller.tenant()));
        // Whoever names one that he may not use is told that first.
        if let Some(needs) = needs.filter(|_| profile.as_deref().is_none_or(|name| caller.may_use(name))) {
            let asking = Asking { profile, allowed: caller.profiles().map(<[String]>::to_vec) };
            let choice = self.choose(id, caller.tenant(), &memory, (needs, asking, body.len())).await?;
            profile = Some(choice.profile().to_owned());
            body = choice.named_in(body);
            chosen = Some(choice);
        }
        let counted =
            caller.admit(profile.as_deref(), &self.accounts).map_err(|refused| Box::new(refuse_with(id, refused)))?;
        let profile = profile.as_deref().unwrap_or(DEFAULT_PROFILE);
        // What a job can have used whose end nobody tells: only a quota asks.
        let processors = if caller.has_cpu_quota() { self.profiles.processors(profile).await } else { None };
        let job = Job { id, tenant: caller.tenant(), profile, script_sha256, bytes_in, processors };
        let meter = self.accounts.meter(counted, caller.key_name(), job).await;
        let meter = meter.ok_or_else(|| Box::new(refuse(id, ErrorCode::Unavailable, UNTOLD)))?;
        let runtime = chosen.as_ref().and_then(Chosen::runtime);
        let order = Order { body, runtime, cell, given: meter.given() };
        let answer = self.execute_chosen(id, (caller.tenant(), wish), order, (&mut chosen, &memory), &meter).await;
        let mut answer = answer.unwrap_or_else(|away| unanswered(id, away));
        if let Some(session) = session {
            answer = self.told_of(id, caller.tenant(), session, answer).await;
        }
        if let Some(Ok(name)) = chosen.map(|chosen| HeaderValue::from_str(chosen.profile())) {
            answer.headers_mut().insert(HeaderName::from_static(PROFILE_HEADER), name);
        }
        if let Some(timing) = answer.headers().get(TIMING_HEADER).and_then(|timing| timing.to_str().ok()) {
            self.metrics.measure_timing(timing);
        }
        let is_stream = answer.headers().get(CONTENT_TYPE).is_some_and(|form| form == EVENT_STREAM);
        if is_stream {
            return Ok(self.stream((id, known), answer, meter));
        }
        let extensions = answer.extensions_mut();
        meter.settle(extensions.get().copied().unwrap_or(Outcome::Served), extensions.remove());
        extensions.insert(meter);
        Ok(answer)
    }

    /// A streamed answer, whose job has only begun.
    fn stream(&self, (id, known): (JobId, Option<Known>), answer: Response, meter: Meter) -> Response {
        let stream_outcome = StreamOutcome::default();
        let metrics = Arc::clone(&self.metrics);
        let mut answer = answer
            .map(|body| Body::new(Streamed::new((body, known), id, metrics, (stream_outcome.clone(), meter.clone()))));
        let headers = answer.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(BUFFERING, HeaderValue::from_static("no"));
        answer.extensions_mut().insert(stream_outcome);
        answer.extensions_mut().insert(meter);
        answer
    }
}
