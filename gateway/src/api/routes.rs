//! The paths that clients see, and the checks that a request passes before it is forwarded.
//!
//! A body is read whole and checked whole here, so that neither a slow sender nor a malformed
//! request ever takes a place at the supervisor, and it stays here until there is one.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{Extension, Request, State};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use cloister_protocol::event::EVENT_STREAM;
use cloister_protocol::{
    EXECUTE_PATH, EXPLAIN_HEADER, ErrorCode, ExecuteRequest, InvalidRequest, JobId, READY_PATH, TIMING_HEADER,
    is_json_content_type,
};
use http_body_util::{BodyExt, Limited};
use hyper::body::Bytes;
use hyper::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};

use crate::admission::body_budget::{self, Reading};
use crate::admission::caller::{Admission, Guest, Refused};
use crate::admission::client_address::Client;
use crate::api::mcp::{self, Mcp};
use crate::api::negotiation::prefers_events;
use crate::api::openapi;
use crate::api::page;
use crate::api::refusal::{json, refuse, refuse_unread, refuse_with, unanswered, unready};
use crate::api::streamed::{Fate, Streamed};
use crate::args::Serve;
use crate::metrics::Metrics;
use crate::upstream::supervisor::{Upstream, Wish};

/// Bodies up to this size are read even for nothing, so that the connection can be used again.
const SMALL: usize = 64 * 1024;

/// Asks proxies that buffer answers (nginx and those that took it over) not to.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// What every request is handled with.
#[derive(Debug)]
pub(crate) struct Door {
    admission: Admission,
    metrics: Arc<Metrics>,
    upstream: Upstream,
    reading: Arc<Reading>,
    max_body: usize,
    body_timeout: Duration,
    contract: Bytes,
}

/// The whole of what the gateway serves.
pub fn router(arguments: &Serve, admission: Admission, metrics: Arc<Metrics>) -> Router {
    let door = Arc::new(Door {
        admission,
        metrics,
        upstream: Upstream::new(&arguments.socket),
        reading: Reading::new(arguments.max_body_memory.get()),
        max_body: arguments.max_body.get(),
        body_timeout: arguments.body_timeout,
        contract: openapi::document().into(),
    });
    let anywhere = arguments.no_auth || arguments.keys.is_some();
    let mcp = mcp::service(Arc::clone(&door), anywhere);
    Router::new()
        .route(mcp::PATH, only("POST", post(assist)).layer(Extension(mcp)))
        .route(EXECUTE_PATH, only("POST", post(execute)))
        .route("/healthz", only("GET, HEAD", get(healthy)))
        .route(READY_PATH, only("GET, HEAD", get(ready)))
        .route(openapi::PATH, only("GET, HEAD", get(contract)))
        .merge(if arguments.no_page { Router::new() } else { page::routes() })
        .fallback(nowhere)
        .with_state(door)
}

/// A path's methods, with an answer in the contract's envelope for all others.
pub fn only(methods: &'static str, router: MethodRouter<Arc<Door>>) -> MethodRouter<Arc<Door>> {
    router.fallback(async move |Extension(id): Extension<JobId>, request: Request| {
        let mut response =
            misdirected(id, ErrorCode::MethodNotAllowed, &format!("this path accepts {methods}"), &request);
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
        response
    })
}

async fn nowhere(Extension(id): Extension<JobId>, request: Request) -> Response {
    misdirected(id, ErrorCode::NotFound, "there is nothing here; jobs go to POST /execute", &request)
}

/// Refuses a request for its path or method. Where it has a body, nobody reads that, and the client has to know that its
/// connection ends.
fn misdirected(id: JobId, code: ErrorCode, message: &str, request: &Request) -> Response {
    if request.body().is_end_stream() { refuse(id, code, message) } else { refuse_unread(id, code, message) }
}

#[utoipa::path(
    get, tag = "node", path = "/healthz", summary = "Whether the gateway is alive",
    responses((status = 200, description = "It is.", body = openapi::Status))
)]
pub(crate) async fn healthy(Extension(id): Extension<JobId>) -> Response {
    json(id, br#"{"status":"ok"}"#.as_slice())
}

#[utoipa::path(
    get, tag = "node", path = READY_PATH, summary = "Whether jobs can run",
    responses(
        (status = 200, description = "They can.", body = openapi::Readiness),
        (status = 503, description = "The supervisor is away or still checks its sandbox.", body = openapi::Refused)
    )
)]
pub(crate) async fn ready(State(door): State<Arc<Door>>, Extension(id): Extension<JobId>) -> Response {
    door.upstream.ready(id).await.unwrap_or_else(|away| unready(id, &away))
}

/// This document.
#[utoipa::path(
    get, tag = "node", path = openapi::PATH, summary = "This document",
    responses((status = 200, description = "OpenAPI 3.1", body = std::collections::HashMap<String, serde_json::Value>))
)]
pub(crate) async fn contract(State(door): State<Arc<Door>>, Extension(id): Extension<JobId>) -> Response {
    json(id, door.contract.clone())
}

/// Runs a script in a sandbox of its own and answers with what its `main()` returned.
///
/// A client that prefers `text/event-stream` (`Accept`) has its answer as Server-Sent Events: `stdout` and `stderr` as text is
/// printed (`Printed`), and last `result` with the whole body that the answer would otherwise have, of 200 (`Returned`) or 422
/// (`Failed`), or `error` (`Refused`) if the job was lost. The status is 200 once the job has begun; a request that is refused
/// before is answered as ever.
#[utoipa::path(
    post, tag = "jobs", path = EXECUTE_PATH, summary = "Run a script",
    request_body = ExecuteRequest, security((), ("key" = [])),
    responses(
        (status = 200, description = "main() returned JSON; or, as events, what a job that has begun prints and comes to.", content(
            (openapi::Returned = "application/json"),
            (String = "text/event-stream", example = "event: stdout\ndata: {\"text\":\"hello\\n\"}\n\nevent: result\ndata: {\"id\":\"\u{2026}\",\"result\":4,\"stdout\":\"hello\\n\"}\n\n")
        )),
        (status = 400, description = "The request breaks the contract: invalid_request.", body = openapi::Refused),
        (status = 401, description = "No key, or none that is known here: unauthorized.", body = openapi::Refused),
        (status = 403, description = "The key may not use this profile: forbidden.", body = openapi::Refused),
        (status = 408, description = "The body took too long to arrive: request_timeout.", body = openapi::Refused),
        (status = 413, description = "The body, the script or its files are too large: too_large.", body = openapi::Refused),
        (status = 415, description = "The body is not declared as JSON: unsupported_media_type.", body = openapi::Refused),
        (status = 422, description = "The script's own failure; the code says which.", body = openapi::Failed),
        (status = 429, description = "Too many at once (overloaded) or too fast (rate_limited): wait Retry-After seconds.", body = openapi::Refused),
        (status = 500, description = "A bug of ours: internal.", body = openapi::Refused),
        (status = 502, description = "The job went with its supervisor, launcher or zygote, and may have run: lost.", body = openapi::Refused),
        (status = 503, description = "The supervisor is away or restarting, and nothing ran: unavailable.", body = openapi::Refused)
    )
)]
pub(crate) async fn execute(
    State(door): State<Arc<Door>>,
    Extension(id): Extension<JobId>,
    Extension(Client(client)): Extension<Client>,
    request: Request,
) -> Response {
    let guest = match door.admission.greet(request.headers(), client) {
        Ok(guest) => guest,
        Err(refused) => return door.turn_away(id, refused, request.into_body()).await,
    };
    let mut response = door.execute(id, &guest, request).await.unwrap_or_else(|refusal| *refusal);
    guest.sign(&mut response);
    response
}

/// A message of the Model Context Protocol. It counts as a request of its key, whatever it asks.
async fn assist(
    State(door): State<Arc<Door>>,
    Extension(mcp): Extension<Arc<Mcp>>,
    Extension(id): Extension<JobId>,
    Extension(Client(client)): Extension<Client>,
    request: Request,
) -> Response {
    let guest = match door.admission.greet(request.headers(), client) {
        Ok(guest) => guest,
        Err(refused) => return door.turn_away(id, refused, request.into_body()).await,
    };
    let mut reading = door.reading.begin(guest.tenant());
    let (parts, body) = request.into_parts();
    let mut response = match door.read(id, body, &mut reading).await {
        Ok(body) => mcp.answer(id, &guest, parts, body, reading).await,
        Err(refusal) => *refusal,
    };
    guest.sign(&mut response);
    response
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

/// A request as the supervisor gets it: what it reads was never a stranger's spelling.
struct Canonical {
    body: Vec<u8>,
    profile: Option<String>,
}

/// Parses a body and writes it anew.
fn canonical(body: Vec<u8>) -> Result<Canonical, InvalidRequest> {
    let request = ExecuteRequest::parse(&body)?;
    drop(body);
    let body = serde_json::to_vec(&request).expect("strings, numbers and JSON that was parsed");
    Ok(Canonical { body, profile: request.profile })
}

impl Door {
    async fn execute(&self, id: JobId, guest: &Guest, request: Request) -> Result<Response, Box<Response>> {
        let refused = |code, message: &str| Err(Box::new(refuse_unread(id, code, message)));
        let explain = header(&request, EXPLAIN_HEADER) == Some("1");
        let wish = Wish { explain, stream: prefers_events(request.headers()) };
        if !header(&request, CONTENT_TYPE.as_str()).is_some_and(is_json_content_type) {
            return refused(ErrorCode::UnsupportedMediaType, "send Content-Type: application/json");
        }
        if request.headers().contains_key(CONTENT_ENCODING) {
            return refused(ErrorCode::UnsupportedMediaType, "send the body as it is, without Content-Encoding");
        }
        let mut reading = self.reading.begin(guest.tenant());
        let body = self.read(id, request.into_body(), &mut reading).await?;
        self.run(id, guest, wish, body).await
    }

    /// Runs a job whose request was read whole, when it is its turn.
    pub(crate) async fn run(
        &self,
        id: JobId,
        guest: &Guest,
        wish: Wish,
        body: Vec<u8>,
    ) -> Result<Response, Box<Response>> {
        let reading = self.reading.begin(guest.tenant());
        let Canonical { body, profile } = reading
            .work(body, canonical)
            .await
            .map_err(|error| Box::new(refuse(id, ErrorCode::InvalidRequest, error.to_string())))?;
        guest.admit(profile.as_deref()).map_err(|refused| Box::new(refuse_with(id, refused)))?;
        let answer = self.upstream.execute(id, guest.tenant(), wish, body).await;
        let answer = answer.unwrap_or_else(|away| unanswered(id, &away));
        if let Some(timing) = answer.headers().get(TIMING_HEADER).and_then(|timing| timing.to_str().ok()) {
            self.metrics.measure_timing(timing);
        }
        let is_stream = answer.headers().get(CONTENT_TYPE).is_some_and(|form| form == EVENT_STREAM);
        Ok(if is_stream { self.stream(id, answer) } else { answer })
    }

    /// A streamed answer, whose job has only begun.
    fn stream(&self, id: JobId, answer: Response) -> Response {
        let fate = Fate::default();
        let metrics = Arc::clone(&self.metrics);
        let mut answer = answer.map(|body| Body::new(Streamed::new(body, id, metrics, fate.clone())));
        let headers = answer.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(BUFFERING, HeaderValue::from_static("no"));
        answer.extensions_mut().insert(fate);
        answer
    }

    /// Reads a body whole. One that announces too much is refused before any of it is read, and a
    /// client that waits for `100 Continue` is then never told to go on.
    async fn read(&self, id: JobId, mut body: Body, reading: &mut body_budget::Body) -> Result<Vec<u8>, Box<Response>> {
        let refused = |code, message: String| Box::new(refuse_unread(id, code, message));
        let too_large = || refused(ErrorCode::TooLarge, format!("the body is larger than {} bytes", self.max_body));
        if body.size_hint().lower() > self.max_body as u64 {
            return Err(too_large());
        }
        let whole = async {
            let mut bytes = Vec::new();
            while let Some(frame) = body.frame().await {
                let broken =
                    |error| refused(ErrorCode::InvalidRequest, format!("the body did not arrive whole: {error}"));
                let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
                if bytes.len() + data.len() > self.max_body {
                    return Err(too_large());
                }
                if !reading.take(data.len()) {
                    return Err(refused(
                        ErrorCode::Overloaded,
                        "too many large bodies at once; try again shortly".to_owned(),
                    ));
                }
                bytes.extend_from_slice(&data);
            }
            Ok(bytes)
        };
        match tokio::time::timeout(self.body_timeout, whole).await {
            Ok(result) => result,
            Err(_) => {
                let seconds = self.body_timeout.as_secs_f64();
                Err(refused(ErrorCode::RequestTimeout, format!("the body did not arrive within {seconds} seconds")))
            }
        }
    }

    /// Refuses one that is not let in. A small body is read all the same: a connection to be made
    /// anew for every refusal would cost both sides more.
    async fn turn_away(&self, id: JobId, refused: Refused, body: Body) -> Response {
        let mut response = refuse_with(id, refused);
        let small = body.size_hint().upper().is_some_and(|bytes| bytes <= SMALL as u64);
        let read = small
            && matches!(tokio::time::timeout(self.body_timeout, Limited::new(body, SMALL).collect()).await, Ok(Ok(_)));
        if !read {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
