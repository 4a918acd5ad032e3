//! A session as a whole: what it does, its end, and an interrupt of its cell.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use cloister_protocol::{INTERRUPT, Interrupted, JobId, SessionInfo};
use hyper::{Method, StatusCode};

use crate::admission::caller::Caller;
use crate::api::app::App;
use crate::api::asked::Asked;
use crate::api::schemas;
use crate::api::sessions::order::session_in;
use crate::upstream::order::SessionOrder;

/// The path of one.
pub const PATH: &str = "/sessions/{id}";

/// Where its cell is interrupted.
pub const INTERRUPT_PATH: &str = "/sessions/{id}/interrupt";

/// Tells of a session.
#[utoipa::path(
    get, tag = "sessions", path = PATH, operation_id = "show_session", summary = "One session", security((), ("key" = [])),
    params(("id" = String, Path, description = "The session.", pattern = "^[0-9a-f]{32}$")),
    responses(
        (status = 200, description = "What it does, and how long it stays.", body = SessionInfo),
        (status = 401, description = "No key, or none that is known here: unauthorized.", body = schemas::Refused),
        (status = 403, description = "A page of others asks, or a name that is not this node's: forbidden.", body = schemas::Refused),
        (status = 404, description = "There is no such session of this key's here: not_found.", body = schemas::Refused),
        (status = 408, description = "The body took too long to arrive: request_timeout.", body = schemas::Refused),
        (status = 410, description = "The session is over, and `reason` says why: session_ended.", body = schemas::Refused),
        (status = 413, description = "The body is too large: too_large.", body = schemas::Refused),
        (status = 429, description = "Too fast: rate_limited. Wait Retry-After seconds.", body = schemas::Refused),
        (status = 500, description = "A bug of ours: internal.", body = schemas::Refused),
        (status = 502, description = "The supervisor went away meanwhile, and all sessions with it: lost.", body = schemas::Refused),
        (status = 503, description = "The supervisor is away or restarting: unavailable.", body = schemas::Refused)
    )
)]
pub async fn show(State(app): State<Arc<App>>, asked: Asked) -> Response {
    ordered(&app, asked, |session| SessionOrder::plain(Method::GET, format!("/{session}"))).await
}

/// Closes a session: all that is in it ends, a cell too, and its files go.
#[utoipa::path(
    delete, tag = "sessions", path = PATH, operation_id = "close_session", summary = "Close a session", security((), ("key" = [])),
    params(("id" = String, Path, description = "The session.", pattern = "^[0-9a-f]{32}$")),
    responses(
        (status = 204, description = "It is closed."),
        (status = 401, description = "No key, or none that is known here: unauthorized.", body = schemas::Refused),
        (status = 403, description = "A page of others asks, or a name that is not this node's: forbidden.", body = schemas::Refused),
        (status = 404, description = "There is no such session of this key's here: not_found.", body = schemas::Refused),
        (status = 408, description = "The body took too long to arrive: request_timeout.", body = schemas::Refused),
        (status = 410, description = "The session is over, and `reason` says why: session_ended.", body = schemas::Refused),
        (status = 413, description = "The body is too large: too_large.", body = schemas::Refused),
        (status = 429, description = "Too fast: rate_limited. Wait Retry-After seconds.", body = schemas::Refused),
        (status = 500, description = "A bug of ours: internal.", body = schemas::Refused),
        (status = 502, description = "The supervisor went away meanwhile, and all sessions with it: lost.", body = schemas::Refused),
        (status = 503, description = "The supervisor is away or restarting: unavailable.", body = schemas::Refused)
    )
)]
pub async fn close(State(app): State<Arc<App>>, asked: Asked) -> Response {
    ordered(&app, asked, |session| SessionOrder::plain(Method::DELETE, format!("/{session}"))).await
}

/// Interrupts the cell that runs: a `KeyboardInterrupt` in it. If it does not heed that for a while (`interrupt_wait` of the
/// profile), it is ended, and the session is as it was before it.
#[utoipa::path(
    post, tag = "sessions", path = INTERRUPT_PATH, operation_id = "interrupt_session", summary = "Interrupt a cell", security((), ("key" = [])),
    params(("id" = String, Path, description = "The session.", pattern = "^[0-9a-f]{32}$")),
    responses(
        (status = 200, description = "Whether a cell ran that could be interrupted.", body = Interrupted),
        (status = 401, description = "No key, or none that is known here: unauthorized.", body = schemas::Refused),
        (status = 403, description = "A page of others asks, or a name that is not this node's: forbidden.", body = schemas::Refused),
        (status = 404, description = "There is no such session of this key's here: not_found.", body = schemas::Refused),
        (status = 408, description = "The body took too long to arrive: request_timeout.", body = schemas::Refused),
        (status = 410, description = "The session is over, and `reason` says why: session_ended.", body = schemas::Refused),
        (status = 413, description = "The body is too large: too_large.", body = schemas::Refused),
        (status = 429, description = "Too fast: rate_limited. Wait Retry-After seconds.", body = schemas::Refused),
        (status = 500, description = "A bug of ours: internal.", body = schemas::Refused),
        (status = 502, description = "The supervisor went away meanwhile, and all sessions with it: lost.", body = schemas::Refused),
        (status = 503, description = "The supervisor is away or restarting: unavailable.", body = schemas::Refused)
    )
)]
pub async fn interrupt(State(app): State<Arc<App>>, asked: Asked) -> Response {
    ordered(&app, asked, interrupt_order).await
}

/// An interrupt of this session's cell.
pub fn interrupt_order(session: JobId) -> SessionOrder {
    SessionOrder::plain(Method::POST, format!("/{session}/{INTERRUPT}"))
}

/// Hands an order on of the session that the path names. A body says nothing, and is read so that the connection can be used again.
async fn ordered(app: &App, asked: Asked, order: impl FnOnce(JobId) -> SessionOrder) -> Response {
    let answer = async |id, caller: &Caller, request: Request| {
        let (session, _) = session_in(id, &request)?;
        app.read(id, request.into_body(), &mut app.bodies.begin(caller.tenant())).await?;
        let response = app.order(id, caller, &order(session)).await;
        if response.status() == StatusCode::NO_CONTENT {
            app.sessions.forget(session, caller.tenant());
        }
        Ok(app.told_of(id, caller.tenant(), session, response).await)
    };
    asked.answered(answer).await
}
