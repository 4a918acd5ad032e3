//! A call that keeps its state: its code is a cell of a session, of one that was told before or of a new one.
//!
//! What a call may have besides is less than without a session: what decides how an interpreter begins is for a new one alone, and
//! what is said of a script's end is for none.

use axum::response::Response;
use cloister_protocol::{CellRequest, ErrorCode, JobId, SessionRequest, Writer};
use hyper::{Method, StatusCode};
use serde::Serialize;
use serde::ser::Serializer;
use serde_json::value::RawValue;

use super::fields::{Fields, text};
use crate::admission::caller::Caller;
use crate::api::app::App;
use crate::api::job::Sent;
use crate::api::refusal::{refuse, refuse_with};
use crate::upstream::order::{SessionOrder, Wish};

/// What asks for a session that is not there yet.
pub const NEW: &str = "new";

/// What `session` may be.
const EXPECTED: &str = "the id of a session that an answer told, or \"new\"";

/// What else there may be.
const BESIDES: &str = "beside session expected code and timeout_ms, and with \"new\" profile and files";

/// What a call asks for.
#[derive(Debug)]
pub enum Call {
    /// A script: the arguments as they came.
    Script(Vec<u8>),
    /// A cell, which is the body of a request for one.
    Cell(Place, Vec<u8>),
}

/// Of what session a cell is.
#[derive(Debug)]
pub enum Place {
    /// Of this one.
    Known(JobId),
    /// Of one that is to be opened first.
    New(SessionRequest),
}

/// Fields of an object that is written.
#[derive(Default)]
struct Object<'a>(Vec<(&'a str, &'a RawValue)>);

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

impl Object<'_> {
    fn json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("names and JSON that was parsed")
    }
}

/// Reads the arguments of a call.
///
/// # Errors
/// What is wrong with those of a cell. Those of a script are read by who runs it.
pub fn read(arguments: Vec<u8>) -> Result<Call, String> {
    match serde_json::from_slice::<Fields<'_>>(&arguments) {
        Ok(fields) if fields.get("session").is_some() => read_cell(&fields),
        _ => Ok(Call::Script(arguments)),
    }
}

fn read_cell(fields: &Fields<'_>) -> Result<Call, String> {
    let session = fields.get("session").and_then(text).unwrap_or_default();
    let is_new = session == NEW;
    let (mut cell, mut opening, mut sessions) = (Object::default(), Object::default(), 0);
    for (name, value) in &fields.0 {
        match &**name {
            "session" => sessions += 1,
            "code" | "script" => cell.0.push(("code", value)),
            "timeout_ms" => cell.0.push((name, value)),
            "profile" | "files" if is_new => opening.0.push((name, value)),
            other => return Err(format!("{:?} is not for a cell of a session: {BESIDES}", shown(other))),
        }
    }
    if sessions > 1 || cell.0.iter().filter(|(name, _)| *name == "code").count() > 1 {
        return Err("session or code is there twice (script is another name of code): expected one of each".to_owned());
    }
    let body = cell.json();
    CellRequest::parse(&body).map_err(|wrong| wrong.to_string())?;
    let place = match is_new {
        true => Place::New(SessionRequest::parse(&opening.json()).map_err(|wrong| wrong.to_string())?),
        false => Place::Known(
            JobId::parse(&session).ok_or_else(|| format!("session is {:?}, expected {EXPECTED}", shown(&session)))?,
        ),
    };
    Ok(Call::Cell(place, body))
}

/// The beginning of what a stranger wrote.
fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}

impl App {
    /// Runs a cell of a session that is kept. One that was opened for it, and in which it did not run, is closed again: nobody was
    /// told of it.
    pub async fn run_kept(
        &self,
        id: JobId,
        caller: &Caller,
        place: Place,
        body: Vec<u8>,
    ) -> Result<Response, Box<Response>> {
        let (session, is_new) = match place {
            Place::Known(session) => (session, false),
            Place::New(request) => (self.open_kept(id, caller, request).await?, true),
        };
        let sent = Sent { writer: Writer::Client, session: Some(session), body };
        let answer = self.run(id, caller, Wish::default(), sent).await;
        let status = answer.as_ref().map_or_else(|refusal| refusal.status(), Response::status);
        if is_new && !matches!(status, StatusCode::OK | StatusCode::UNPROCESSABLE_ENTITY) {
            self.order(id, caller, &SessionOrder::plain(Method::DELETE, format!("/{session}"))).await;
            self.sessions.forget(session, caller.tenant());
        }
        answer
    }

    async fn open_kept(&self, id: JobId, caller: &Caller, request: SessionRequest) -> Result<JobId, Box<Response>> {
        let refused = |refused| Box::new(refuse_with(id, refused));
        caller.check(&self.accounts).map_err(refused)?;
        caller.allow(request.profile.as_deref()).map_err(refused)?;
        // The call has an id of its own, which is the cell's.
        let session = JobId::random();
        let answer = self.open_session(session, caller, request).await;
        match answer.status() {
            StatusCode::CREATED => Ok(session),
            status if status.is_success() => Err(Box::new(refuse(id, ErrorCode::Internal, "no session was opened"))),
            _ => Err(Box::new(answer)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Call, Place, read};

    #[test]
    fn what_names_no_session_is_a_script_as_it_came() {
        for arguments in ["{}", r#"{"code": 1, "x": [ ]}"#, "[]", "{", ""] {
            let read = read(arguments.into());
            assert!(matches!(&read, Ok(Call::Script(body)) if body == arguments.as_bytes()), "{arguments}: {read:?}");
        }
    }

    #[test]
    fn a_cell_is_told_from_what_its_session_begins_with() {
        let id = "0123456789abcdef0123456789abcdef";
        let known = read(format!(r#"{{"session": "{id}", "script": "1", "timeout_ms": 5}}"#).into()).expect("a cell");
        let Call::Cell(Place::Known(session), body) = known else { panic!("{known:?}") };
        assert_eq!((session.to_string().as_str(), &body[..]), (id, &br#"{"code":"1","timeout_ms":5}"#[..]));
        let new = r#"{"code": "1", "profile": "p", "files": [{"path": "a", "content": ""}], "session": "new"}"#;
        let Ok(Call::Cell(Place::New(request), body)) = read(new.into()) else { panic!("{new}") };
        assert_eq!((request.profile.as_deref(), request.files.len()), (Some("p"), 1));
        assert_eq!(body, br#"{"code":"1"}"#);
    }

    #[test]
    fn what_is_wrong_is_told_before_anything_is_opened() {
        for (arguments, expected) in [
            (r#"{"session": 1, "code": "1"}"#, r#"session is "", expected the id of a session"#),
            (r#"{"session": "x", "code": "1"}"#, r#"session is "x", expected the id of a session"#),
            (r#"{"session": "new"}"#, "code is missing"),
            (r#"{"session": "new", "code": " "}"#, "code is empty"),
            (r#"{"session": "new", "code": "1", "script": "2"}"#, "is there twice"),
            (r#"{"session": "new", "session": "new", "code": "1"}"#, "is there twice"),
            (r#"{"session": "new", "code": "1", "entry": "main"}"#, r#""entry" is not for a cell"#),
            (r#"{"session": "new", "code": "1", "tools": []}"#, r#""tools" is not for a cell"#),
            (r#"{"session": "new", "code": "1", "files": {}}"#, "files is an object"),
            (
                r#"{"session": "0123456789abcdef0123456789abcdef", "code": "1", "files": []}"#,
                r#""files" is not for a cell"#,
            ),
        ] {
            let wrong = read(arguments.into()).expect_err(arguments);
            assert!(wrong.contains(expected), "{arguments}: {wrong}");
        }
    }
}
