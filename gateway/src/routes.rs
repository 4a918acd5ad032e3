//! The paths that clients see, and the checks that a request passes before it is forwarded.
//!
//! A body is read whole and checked whole here, so that neither a slow sender nor a malformed
//! request ever takes a place at the supervisor.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{Extension, Request, State};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use cloister_protocol::{
    EXECUTE_PATH, EXPLAIN_HEADER, ErrorCode, ExecuteRequest, InvalidRequest, JobId, READY_PATH, is_json_content_type,
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::header::{ALLOW, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};

use crate::args::Serve;
use crate::refusal::{json, refuse, refuse_unread, unavailable};
use crate::upstream::Upstream;

/// Threads that parse large bodies; small ones are parsed where they arrive.
pub const PARSERS: usize = 2;

/// From this size on a body's parsing would keep other connections waiting.
const LARGE: usize = 128 * 1024;

/// What every request is handled with.
#[derive(Debug)]
struct Door {
    upstream: Upstream,
    max_body: usize,
    body_timeout: Duration,
}

/// The whole of what the gateway serves.
pub fn router(arguments: &Serve) -> Router {
    let door = Arc::new(Door {
        upstream: Upstream::new(&arguments.socket),
        max_body: arguments.max_body.get(),
        body_timeout: arguments.body_timeout,
    });
    Router::new()
        .route(EXECUTE_PATH, only("POST", post(execute)))
        .route("/healthz", only("GET, HEAD", get(healthy)))
        .route(READY_PATH, only("GET, HEAD", get(ready)))
        .fallback(nowhere)
        .with_state(door)
}

/// A path's methods, with an answer in the contract's envelope for all others.
fn only(methods: &'static str, router: MethodRouter<Arc<Door>>) -> MethodRouter<Arc<Door>> {
    router.fallback(async move |Extension(id): Extension<JobId>| {
        let mut response = refuse(id, ErrorCode::MethodNotAllowed, format!("this path accepts {methods}"));
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
        response
    })
}

async fn nowhere(Extension(id): Extension<JobId>) -> Response {
    refuse(id, ErrorCode::NotFound, "there is nothing here; jobs go to POST /execute")
}

async fn healthy(Extension(id): Extension<JobId>) -> Response {
    json(id, br#"{"status":"ok"}"#.to_vec())
}

async fn ready(State(door): State<Arc<Door>>, Extension(id): Extension<JobId>) -> Response {
    door.upstream.ready(id).await.unwrap_or_else(|away| unavailable(id, &away))
}

async fn execute(State(door): State<Arc<Door>>, Extension(id): Extension<JobId>, request: Request) -> Response {
    let explain = header(&request, EXPLAIN_HEADER) == Some("1");
    if !header(&request, CONTENT_TYPE.as_str()).is_some_and(is_json_content_type) {
        return refuse_unread(id, ErrorCode::UnsupportedMediaType, "send Content-Type: application/json");
    }
    if request.headers().contains_key(CONTENT_ENCODING) {
        return refuse_unread(id, ErrorCode::UnsupportedMediaType, "send the body as it is, without Content-Encoding");
    }
    let body = match door.read(id, request.into_body()).await {
        Ok(body) => body,
        Err(refusal) => return *refusal,
    };
    match canonical(body).await {
        Ok(body) => door.upstream.execute(id, explain, body).await.unwrap_or_else(|away| unavailable(id, &away)),
        Err(error) => refuse(id, ErrorCode::InvalidRequest, error.to_string()),
    }
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

/// Parses a body and writes it anew: what the supervisor reads was never a stranger's spelling.
async fn canonical(body: Bytes) -> Result<Vec<u8>, InvalidRequest> {
    let large = body.len() >= LARGE;
    let rewrite = move || {
        let request = ExecuteRequest::parse(&body)?;
        drop(body);
        Ok(serde_json::to_vec(&request).expect("strings, numbers and JSON that was parsed"))
    };
    if !large {
        return rewrite();
    }
    tokio::task::spawn_blocking(rewrite).await.expect("parsing neither panics nor is cancelled")
}

impl Door {
    /// Reads a body whole. One that announces too much is refused before any of it is read, and a
    /// client that waits for `100 Continue` is then never told to go on.
    async fn read(&self, id: JobId, body: Body) -> Result<Bytes, Box<Response>> {
        let refused = |code, message: String| Err(Box::new(refuse_unread(id, code, message)));
        let too_large = || refused(ErrorCode::TooLarge, format!("the body is larger than {} bytes", self.max_body));
        if body.size_hint().lower() > self.max_body as u64 {
            return too_large();
        }
        match tokio::time::timeout(self.body_timeout, Limited::new(body, self.max_body).collect()).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => too_large(),
            Ok(Err(error)) => refused(ErrorCode::InvalidRequest, format!("the body did not arrive whole: {error}")),
            Err(_) => {
                let seconds = self.body_timeout.as_secs_f64();
                refused(ErrorCode::RequestTimeout, format!("the body did not arrive within {seconds} seconds"))
            }
        }
    }
}
