//! An order that is handed on to the supervisor, and its answer back.

use axum::extract::Request;
use axum::response::Response;
use cloister_protocol::{ErrorCode, JobId, SESSIONS_PATH};

use crate::admission::caller::Caller;
use crate::api::app::App;
use crate::api::methods::misdirected;
use crate::api::refusal::{Because, refuse, unanswered};
use crate::upstream::away::Away;
use crate::upstream::order::SessionOrder;

/// What is said where there is no such session.
const NONE: &str = "there is no such session of yours here: it was never opened, or is on another node";

/// What clients are told whose order went with the supervisor.
const GONE: &str = "the supervisor went away meanwhile, and all sessions with it: open another";

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
