//! `GET /connect`: a conversation, in which jobs are run one after another, and each may call tools of the client's.
//!
//! It is a WebSocket (RFC 6455; over HTTP/2, RFC 8441), whose messages are JSON: docs/conversations.md. A job in it is a request as
//! any other: it is known by a key, has its turn, its bounds, its line in the log.

pub mod arrival;
mod conversation;
mod messages;
pub mod speech;
pub mod wire;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::response::Response;
use cloister_protocol::{ErrorCode, JobId};
use hyper::ext::Protocol;
use hyper::header::{HeaderValue, SEC_WEBSOCKET_VERSION, UPGRADE};
use hyper::{Method, Version};
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;

use crate::admission::client_address::ClientAddress;
use crate::api::app::App;
use crate::api::connect::arrival::Arrival;
use crate::api::connect::conversation::Conversation;
use crate::api::refusal::refuse_unread;
use crate::api::schemas;

/// The path.
pub const PATH: &str = "/connect";

/// The version of the protocol: RFC 6455, 4.1.
const VERSION: &str = "13";

/// What is told of a request that asks for no WebSocket.
const NO_WEBSOCKET: &str =
    "this path is for a WebSocket: connect to it with a client of one (Upgrade: websocket, Sec-WebSocket-Version: 13)";

/// Opens a conversation.
///
/// A WebSocket (RFC 6455) whose messages are JSON objects with their kind in `type`. From the client: `execute` with the fields of
/// `POST /execute`, or with `session` and those of a cell, `return` with `call` and `value` or `error`, `interrupt` of a cell, `close`. From the
/// node: `started`, `stdout`, `stderr`, `display`, `call`, then `result` with the body that the answer would have had, of 200 or 422, or
/// `error`. One job or cell runs at a time.
#[utoipa::path(
    get, tag = "jobs", path = PATH, operation_id = "connect", summary = "Open a conversation (WebSocket)", security((), ("key" = [])),
    responses(
        (status = 101, description = "The conversation is open."),
        (status = 400, description = "The request asks for no WebSocket: invalid_request.", body = schemas::Refused),
        (status = 401, description = "No key, or none that is known here: unauthorized.", body = schemas::Refused),
        (status = 403, description = "A page of others asks, or a name that is not this node's: forbidden.", body = schemas::Refused)
    )
)]
pub async fn connect(
    State(app): State<Arc<App>>,
    Extension(id): Extension<JobId>,
    Extension(ClientAddress(client)): Extension<ClientAddress>,
    Extension(arrival): Extension<Arrival>,
    mut request: Request,
) -> Response {
    let caller = match app.admission.recognise(request.headers(), client) {
        Ok(caller) => caller,
        Err(refused) => return app.turn_away(id, refused, request.into_body()).await,
    };
    let mut response = match handshake(id, &request) {
        Ok(response) => response,
        Err(refusal) => return *refusal,
    };
    let upgraded = hyper::upgrade::on(&mut request);
    let headers = request.headers().clone();
    tokio::spawn(async move {
        match upgraded.await {
            Ok(stream) => Conversation::open(app, (headers, client), arrival, stream).await.go_on().await,
            Err(error) => tracing::debug!(%id, %error, "a conversation was not opened"),
        }
    });
    caller.sign(&mut response);
    response
}

/// The answer that opens a WebSocket.
///
/// # Errors
/// A refusal where the request asks for none.
pub fn handshake(id: JobId, request: &Request) -> Result<Response, Box<Response>> {
    accepted(request).ok_or_else(|| {
        let mut response = refuse_unread(id, ErrorCode::InvalidRequest, NO_WEBSOCKET);
        response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
        Box::new(response)
    })
}

/// The answer that opens a WebSocket, if the request asks for one.
fn accepted(request: &Request) -> Option<Response> {
    if request.version() != Version::HTTP_2 {
        return create_response_with_body(request, Body::empty).ok();
    }
    // RFC 8441, 5: the rest of the handshake is HTTP/2's.
    let asks = request.method() == Method::CONNECT
        && request.extensions().get::<Protocol>().is_some_and(|protocol| protocol.as_str() == "websocket")
        && request.headers().get(SEC_WEBSOCKET_VERSION).is_some_and(|version| version == VERSION);
    asks.then(|| Response::new(Body::empty()))
}
