//! Responses that are short, and what all responses have.

use std::convert::Infallible;

use cloister_protocol::{Answer, EXPLAIN_HEADER, ErrorCode, Failure, ID_HEADER, JobId};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{self, Bytes};
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};

use crate::door::timing::tell_outcome;

/// A response's body: short and whole, or an answer that is told as it is taken.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// As the body of a response.
pub fn boxed(body: impl body::Body<Data = Bytes, Error = Infallible> + Send + 'static) -> Body {
    body.boxed_unsync()
}

/// A refusal.
pub fn refuse(id: JobId, code: ErrorCode, message: &str) -> Response<Body> {
    respond(id, &Answer::Refused { error: &Failure::new(code, message), id })
}

/// A short answer.
pub fn respond(id: JobId, answer: &Answer<'_>) -> Response<Body> {
    let status = StatusCode::from_u16(answer.status()).expect("every code has a valid status");
    let mut response = json(status, id, answer.to_json());
    tell_outcome(response.headers_mut(), answer);
    if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// A short body of JSON.
pub fn json(status: StatusCode, id: JobId, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(boxed(Full::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ID_HEADER, id_value(id));
    response
}

/// A job's id as a header's value.
pub fn id_value(id: JobId) -> HeaderValue {
    HeaderValue::from_str(&id.to_string()).expect("hexadecimal digits")
}

/// Tells the layers in force, if they were asked for.
pub fn explained<B>(response: &mut Response<B>, layers: Option<String>) {
    if let Some(Ok(layers)) = layers.map(|layers| HeaderValue::from_str(&layers)) {
        response.headers_mut().insert(EXPLAIN_HEADER, layers);
    }
}
