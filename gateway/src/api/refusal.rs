//! Answers that the gateway gives by itself, in the contract's envelope.
//!
//! Each carries its code, and where it helps the cause, for the log; the client sees the cause only
//! as far as the message tells it.

use axum::body::Body;
use axum::response::Response;
use cloister_protocol::{Answer, ErrorCode, Failure, Given, ID_HEADER, JobId, SessionEnd};
use hyper::StatusCode;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};

use crate::admission::caller::Refused;
use crate::metrics::Outcome;
use crate::upstream::away::Away;

/// What clients are told of a supervisor that is not there.
const AWAY: &str = "the supervisor is away or restarting, and nothing ran; try again shortly";

/// What clients are told of a job that went with its supervisor.
pub const LOST: &str =
    "the supervisor went away while the script ran or was about to; it is sent again only by you, if it may run twice";

/// The cause of an answer, for the log alone.
#[derive(Clone, Debug)]
pub struct Because(pub String);

/// A refusal: there is no verdict on a job, and in all cases but one none ran.
pub fn refuse(id: JobId, code: ErrorCode, message: impl Into<String>) -> Response {
    refuse_as(id, &Failure::new(code, message))
}

/// What a script needs cannot be met: its own failure, before a line of it ran; or else a refusal.
pub fn unmet(id: JobId, failure: &Failure) -> Response {
    match failure.missing {
        Some(_) => answered(id, failure.code, &Answer::Failed { id, error: failure, given: Given::default() }),
        None => refuse_as(id, failure),
    }
}

/// A session is over.
pub fn refuse_ended(id: JobId, end: SessionEnd, message: &str) -> Response {
    refuse_as(id, &Failure::session_ended(end, message))
}

fn refuse_as(id: JobId, failure: &Failure) -> Response {
    answered(id, failure.code, &Answer::Refused { error: failure, id })
}

fn answered(id: JobId, code: ErrorCode, answer: &Answer<'_>) -> Response {
    let mut response = json(id, answer.to_json());
    *response.status_mut() = StatusCode::from_u16(answer.status()).expect("every code has a valid status");
    if matches!(code, ErrorCode::Overloaded | ErrorCode::RateLimited | ErrorCode::Unavailable) {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response.extensions_mut().insert(Outcome::Failed(code));
    response
}

/// A refusal with the header fields that say more.
pub fn refuse_with(id: JobId, refused: Refused) -> Response {
    let mut failure = Failure::new(refused.code, refused.message);
    failure.quota = refused.quota;
    let mut response = refuse_as(id, &failure);
    response.headers_mut().extend(refused.headers.into_iter().map(|(name, value)| (Some(name), value)));
    response
}

/// A refusal given before the body was read: what is left of it is not worth reading.
pub fn refuse_unread(id: JobId, code: ErrorCode, message: impl Into<String>) -> Response {
    let mut response = refuse(id, code, message);
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The supervisor did not say that jobs can run.
pub fn unready(id: JobId, away: Away) -> Response {
    let because = Because(away.to_string());
    let mut response = match away {
        Away::Starting(told) => *told,
        _ => refuse(id, ErrorCode::Unavailable, AWAY),
    };
    response.extensions_mut().insert(because);
    response
}

/// The supervisor did not answer. What exactly happened is for the log.
pub fn unanswered(id: JobId, away: Away) -> Response {
    let because = Because(away.to_string());
    let mut response = match away {
        Away::Starting(told) => *told,
        Away::Gone(_) | Away::Silent => refuse(id, ErrorCode::Unavailable, AWAY),
        Away::Full => refuse(id, ErrorCode::Overloaded, "more requests wait already than may; try again shortly"),
        Away::Lost(_) => refuse(id, ErrorCode::Lost, LOST),
    };
    response.extensions_mut().insert(because);
    response
}

/// A body of JSON with the request's id.
pub fn json(id: JobId, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    name(&mut response, id);
    response
}

/// Puts the id into the header that every response carries.
pub fn name(response: &mut Response, id: JobId) {
    let value = HeaderValue::from_str(&id.to_string()).expect("hexadecimal digits");
    response.headers_mut().insert(ID_HEADER, value);
}
