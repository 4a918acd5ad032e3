//! What made a session, as the body of a request for another that is made by the same: for who must move.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use cloister_program::{ReadError, read_whole};
use cloister_protocol::{CELLS, EXPORT, ErrorCode, InvalidRequest, JobId, SessionRequest};
use hyper::body::Bytes;
use hyper::{Method, StatusCode};

use crate::admission::body_budget::TenantBody;
use crate::admission::caller::Caller;
use crate::api::app::App;
use crate::api::asked::Asked;
use crate::api::methods::misdirected;
use crate::api::refusal::{json, refuse};
use crate::api::schemas;
use crate::api::sessions::order::{carry_out, session_in};

/// The path.
pub const PATH: &str = "/sessions/{id}/export";

/// The query that asks for no files, and those that ask for them.
const WITHOUT: &str = "files=false";
const WITH: [Option<&str>; 2] = [None, Some("files=true")];

/// What is said of a query that says something else.
const OTHER_QUERY: &str = "the query is neither files=true nor files=false";

/// What is said where what the session wrote is no such request.
const NONE: &str = "the session cannot be exported";

/// Gives what made a session: its cells, and its files as they are now, as the body of a request that opens another which is made by
/// the same (`POST /sessions`), here or on another node.
///
/// Cells that cost the session its process are not among them, for nothing of them is left; nor is what no cell did, such as a call that
/// a thread has made since.
#[utoipa::path(
    get, tag = "sessions", path = PATH, operation_id = "export_session", summary = "Export a session", security((), ("key" = [])),
    params(
        ("id" = String, Path, description = "The session.", pattern = "^[0-9a-f]{32}$"),
        ("files" = Option<bool>, Query, nullable = false, description = "`false`: without its files, which can be fetched one by one.")
    ),
    responses(
        (status = 200, description = "A request for another.", body = SessionRequest),
        (status = 400, description = "It is more than can be told at once, or the query is another: invalid_request.", body = schemas::Refused),
        (status = 401, description = "No key, or none that is known here: unauthorized.", body = schemas::Refused),
        (status = 403, description = "A page of others asks, or a name that is not this node's: forbidden.", body = schemas::Refused),
        (status = 404, description = "There is no such session of this key's here: not_found.", body = schemas::Refused),
        (status = 408, description = "The body took too long to arrive: request_timeout.", body = schemas::Refused),
        (status = 409, description = "It has waited too long for its turn behind a cell, or too many wait: session_busy.", body = schemas::Refused),
        (status = 410, description = "The session is over, and `reason` says why: session_ended.", body = schemas::Refused),
        (status = 413, description = "It is larger than a request for a session may be here, or the body of this one too large: too_large.", body = schemas::Refused),
        (status = 422, description = "It could not be done in the session, as the message says: exception, killed.", body = schemas::Refused),
        (status = 429, description = "Too many at once (overloaded), or too fast (rate_limited): wait Retry-After seconds.", body = schemas::Refused),
        (status = 500, description = "A bug of ours: internal.", body = schemas::Refused),
        (status = 502, description = "The supervisor went away meanwhile, and all sessions with it: lost.", body = schemas::Refused),
        (status = 503, description = "The supervisor is away or restarting: unavailable.", body = schemas::Refused)
    )
)]
pub async fn export(State(app): State<Arc<App>>, asked: Asked) -> Response {
    asked.answered(async |id, caller, request| exported(&app, id, caller, request).await).await
}

fn asked_for(id: JobId, request: &Request) -> Result<(JobId, String), Box<Response>> {
    let (session, _) = session_in(id, request)?;
    let what = match request.uri().query() {
        Some(WITHOUT) => CELLS,
        query if WITH.contains(&query) => EXPORT,
        _ => return Err(Box::new(misdirected(id, ErrorCode::InvalidRequest, OTHER_QUERY, request))),
    };
    Ok((session, format!("/{session}/{what}")))
}

async fn exported(app: &App, id: JobId, caller: &Caller, request: Request) -> Result<Response, Box<Response>> {
    let (session, response) = carry_out(app, (id, caller), request, (Method::GET, asked_for)).await?;
    if response.status() != StatusCode::OK {
        return Ok(response);
    }
    let profile = app.profile_of(id, caller.tenant(), session).await?;
    let mut memory = app.bodies.begin(caller.tenant());
    let said = app.read_export(id, response.into_body(), &mut memory).await?;
    // It is the session's own word, and becomes what whoever is given it may send on as his.
    let read = move |said: Vec<u8>| {
        let request = SessionRequest::parse(&said)?;
        let request = SessionRequest { profile: Some(profile), idle_s: None, ..request };
        Ok(serde_json::to_vec(&request).expect("strings and numbers"))
    };
    let read = memory.work(said, read).await;
    let body = read
        .map_err(|wrong: InvalidRequest| Box::new(refuse(id, ErrorCode::InvalidRequest, format!("{NONE}: {wrong}"))))?;
    Ok(json(id, Bytes::from_owner(Kept { body, _memory: memory })))
}

impl App {
    async fn read_export(&self, id: JobId, body: Body, memory: &mut TenantBody) -> Result<Vec<u8>, Box<Response>> {
        let refused = |code, why: String| Box::new(refuse(id, code, why));
        read_whole(body, self.max_body, |bytes| memory.take(bytes)).await.map_err(|unread| match unread {
            ReadError::TooLarge => refused(
                ErrorCode::TooLarge,
                format!(
                    "the export is larger than a request may be here, {} bytes: ask with files=false, and fetch the files one by one",
                    self.max_body
                ),
            ),
            ReadError::NoMemory => {
                refused(ErrorCode::Overloaded, "too many large bodies at once; try again shortly".to_owned())
            }
            ReadError::Broken(error) => refused(ErrorCode::Lost, format!("the export broke off: {error}")),
        })
    }
}

/// A body, and what it takes of memory until it has left.
struct Kept {
    body: Vec<u8>,
    _memory: TenantBody,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}
