//! Refusals as Jupyter Server tells them: `{"message": …, "reason": …}`, under the same status.

use axum::body::Body;
use axum::response::Response;
use cloister_program::read_whole;
use hyper::StatusCode;
use hyper::header::CONTENT_LENGTH;
use serde::{Deserialize, Serialize};

/// The most of a refusal, or of what is told of a session, that is read.
const LARGEST: usize = 64 * 1024;

/// What is said where that cannot be told.
const UNTOLD: &str = "the request was refused, and why is lost";

#[derive(Deserialize)]
struct Refused {
    error: Error,
}

#[derive(Deserialize)]
struct Error {
    code: String,
    message: String,
}

/// What is said of a refusal: for people, and for programs.
#[derive(Serialize)]
struct Said<'a> {
    message: &'a str,
    reason: Option<&'a str>,
}

/// A refusal in Jupyter's words; all else as it is.
pub async fn refusal(response: Response) -> Response {
    if response.status().as_u16() < 400 {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let told = read_whole(body, LARGEST, |_| true).await.unwrap_or_default();
    let refused: Option<Refused> = serde_json::from_slice(&told).ok();
    let said = refused.as_ref().map_or(Said { message: UNTOLD, reason: None }, |Refused { error }| Said {
        message: &error.message,
        reason: Some(&error.code),
    });
    let said = serde_json::to_vec(&said).expect("strings");
    head.headers.remove(CONTENT_LENGTH);
    Response::from_parts(head, Body::from(said))
}

/// An answer of the supervisor's, with what these make of its body instead; as it is, if it is a refusal. `None` if nothing can be made
/// of it.
pub async fn retold(response: Response, tell: impl FnOnce(&[u8]) -> Option<Vec<u8>>) -> Option<Response> {
    if response.status() >= StatusCode::BAD_REQUEST {
        return Some(response);
    }
    let (mut head, body) = response.into_parts();
    let told = read_whole(body, LARGEST_LIST, |_| true).await.ok()?;
    head.headers.remove(CONTENT_LENGTH);
    Some(Response::from_parts(head, Body::from(tell(&told)?)))
}

/// The most that is read of what the supervisor says of a tenant's sessions: of each at most half a KiB, and there are 4096 at most.
const LARGEST_LIST: usize = 4 * 1024 * 1024;
