//! A cell of a session.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use cloister_protocol::CellRequest;

use crate::api::app::App;
use crate::api::asked::Asked;
use crate::api::execute::execute_in;
use crate::api::schemas;
use crate::api::sessions::order::session_in;

/// The path.
pub const PATH: &str = "/sessions/{id}/execute";

/// Runs a cell: Python as a cell of a notebook has it. The value of its last expression is the result, as JSON if it has such a form
/// (`result`), as text (`text`), and as whatever else it can be shown (`data`, by media type); `await` works at the top level.
///
/// A cell that costs the session its process (by its time, its memory, a crash, an exit) costs no more than itself: the session goes on as
/// it was before it (`restored`), and what that does not bring back is named (`not_kept`). One cell runs at a time.
///
/// A client that prefers `text/event-stream` (`Accept`) has its answer as Server-Sent Events, as of `POST /execute`: `stdout`, `stderr`,
/// `call` and last `result` or `error`, with `display` (`Displayed`) for what it shows. Calls of tools are returned to at
/// `/execute/{id}/returns`, by the id of this request.
#[utoipa::path(
    post, tag = "sessions", path = PATH, operation_id = "execute_cell", summary = "Run a cell",
    request_body = CellRequest, security((), ("key" = [])),
    params(
        ("id" = String, Path, description = "The session.", pattern = "^[0-9a-f]{32}$"),
        (
            "X-Cloister-Explain" = Option<String>, Header, nullable = false,
            description = "`1` asks for the layers in force, which the answer's header then tells; anything else asks for nothing."
        )
    ),
    responses(
        (status = 200, description = "It came to its end; or, as events, what a cell that has begun prints, shows and comes to.", content(
            (schemas::CellReturned = "application/json"),
            (String = "text/event-stream", example = "event: stdout\ndata: {\"text\":\"hello\\n\"}\n\nevent: result\ndata: {\"id\":\"\u{2026}\",\"result\":4,\"stdout\":\"hello\\n\"}\n\n")
        )),
        (status = 202, description = "The cell waits for calls of tools: return to them at /execute/{id}/returns.", body = schemas::Waits),
        (status = 400, description = "The request breaks the contract: invalid_request.", body = schemas::Refused),
        (status = 401, description = "No key, or none that is known here: unauthorized.", body = schemas::Refused),
        (status = 403, description = "The key may no longer use the session's profile: forbidden.", body = schemas::Refused),
        (status = 404, description = "There is no such session of this key's here: not_found.", body = schemas::Refused),
        (status = 408, description = "The body took too long to arrive: request_timeout.", body = schemas::Refused),
        (status = 409, description = "A cell runs, and this one would not wait, has waited too long, or too many wait: session_busy.", body = schemas::Refused),
        (status = 410, description = "The session is over, and `reason` says why: session_ended.", body = schemas::Refused),
        (status = 413, description = "The body or the code is too large: too_large.", body = schemas::Refused),
        (status = 415, description = "The body is not declared as JSON: unsupported_media_type.", body = schemas::Refused),
        (status = 422, description = "The cell's own failure; the code says which. With `restored` the session goes on as it was before it, or, if that is false, is over.", body = schemas::CellFailed),
        (status = 429, description = "Too many at once (overloaded), too fast (rate_limited), or no more today (quota_exceeded, with quota): wait Retry-After seconds.", body = schemas::Refused),
        (status = 500, description = "A bug of ours: internal.", body = schemas::Refused),
        (status = 502, description = "The cell went with its supervisor, and may have run: lost.", body = schemas::Refused),
        (status = 503, description = "The supervisor is away or restarting, and nothing ran: unavailable.", body = schemas::Refused)
    )
)]
pub async fn execute(State(app): State<Arc<App>>, asked: Asked) -> Response {
    match session_in(asked.id, &asked.request) {
        Ok((session, _)) => execute_in(&app, asked, Some(session)).await,
        Err(refusal) => {
            let mut response = *refusal;
            asked.caller.sign(&mut response);
            response
        }
    }
}
