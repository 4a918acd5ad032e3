//! Whether the gateway is alive, and whether jobs can run: for who starts, watches and balances nodes.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::response::Response;
use cloister_program::READY_PATH;
use cloister_protocol::{ErrorCode, JobId};

use crate::api::app::App;
use crate::api::refusal::{json, refuse, unready};
use crate::api::schemas;

/// Where the gateway answers for itself alone.
pub const ALIVE_PATH: &str = "/healthz";

/// What a balancer is told of a node that will not be there for long.
const GOING: &str = "this node is going away: what it is sent until then is served, send new requests elsewhere";

/// Says so without asking the supervisor.
#[utoipa::path(
    get, tag = "node", path = ALIVE_PATH, operation_id = "healthy", summary = "Whether the gateway is alive", security(()),
    responses(
        (status = 200, description = "It is.", body = schemas::Status),
        (status = 403, description = "It was asked for by a name that is not this node's: forbidden.", body = schemas::Refused)
    )
)]
pub async fn healthy(Extension(id): Extension<JobId>) -> Response {
    json(id, br#"{"status":"ok"}"#.as_slice())
}

/// Asks the supervisor, which has tried its sandbox.
#[utoipa::path(
    get, tag = "node", path = READY_PATH, operation_id = "ready", summary = "Whether jobs can run", security(()),
    responses(
        (status = 200, description = "They can.", body = schemas::Readiness),
        (status = 403, description = "It was asked for by a name that is not this node's: forbidden.", body = schemas::Refused),
        (status = 503, description = "The supervisor is away or still checks its sandbox, or this node is going away and still serves for a while.", body = schemas::Refused)
    )
)]
pub async fn ready(State(app): State<Arc<App>>, Extension(id): Extension<JobId>) -> Response {
    if app.going.is_told() {
        return refuse(id, ErrorCode::Unavailable, GOING);
    }
    app.supervisor.ready(id).await.unwrap_or_else(|away| unready(id, away))
}
