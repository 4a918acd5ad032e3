//! `POST /execute`: how its client wishes to be answered, and an answer that stops where tools are called. A cell of a session
//! goes the same way.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use cloister_protocol::event::EVENT_STREAM;
use cloister_protocol::{
    EXECUTE_PATH, EXPLAIN_HEADER, ExecuteRequest, JobId, PROFILE_HEADER, RETURNS_WITHIN_HEADER, TIMING_HEADER, Writer,
};
use hyper::HeaderMap;
use hyper::header::CONTENT_TYPE;

use crate::admission::caller::Caller;
use crate::api::app::App;
use crate::api::asked::Asked;
use crate::api::held::{Companions, OpenAnswer};
use crate::api::job::Sent;
use crate::api::negotiation::prefers_events;
use crate::api::schemas;
use crate::upstream::order::Wish;

/// Runs a script in a sandbox of its own and answers with what its `main()` returned; or, with `entry` `program`, with its exit
/// code.
///
/// A script that says what it needs (`packages`, or metadata as of PEP 723 in it) is served by a profile that has all of it: the
/// one that is named, or else the default one or the smallest.
///
/// A client that prefers `text/event-stream` (`Accept`) has its answer as Server-Sent Events: `stdout` and `stderr` as text is
/// printed (`Printed`), and last `result` with the whole body that the answer would otherwise have, of 200 (`Returned`) or 422
/// (`Failed`), or `error` (`Refused`) if the job was lost. The status is 200 once the job has begun; a request that is refused
/// before is answered as ever.
///
/// With `tools` the script may call functions of the client's. A call is an event `call` (`Call`) of the stream; or, for who has
/// none, ends the answer with 202 (`Waits`) until `POST /execute/{id}/returns` takes it up. What a job asks for is a stranger's
/// wish: see to it that a tool does no more than anybody may.
#[utoipa::path(
    post, tag = "jobs", path = EXECUTE_PATH, summary = "Run a script",
    request_body = ExecuteRequest, security((), ("key" = [])),
    params((
        "X-Cloister-Explain" = Option<String>, Header, nullable = false,
        description = "`1` asks for the layers in force, which the answer's header then tells; anything else asks for nothing."
    )),
    responses(
        (status = 200, description = "main() returned JSON, or a program ended; or, as events, what a job that has begun prints and comes to.", content(
            (schemas::Returned = "application/json"),
            (String = "text/event-stream", example = "event: stdout\ndata: {\"text\":\"hello\\n\"}\n\nevent: result\ndata: {\"id\":\"\u{2026}\",\"result\":4,\"stdout\":\"hello\\n\"}\n\n")
        )),
        (status = 202, description = "The job waits for calls of tools: return to them at /execute/{id}/returns.", body = schemas::Waits),
        (status = 400, description = "The request breaks the contract: invalid_request.", body = schemas::Refused),
        (status = 401, description = "No key, or none that is known here: unauthorized.", body = schemas::Refused),
        (status = 403, description = "The key may not use this profile: forbidden.", body = schemas::Refused),
        (status = 408, description = "The body took too long to arrive: request_timeout.", body = schemas::Refused),
        (status = 413, description = "The body, the script or its files are too large: too_large.", body = schemas::Refused),
        (status = 415, description = "The body is not declared as JSON: unsupported_media_type.", body = schemas::Refused),
        (status = 422, description = "The script's own failure; the code says which. missing_packages: what it says that it needs is in no profile that may serve it, and nothing ran.", body = schemas::Failed),
        (status = 429, description = "Too many at once (overloaded), too fast (rate_limited), or no more today (quota_exceeded, with quota): wait Retry-After seconds.", body = schemas::Refused),
        (status = 500, description = "A bug of ours: internal.", body = schemas::Refused),
        (status = 502, description = "The job went with its supervisor, launcher or zygote, and may have run: lost.", body = schemas::Refused),
        (status = 503, description = "The supervisor is away or restarting, and nothing ran: unavailable.", body = schemas::Refused)
    )
)]
pub async fn execute(State(app): State<Arc<App>>, asked: Asked) -> Response {
    execute_in(&app, asked, None).await
}

/// Runs what a request brings: a script, or a cell of this session.
pub async fn execute_in(app: &App, asked: Asked, session: Option<JobId>) -> Response {
    asked.served(app, async |id, caller, request| run(app, id, caller, request, session).await).await
}

async fn run(
    app: &App,
    id: JobId,
    caller: &Caller,
    request: Request,
    session: Option<JobId>,
) -> Result<Response, Box<Response>> {
    let explain = request.headers().get(EXPLAIN_HEADER).is_some_and(|asks| asks == "1");
    let wish = Wish { explain, stream: prefers_events(request.headers()), whole: false };
    let mut memory = app.bodies.begin(caller.tenant());
    let body = app.read_json(id, request, &mut memory).await?;
    let answer = app.run(id, caller, wish, Sent { writer: Writer::Client, session, body }).await?;
    if wish.stream || answer.headers().get(CONTENT_TYPE).is_none_or(|form| form != EVENT_STREAM) {
        return Ok(answer);
    }
    // A job that may call tools is a stream inside, and its client will have the answer whole.
    let (head, body) = answer.into_parts();
    let ((permit, holder), mut extensions) = (caller.leave(), head.extensions);
    let (outcome, meter) = extensions.remove().zip(extensions.remove()).expect("a stream has both");
    let companions = Companions { outcome, meter, permit, holder };
    let answer = OpenAnswer::new(id, body, memory.another(), returned_within(&head.headers), companions);
    drop(memory);
    let mut answer = answer.go_on(&app.held, caller.tenant(), &[]).await;
    for name in [EXPLAIN_HEADER, PROFILE_HEADER, TIMING_HEADER] {
        if let Some(value) = head.headers.get(name) {
            answer.headers_mut().insert(name, value.clone());
        }
    }
    Ok(answer)
}

/// How long what calls return is waited for, as the supervisor says.
fn returned_within(headers: &HeaderMap) -> Duration {
    let told = headers.get(RETURNS_WITHIN_HEADER).and_then(|value| value.to_str().ok());
    Duration::from_millis(told.and_then(|told| told.parse().ok()).unwrap_or(0))
}
