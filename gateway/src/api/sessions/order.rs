//! An order that is handed on to the supervisor, and its answer back.

use axum::extract::Request;
use axum::response::Response;
use cloister_program::read_whole;
use cloister_protocol::{ErrorCode, JobId, SESSIONS_PATH};
use hyper::Method;

use crate::admission::caller::Caller;
use crate::api::app::App;
use crate::api::methods::misdirected;
use crate::api::refusal::{Because, refuse, refuse_with, unanswered};
use crate::upstream::away::Away;
use crate::upstream::order::SessionOrder;

/// What the content of a file is sent as.
const BYTES: &str = "application/octet-stream";

/// The most that is read of what the supervisor says of a session.
const LARGEST_INFO: usize = 64 * 1024;

/// What is said where there is no such session.
const NONE: &str = "there is no such session of yours here: it was never opened, or is on another node";

/// What clients are told whose order went with the supervisor.
const GONE: &str = "the supervisor went away meanwhile, and all sessions with it: open another";

/// To which session an order goes and where in it, by the path of a request: a refusal, if nowhere.
pub type Place = fn(JobId, &Request) -> Result<(JobId, String), Box<Response>>;

/// Hands on an order that the session itself carries out, which is one more request at once of its caller's; to which session, and
/// what came of it.
///
/// # Errors
/// A refusal where it is not handed on.
pub async fn carry_out(
    app: &App,
    (id, caller): (JobId, &Caller),
    request: Request,
    (method, place): (Method, Place),
) -> Result<(JobId, Response), Box<Response>> {
    let (session, path) = place(id, &request)?;
    let mut memory = app.bodies.begin(caller.tenant());
    let body = match method {
        Method::PUT => app.read_plain(id, request, &mut memory).await?,
        // Of no use, and read so that the connection can be used again.
        _ => app.read(id, request.into_body(), &mut memory).await?,
    };
    caller.enter().map_err(|refused| Box::new(refuse_with(id, refused)))?;
    let order = match method {
        Method::PUT => SessionOrder { method, path, media_type: BYTES, body: body.into() },
        _ => SessionOrder::plain(method, path),
    };
    let response = app.order(id, caller, &order).await;
    Ok((session, app.told_of(id, caller.tenant(), session, response).await))
}

/// What the supervisor says of a session, as it says it; nothing where it breaks off.
pub async fn read_info(told: Response) -> Vec<u8> {
    read_whole(told.into_body(), LARGEST_INFO, |_| true).await.unwrap_or_default()
}

impl App {
    /// Hands an order on, for as long as the supervisor may be waited for.
    pub async fn order(&self, id: JobId, caller: &Caller, order: &SessionOrder) -> Response {
        match self.supervisor.ask_of_sessions(id, caller.tenant(), order).await {
            Ok(answer) => answer,
            Err(away @ Away::Lost(_)) => {
                let mut response = refuse(id, ErrorCode::Lost, GONE);
                response.extensions_mut().insert(Because(away.to_string()));
                response
            }
            Err(away) => unanswered(id, away),
        }
    }
}

/// The session that a request's path names, and what of the path stands behind it.
///
/// # Errors
/// A refusal where it names none.
pub fn session_in(id: JobId, request: &Request) -> Result<(JobId, &str), Box<Response>> {
    let named = request.uri().path().strip_prefix(SESSIONS_PATH).and_then(|path| path.strip_prefix('/'));
    let (session, rest) = named.map_or(("", ""), |named| named.split_at(named.find('/').unwrap_or(named.len())));
    let session = JobId::parse(session).ok_or_else(|| Box::new(misdirected(id, ErrorCode::NotFound, NONE, request)))?;
    Ok((session, rest))
}
