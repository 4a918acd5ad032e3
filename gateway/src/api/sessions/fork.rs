//! A session is forked into branches.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::response::Response;
use cloister_program::read_whole;
use cloister_protocol::{ErrorCode, FORK, ForkRequest, Forked, JobId};
use hyper::{Method, StatusCode};
use serde::Deserialize;

use crate::admission::caller::Caller;
use crate::api::app::App;
use crate::api::asked::Asked;
use crate::api::refusal::{json, refuse, refuse_with};
use crate::api::schemas;
use crate::api::sessions::order::session_in;
use crate::upstream::order::SessionOrder;

/// The path.
pub const PATH: &str = "/sessions/{id}/fork";

/// Forks a session, as `fork(2)` does a process: each branch begins with all that the session has in memory, and with a copy of its
/// working directory, and is a session of its own from then on.
///
/// Branches are less apart than sessions are: they are in the sandbox of the session that was opened, end with it, and trust one
/// another. What each has to itself, and what not, is in docs/sessions.md. Either all of them are made or none is.
#[utoipa::path(
    post, tag = "sessions", path = PATH, operation_id = "fork_session", summary = "Fork a session",
    request_body = ForkRequest, security((), ("key" = [])),
    params(("id" = String, Path, description = "The session.", pattern = "^[0-9a-f]{32}$")),
    responses(
        (status = 201, description = "The branches are there.", body = Forked),
        (status = 400, description = "The request breaks the contract: invalid_request.", body = schemas::Refused),
        (status = 401, description = "No key, or none that is known here: unauthorized.", body = schemas::Refused),
        (status = 403, description = "A page of others asks, a name that is not this node's, or a key that may not use the profile: forbidden.", body = schemas::Refused),
        (status = 404, description = "There is no such session of this key's here: not_found.", body = schemas::Refused),
        (status = 408, description = "The body took too long to arrive: request_timeout.", body = schemas::Refused),
        (status = 409, description = "It has waited too long for its turn behind a cell, or too many wait: session_busy.", body = schemas::Refused),
        (status = 410, description = "The session is over, and `reason` says why: session_ended.", body = schemas::Refused),
        (status = 413, description = "The body is too large: too_large.", body = schemas::Refused),
        (status = 415, description = "The body is not declared as JSON: unsupported_media_type.", body = schemas::Refused),
        (status = 422, description = "It could not be done in the session, as the message says: exception, killed.", body = schemas::Refused),
        (status = 429, description = "There would be more sessions than may be, of the key, the profile or the node; or too many at once (overloaded), too fast (rate_limited), or a bound of the key is reached (quota_exceeded).", body = schemas::Refused),
        (status = 500, description = "A bug of ours: internal.", body = schemas::Refused),
        (status = 502, description = "The supervisor went away meanwhile, and all sessions with it: lost.", body = schemas::Refused),
        (status = 503, description = "The supervisor is away or restarting: unavailable.", body = schemas::Refused)
    )
)]
pub async fn fork(State(app): State<Arc<App>>, asked: Asked) -> Response {
    asked.served(&app, async |id, caller, request| forked(&app, id, caller, request).await).await
}

async fn forked(app: &App, id: JobId, caller: &Caller, request: Request) -> Result<Response, Box<Response>> {
    let (session, _) = session_in(id, &request)?;
    let mut memory = app.bodies.begin(caller.tenant());
    let body = app.read_json(id, request, &mut memory).await?;
    let parsed = memory.work(body, |body: Vec<u8>| ForkRequest::parse(&body)).await;
    let fork = parsed.map_err(|wrong| Box::new(refuse(id, ErrorCode::InvalidRequest, wrong.to_string())))?;
    let profile = app.profile_of(id, caller.tenant(), session).await?;
    caller.enter_under(Some(&profile)).map_err(|refused| Box::new(refuse_with(id, refused)))?;
    let body = serde_json::to_vec(&fork).expect("a number").into();
    let path = format!("/{session}/{FORK}");
    let order = SessionOrder { method: Method::POST, path, media_type: "application/json", body };
    let response = app.order(id, caller, &order).await;
    if response.status() != StatusCode::CREATED {
        return Ok(app.told_of(id, caller.tenant(), session, response).await);
    }
    let told = read_whole(response.into_body(), LARGEST_TOLD, |_| true).await.unwrap_or_default();
    let Ok(Told { branches }) = serde_json::from_slice(&told) else {
        return Err(Box::new(refuse(id, ErrorCode::Lost, LOST)));
    };
    let now = Instant::now();
    for branch in branches.iter().filter_map(|branch| JobId::parse(&branch.session)) {
        app.sessions.note(branch, caller.tenant(), &profile, now);
    }
    let mut response = json(id, told);
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

/// The most that is read of what the supervisor says of branches: each is told of in some 400 bytes, and 32 threads by their names.
const LARGEST_TOLD: usize = 256 * 1024;

/// What is said where the supervisor breaks off.
const LOST: &str = "the supervisor went away while it told of the branches, and all sessions with it: open another";

#[derive(Deserialize)]
struct Told {
    branches: Vec<Branch>,
}

#[derive(Deserialize)]
struct Branch {
    session: String,
}
