//! A session that is opened with cells: they are run in it before it is told to be open, each as a job of its own.

use std::sync::Arc;

use axum::response::Response;
use cloister_program::read_whole;
use cloister_protocol::{CellRequest, ErrorCode, JobId, SessionCell, SessionInfo, Tenant, Writer};
use hyper::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::admission::caller::Caller;
use crate::api::app::App;
use crate::api::job::Sent;
use crate::api::refusal::{json, refuse};
use crate::api::sessions::order::read_info;
use crate::upstream::order::{SessionOrder, Wish};

/// The most of a cell's answer that is looked at for why it failed.
const LARGEST_FAILURE: usize = 256 * 1024;

/// How much is told of each failure, in characters: there may be thousands.
const LONGEST_MESSAGE: usize = 200;

/// A session that was opened.
#[derive(utoipa::ToSchema)]
#[allow(dead_code, reason = "a schema alone")]
pub struct Opened {
    #[serde(flatten)]
    info: SessionInfo,
    /// Of the cells that came with the request, those that failed; not there if none did.
    #[schema(required = false)]
    failed: Vec<FailedCell>,
}

/// A cell that failed while its session was being opened.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct FailedCell {
    /// Its number, from 1 on.
    #[schema(minimum = 1)]
    cell: usize,
    /// The code of its error.
    code: String,
    /// What its error says, or the beginning of that.
    message: String,
}

/// A session that is being made. Dropped before all of its cells have run, it is closed: nobody was told of it.
struct Unfinished {
    app: Arc<App>,
    session: JobId,
    tenant: Tenant,
    is_done: bool,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        let (app, session, tenant) = (Arc::clone(&self.app), self.session, self.tenant);
        tokio::spawn(async move { app.close_untold(session, tenant).await });
    }
}

/// What is read of an answer, to a cell or about a session.
#[derive(Deserialize)]
struct Told<'a> {
    #[serde(borrow)]
    error: Option<Failure<'a>>,
    restored: Option<bool>,
}

#[derive(Deserialize)]
struct Failure<'a> {
    code: String,
    #[serde(borrow)]
    message: &'a RawValue,
}

/// Runs these cells in a session that was just opened, one after another, and tells of it then.
///
/// # Errors
/// When one could not be run: the session is closed then.
pub async fn run_cells(
    app: &Arc<App>,
    (session, caller): (JobId, &Caller),
    cells: Vec<SessionCell>,
) -> Result<Response, Box<Response>> {
    let tenant = caller.tenant();
    let mut unfinished = Unfinished { app: Arc::clone(app), session, tenant, is_done: false };
    let (mut failed, count) = (Vec::new(), cells.len());
    for (at, SessionCell { code }) in cells.into_iter().enumerate() {
        let number = at + 1;
        failed.extend(app.run_imported((session, &caller.again().await), (number, count), code).await?);
    }
    let info = app.order(session, caller, &SessionOrder::plain(Method::GET, format!("/{session}"))).await;
    if info.status() != StatusCode::OK {
        return Err(Box::new(info));
    }
    unfinished.is_done = true;
    let mut info = read_info(info).await;
    if !failed.is_empty() && info.pop() == Some(b'}') {
        info.extend_from_slice(b",\"failed\":");
        info.extend(serde_json::to_vec(&failed).expect("strings and numbers"));
        info.push(b'}');
    }
    let mut response = json(session, info);
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

impl App {
    /// Runs one of them, and says why it failed if it did.
    async fn run_imported(
        &self,
        (session, caller): (JobId, &Caller),
        (number, count): (usize, usize),
        code: String,
    ) -> Result<Option<FailedCell>, Box<Response>> {
        let cell = CellRequest { code, timeout_ms: None, tools: Default::default(), busy: Default::default() };
        let body = serde_json::to_vec(&cell).expect("a string");
        let sent = Sent { writer: Writer::Client, session: Some(session), body };
        let answer = self.run(session.beside(), caller, Wish::default(), sent).await?;
        let status = answer.status();
        if status == StatusCode::OK {
            return Ok(None);
        }
        let told = read_whole(answer.into_body(), LARGEST_FAILURE, |_| true).await.unwrap_or_default();
        let Ok(Told { error: Some(Failure { code, message }), restored }) = serde_json::from_slice(&told) else {
            return Err(Box::new(refuse(session, ErrorCode::Lost, format!("cell {number} of {count} was lost"))));
        };
        let message: String = serde_json::from_str(message.get()).unwrap_or_default();
        if status == StatusCode::UNPROCESSABLE_ENTITY && restored != Some(false) {
            let message = message.chars().take(LONGEST_MESSAGE).collect();
            return Ok(Some(FailedCell { cell: number, code, message }));
        }
        let known = ErrorCode::parse(&code).filter(|code| code.status() == status.as_u16());
        let code = known.unwrap_or(ErrorCode::Lost);
        let why = format!("cell {number} of {count} could not be run, and the session is closed: {message}");
        Err(Box::new(refuse(session, code, why)))
    }
}
