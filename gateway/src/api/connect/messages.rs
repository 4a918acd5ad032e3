//! What the node says in a conversation, as text.

use axum::response::Response;
use cloister_program::read_whole;
use cloister_protocol::{Answer, ErrorCode, Failure, JobId, Return, Returns};
use hyper::StatusCode;
use serde::{Deserialize, Serialize};

/// The most of a refusal that is read.
const LARGEST_REFUSAL: usize = 64 * 1024;

/// The longest message that is looked into for whose it was, once it is known to be wrong.
const LONGEST_WRONG: usize = 64 * 1024;

/// A message of the client's was not taken: of which job, if one runs, to which call, if it says, and whether the same may come
/// again.
pub fn refused(id: Option<JobId>, call: Option<u32>, why: &str, again: bool) -> Vec<u8> {
    #[derive(Serialize)]
    struct Refused<'a> {
        r#type: &'a str,
        error: Failure,
        #[serde(skip_serializing_if = "Option::is_none")]
        call: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<JobId>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        again: bool,
    }
    let error = Failure::new(ErrorCode::InvalidRequest, why);
    serde_json::to_vec(&Refused { r#type: "refused", error, call, id, again }).expect("strings and numbers")
}

/// A job has begun, or a cell of this session.
pub fn started(id: JobId, session: Option<JobId>) -> Vec<u8> {
    #[derive(Serialize)]
    struct Started<'a> {
        r#type: &'a str,
        id: JobId,
        #[serde(skip_serializing_if = "Option::is_none")]
        session: Option<JobId>,
    }
    serde_json::to_vec(&Started { r#type: "started", id, session }).expect("hexadecimal digits")
}

/// Whether a cell was interrupted, as the supervisor says.
pub async fn interrupted(answer: Response) -> bool {
    #[derive(Deserialize)]
    struct Interrupted {
        interrupted: bool,
    }
    let told = read_whole(answer.into_body(), LARGEST_REFUSAL, |_| true).await.unwrap_or_default();
    serde_json::from_slice(&told).is_ok_and(|Interrupted { interrupted }| interrupted)
}

/// What a call came to, as the supervisor is told.
pub fn returned(one: Return) -> Vec<u8> {
    serde_json::to_vec(&Returns { returns: vec![one] }).expect("numbers, strings and JSON that was parsed")
}

/// The call that a wrong message is about, if that can be read.
pub fn call_in(text: &str) -> Option<u32> {
    #[derive(Deserialize)]
    struct Number {
        call: u32,
    }
    let told = (text.len() <= LONGEST_WRONG).then(|| serde_json::from_str(text).ok()).flatten();
    told.map(|Number { call }| call)
}

/// What a job is told of that never began: a refusal of the gateway's or the supervisor's, or what its script lacks.
pub async fn not_begun(id: JobId, response: Response) -> Vec<u8> {
    let kind = if response.status() == StatusCode::UNPROCESSABLE_ENTITY { "result" } else { "error" };
    match read_whole(response.into_body(), LARGEST_REFUSAL, |_| true).await {
        Ok(body) if !body.is_empty() => typed(kind, &body),
        _ => {
            let error = Failure::new(ErrorCode::Internal, "the job was refused, and why is lost");
            typed("error", &Answer::Refused { error: &error, id }.to_json())
        }
    }
}

/// An object of ours, with its kind.
pub fn typed(kind: &str, object: &[u8]) -> Vec<u8> {
    let rest = object.strip_prefix(b"{").unwrap_or(b"}");
    [b"{\"type\":\"", kind.as_bytes(), b"\",", rest].concat()
}
