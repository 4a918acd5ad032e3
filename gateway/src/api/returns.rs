//! `POST /execute/{id}/returns`: what calls of a job's tools came to, of a client that has no conversation.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Extension, Path, Request, State};
use axum::response::Response;
use cloister_protocol::{ErrorCode, JobId, Returns, Taken};
use hyper::StatusCode;
use hyper::body::Bytes;

use crate::admission::caller::{Caller, Refused};
use crate::admission::client_address::ClientAddress;
use crate::api::app::App;
use crate::api::refusal::refuse;
use crate::api::schemas;
use crate::metrics::Outcome;
use crate::upstream::away::{Away, HandedOn};

/// The path.
pub const PATH: &str = "/execute/{id}/returns";

/// What is said where there is no such job.
const NONE: &str = "there is no such job of yours here that calls tools: it has ended, or runs on another node";

/// What is said while there is no room.
const FULL: &str = "too many large bodies at once; return to the calls again shortly";

/// Returns to calls of tools.
///
/// A job, or a cell of a session, whose answer ended with 202 goes on, and this is answered with what comes next of it: 202 with the
/// calls that wait then, or its answer, 200 or 422. Of a job whose answer is a stream this is answered at once (`Taken`), and the stream
/// goes on. It does not count against the key's rate, unless there is no such job.
#[utoipa::path(
    post, tag = "jobs", path = PATH, operation_id = "return_to_calls", summary = "Return to calls of tools",
    request_body = schemas::Returns, security((), ("key" = [])),
    params(("id" = String, Path, description = "The job, by the `id` of its answer.", pattern = "^[0-9a-f]{32}$")),
    responses(
        (status = 200, description = "The answer of the job or the cell; or, of one whose answer is a stream or goes to another request, which calls were returned to.", content((schemas::ReturnedOrTaken = "application/json"))),
        (status = 202, description = "The job waits for calls of tools: return to them.", body = schemas::Waits),
        (status = 400, description = "The request breaks the contract: invalid_request.", body = schemas::Refused),
        (status = 401, description = "No key, or none that is known here: unauthorized.", body = schemas::Refused),
        (status = 404, description = "There is no such job of this key's here that calls tools: not_found.", body = schemas::Refused),
        (status = 408, description = "The body took too long to arrive: request_timeout.", body = schemas::Refused),
        (status = 413, description = "The body is too large: too_large.", body = schemas::Refused),
        (status = 415, description = "The body is not declared as JSON: unsupported_media_type.", body = schemas::Refused),
        (status = 422, description = "The script's or the cell's own failure; the code says which.", content((schemas::EitherFailed = "application/json"))),
        (status = 429, description = "Too many large bodies at once: overloaded; too many returns to no job: rate_limited.", body = schemas::Refused),
        (status = 502, description = "The job went with its supervisor: lost.", body = schemas::Refused)
    )
)]
pub async fn returns(
    State(app): State<Arc<App>>,
    Extension(id): Extension<JobId>,
    Extension(ClientAddress(client)): Extension<ClientAddress>,
    Path(job): Path<String>,
    request: Request,
) -> Response {
    let (caller, job) = match who(&app, &request, client, &job) {
        Ok(known) => known,
        Err(refused) => return app.turn_away(id, refused, request.into_body()).await,
    };
    let mut memory = app.bodies.begin(caller.tenant());
    let body = match app.read_json(id, request, &mut memory).await {
        Ok(body) => body,
        Err(refusal) => return *refusal,
    };
    let canonical = |body: Vec<u8>| {
        Returns::parse(&body).map(|returns| serde_json::to_vec(&returns).expect("numbers and JSON that was parsed"))
    };
    let body = match memory.work(body, canonical).await {
        Ok(body) => Bytes::from(body),
        Err(wrong) => return refuse(id, ErrorCode::InvalidRequest, wrong.to_string()),
    };
    let handed_on = match app.supervisor.returns(job, caller.tenant(), body).await {
        Ok(HandedOn::Refused(why)) => return refuse(id, ErrorCode::Overloaded, why),
        Err(Away::Full) => return refuse(id, ErrorCode::Overloaded, FULL),
        Ok(handed_on) => handed_on,
        Err(away) => {
            drop(app.held.take(job, caller.tenant()));
            return refuse(id, ErrorCode::Lost, format!("the supervisor went away, and the job with it: {away}"));
        }
    };
    drop(memory);
    match (app.held.take(job, caller.tenant()), handed_on) {
        (Some(mut answer), HandedOn::To(told)) => {
            answer.wait_for(&told.open);
            answer.go_on(&app.held, caller.tenant(), &told.refused).await
        }
        // It has ended by itself: its answer says how.
        (Some(mut answer), _) => {
            answer.wait_for(&[]);
            answer.go_on(&app.held, caller.tenant(), &[]).await
        }
        (None, HandedOn::To(told)) => taken(id, &told),
        (None, _) => refuse(id, ErrorCode::NotFound, NONE),
    }
}

/// Who returns, and to which job of theirs. What a job asked for was counted with the job; what nobody asked for is counted by itself.
fn who(app: &App, request: &Request, client: IpAddr, job: &str) -> Result<(Caller, JobId), Refused> {
    let caller = app.admission.recognise(request.headers(), client)?;
    match JobId::parse(job).filter(|job| app.known.has(*job, caller.tenant())) {
        Some(job) => Ok((caller, job)),
        None => {
            app.admission.identify(request.headers(), client)?;
            Err(Refused::new(ErrorCode::NotFound, NONE))
        }
    }
}

fn taken(id: JobId, told: &Taken) -> Response {
    let mut response = crate::api::refusal::json(id, serde_json::to_vec(told).expect("numbers and strings"));
    *response.status_mut() = StatusCode::OK;
    response.extensions_mut().insert(Outcome::Served);
    response
}
