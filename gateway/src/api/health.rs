//! Whether the gateway is alive, and whether jobs can run: for who starts, watches and balances nodes.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::response::Response;
use cloister_protocol::{JobId, READY_PATH};

use crate::api::app::App;
use crate::api::refusal::{json, unready};
use crate::api::schemas;

#[utoipa::path(
    get, tag = "node", path = "/healthz", summary = "Whether the gateway is alive",
    responses((status = 200, description = "It is.", body = schemas::Status))
)]
pub async fn healthy(Extension(id): Extension<JobId>) -> Response {
    json(id, br#"{"status":"ok"}"#.as_slice())
}

#[utoipa::path(
    get, tag = "node", path = READY_PATH, summary = "Whether jobs can run",
    responses(
        (status = 200, description = "They can.", body = schemas::Readiness),
        (status = 503, description = "The supervisor is away or still checks its sandbox.", body = schemas::Refused)
    )
)]
pub async fn ready(State(app): State<Arc<App>>, Extension(id): Extension<JobId>) -> Response {
    app.supervisor.ready(id).await.unwrap_or_else(|away| unready(id, &away))
}
