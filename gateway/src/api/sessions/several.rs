//! Opening a session, and telling of all that there are.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::response::Response;
use cloister_protocol::{
    DEFAULT_PROFILE, ErrorCode, InvalidRequest, JobId, SESSIONS_PATH, SessionRequest, Sessions, Tenant,
};
use hyper::{Method, StatusCode};

use crate::admission::caller::Caller;
use crate::api::app::App;
use crate::api::asked::Asked;
use crate::api::refusal::{refuse, refuse_with};
use crate::api::schemas;
use crate::api::sessions::import::{Opened, run_cells};
use crate::upstream::order::SessionOrder;

/// Opens a session.
///
/// It is a Python interpreter in a sandbox of its own, which is sent cells and keeps its state between them. Its id is the one of
/// this request.
///
/// What an export of another gave is a request for one that is made by the same: its `cells` are run before this is answered, each as a
/// job that counts; what they show and print is told to nobody, and which of them failed is.
#[utoipa::path(
    post, tag = "sessions", path = SESSIONS_PATH, operation_id = "open_session", summary = "Open a session",
    request_body = SessionRequest, security((), ("key" = [])),
    responses(
        (status = 201, description = "It is open.", body = Opened),
        (status = 400, description = "The request breaks the contract: invalid_request.", body = schemas::Refused),
        (status = 401, description = "No key, or none that is known here: unauthorized.", body = schemas::Refused),
        (status = 403, description = "The key may not use this profile: forbidden.", body = schemas::Refused),
        (status = 408, description = "The body took too long to arrive: request_timeout.", body = schemas::Refused),
        (status = 413, description = "The body or its files are too large: too_large.", body = schemas::Refused),
        (status = 415, description = "The body is not declared as JSON: unsupported_media_type.", body = schemas::Refused),
        (status = 429, description = "There are as many sessions as may be, of the key, the profile or the node; or too many at once (overloaded), too fast (rate_limited), or no more today (quota_exceeded).", body = schemas::Refused),
        (status = 500, description = "A bug of ours: internal.", body = schemas::Refused),
        (status = 502, description = "The supervisor went away meanwhile, and all sessions with it: lost.", body = schemas::Refused),
        (status = 503, description = "The supervisor is away or restarting: unavailable.", body = schemas::Refused)
    )
)]
pub async fn open(State(app): State<Arc<App>>, asked: Asked) -> Response {
    asked.served(&app, async |id, caller, request| opened(&app, id, caller, request).await).await
}

async fn opened(app: &Arc<App>, id: JobId, caller: &Caller, request: Request) -> Result<Response, Box<Response>> {
    let mut memory = app.bodies.begin(caller.tenant());
    let body = app.read_json(id, request, &mut memory).await?;
    let parse = |body: Vec<u8>| {
        let mut request = SessionRequest::parse(&body)?;
        let cells = std::mem::take(&mut request.cells);
        Ok((canonical(request), cells))
    };
    let parsed = memory.work(body, parse).await;
    let refused = |refused| Box::new(refuse_with(id, refused));
    let ((profile, body), cells) =
        parsed.map_err(|wrong: InvalidRequest| Box::new(refuse(id, ErrorCode::InvalidRequest, wrong.to_string())))?;
    if cells.is_empty() {
        caller.enter_under(profile.as_deref()).map_err(refused)?;
        return Ok(app.open_session(id, caller, profile.as_deref(), body).await);
    }
    // Each of its cells is one at once, in its turn.
    caller.allow(profile.as_deref()).map_err(refused)?;
    let response = app.open_session(id, caller, profile.as_deref(), body).await;
    if response.status() != StatusCode::CREATED {
        return Ok(response);
    }
    run_cells(app, (id, caller), cells).await
}

/// As the supervisor gets it, it was never a stranger's spelling.
pub fn canonical(request: SessionRequest) -> (Option<String>, Vec<u8>) {
    let body = serde_json::to_vec(&request).expect("strings and numbers");
    (request.profile, body)
}

impl App {
    /// Opens a session of this profile, which then has this id, for a caller who may; of a request that is known to be one.
    pub async fn open_session(&self, id: JobId, caller: &Caller, profile: Option<&str>, request: Vec<u8>) -> Response {
        let (path, body) = (String::new(), request.into());
        let order = SessionOrder { method: Method::POST, path, media_type: "application/json", body };
        let response = self.order(id, caller, &order).await;
        if response.status() == StatusCode::CREATED {
            self.sessions.note(id, caller.tenant(), profile.unwrap_or(DEFAULT_PROFILE), Instant::now());
        }
        response
    }

    /// Closes a session that nobody was told of.
    pub async fn close_untold(&self, session: JobId, tenant: Tenant) {
        self.sessions.forget(session, tenant);
        let close = SessionOrder::plain(Method::DELETE, format!("/{session}"));
        // One that does not hear of it goes with its supervisor, or by its time.
        let _ = self.supervisor.ask_of_sessions(session, tenant, &close).await;
    }
}

/// Tells of all sessions of the key, or where no keys are needed of the address.
#[utoipa::path(
    get, tag = "sessions", path = SESSIONS_PATH, operation_id = "list_sessions", summary = "All sessions", security((), ("key" = [])),
    responses(
        (status = 200, description = "All that are open.", body = Sessions),
        (status = 401, description = "No key, or none that is known here: unauthorized.", body = schemas::Refused),
        (status = 403, description = "A page of others asks, or a name that is not this node's: forbidden.", body = schemas::Refused),
        (status = 429, description = "Too fast: rate_limited. Wait Retry-After seconds.", body = schemas::Refused),
        (status = 500, description = "A bug of ours: internal.", body = schemas::Refused),
        (status = 502, description = "The supervisor went away meanwhile, and all sessions with it: lost.", body = schemas::Refused),
        (status = 503, description = "The supervisor is away or restarting: unavailable.", body = schemas::Refused)
    )
)]
pub async fn list(State(app): State<Arc<App>>, Asked { id, caller, .. }: Asked) -> Response {
    let mut response = app.order(id, &caller, &SessionOrder::plain(Method::GET, "")).await;
    caller.sign(&mut response);
    response
}
