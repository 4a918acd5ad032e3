//! Answers to a path or a method that is not there, in the contract's envelope as all others.

use std::sync::Arc;

use axum::body::HttpBody;
use axum::extract::{Extension, Request};
use axum::response::Response;
use axum::routing::MethodRouter;
use cloister_protocol::{ErrorCode, JobId};
use hyper::header::{ALLOW, HeaderValue};

use crate::api::app::App;
use crate::api::refusal::{refuse, refuse_unread};

/// A path's methods, with an answer in the contract's envelope for all others.
pub fn only(methods: &'static str, router: MethodRouter<Arc<App>>) -> MethodRouter<Arc<App>> {
    router.fallback(async move |Extension(id): Extension<JobId>, request: Request| {
        let mut response =
            misdirected(id, ErrorCode::MethodNotAllowed, &format!("this path accepts {methods}"), &request);
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
        response
    })
}

/// Answers where there is no path.
pub async fn nowhere(Extension(id): Extension<JobId>, request: Request) -> Response {
    misdirected(id, ErrorCode::NotFound, "there is nothing here; jobs go to POST /execute", &request)
}

/// Refuses a request for its path or method. Where it has a body, nobody reads that, and the client has to know that its
/// connection ends.
pub fn misdirected(id: JobId, code: ErrorCode, message: &str, request: &Request) -> Response {
    if request.body().is_end_stream() { refuse(id, code, message) } else { refuse_unread(id, code, message) }
}
