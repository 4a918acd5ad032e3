//! The paths that clients see, and the checks that a request passes before it is forwarded.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{Extension, Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use cloister_protocol::{
    EXECUTE_PATH, EXPLAIN_HEADER, ErrorCode, ExecuteRequest, JobId, READY_PATH, is_json_content_type,
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue};

use crate::args::Serve;
use crate::refusal::{json, name, refuse};
use crate::upstream::{Away, Upstream};

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
        max_body: arguments.max_body,
        body_timeout: arguments.body_timeout,
    });
    Router::new()
        .route(EXECUTE_PATH, only("POST", post(execute)))
        .route("/healthz", only("GET, HEAD", get(healthy)))
        .route(READY_PATH, only("GET, HEAD", get(ready)))
        .fallback(async |Extension(id): Extension<JobId>| {
            refuse(id, ErrorCode::NotFound, "there is nothing here; jobs go to POST /execute")
        })
        .with_state(door)
        .layer(middleware::from_fn(identify))
}

/// A path's methods, with an answer in the contract's envelope for all others.
fn only(methods: &'static str, router: MethodRouter<Arc<Door>>) -> MethodRouter<Arc<Door>> {
    router.fallback(async move |Extension(id): Extension<JobId>| {
        let mut response = refuse(id, ErrorCode::MethodNotAllowed, format!("this path accepts {methods}"));
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
        response
    })
}

/// Gives a request its id, its response the id's header, and the log a line.
async fn identify(mut request: Request, next: Next) -> Response {
    let (id, started) = (JobId::random(), Instant::now());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    request.extensions_mut().insert(id);
    let mut response = next.run(request).await;
    name(&mut response, id);
    let milliseconds = started.elapsed().as_millis();
    tracing::info!(%id, %method, path, status = response.status().as_u16(), milliseconds);
    response
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
        return closing(refuse(id, ErrorCode::UnsupportedMediaType, "send Content-Type: application/json"));
    }
    let body = match door.read(id, request.into_body()).await {
        Ok(body) => body,
        Err(refusal) => return *refusal,
    };
    let request = match ExecuteRequest::parse(&body) {
        Ok(request) => request,
        Err(error) => return refuse(id, ErrorCode::InvalidRequest, error.to_string()),
    };
    drop(body);
    door.upstream.execute(id, explain, &request).await.unwrap_or_else(|away| unavailable(id, &away))
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

impl Door {
    /// Reads a body whole, so that a slow sender never holds a slot. One that announces too much is
    /// refused before any of it is read.
    async fn read(&self, id: JobId, body: Body) -> Result<Bytes, Box<Response>> {
        let too_large = || {
            let message = format!("the body is larger than {} bytes", self.max_body);
            Box::new(closing(refuse(id, ErrorCode::TooLarge, message)))
        };
        if body.size_hint().lower() > self.max_body as u64 {
            return Err(too_large());
        }
        match tokio::time::timeout(self.body_timeout, Limited::new(body, self.max_body).collect()).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
            Ok(Err(error)) => {
                let message = format!("the body did not arrive whole: {error}");
                Err(Box::new(closing(refuse(id, ErrorCode::InvalidRequest, message))))
            }
            Err(_) => {
                let message = format!("the body did not arrive within {} seconds", self.body_timeout.as_secs_f64());
                Err(Box::new(closing(refuse(id, ErrorCode::RequestTimeout, message))))
            }
        }
    }
}

/// For an answer given before the body was read: what is left of it is not worth reading.
fn closing(mut response: Response) -> Response {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

fn unavailable(id: JobId, away: &Away) -> Response {
    tracing::warn!(%id, %away, "the supervisor did not answer");
    refuse(id, ErrorCode::Unavailable, "the supervisor is away or restarting; try again shortly")
}
