//! Answers that the gateway gives by itself, in the contract's envelope.

use axum::body::Body;
use axum::response::Response;
use cloister_protocol::{Answer, ErrorCode, Failure, ID_HEADER, JobId};
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};

/// A refusal: no job ran.
pub fn refuse(id: JobId, code: ErrorCode, message: impl Into<String>) -> Response {
    let answer = Answer::Refused { error: &Failure::new(code, message), id };
    let mut response = json(id, answer.to_json());
    *response.status_mut() = StatusCode::from_u16(answer.status()).expect("every code has a valid status");
    if matches!(code, ErrorCode::Overloaded | ErrorCode::RateLimited | ErrorCode::Unavailable) {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// A body of JSON with the request's id.
pub fn json(id: JobId, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    name(&mut response, id);
    response
}

/// Puts the id into the header that every response carries.
pub fn name(response: &mut Response, id: JobId) {
    let value = HeaderValue::from_str(&id.to_string()).expect("hexadecimal digits");
    response.headers_mut().insert(ID_HEADER, value);
}
