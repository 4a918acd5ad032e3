//! A call that keeps its state: its code is a cell of a session, of one that was told before or of a new one.
//!
//! What a call may have besides is less than without a session: what decides how an interpreter begins is for a new one alone, and
//! what is said of a script's end is for none.

use axum::response::Response;
use cloister_protocol::{CellRequest, ErrorCode, JobId, SessionRequest, Writer};
use hyper::StatusCode;
use serde::de::{Deserialize, Deserializer};
use serde::ser::Serializer as _;
use serde_json::value::RawValue;

use super::fields::text;
use crate::admission::caller::Caller;
use crate::api::app::App;
use crate::api::job::Sent;
use crate::api::refusal::{refuse, refuse_with};
use crate::api::sessions::several::canonical;
use crate::upstream::order::Wish;

/// What asks for a session that is not there yet.
pub const NEW: &str = "new";

/// What `session` may be.
const EXPECTED: &str = "the id of a session that an answer told, or \"new\"";

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

/// The one field by which a call is one that keeps a session. Of the others nothing is kept: there may be a million.
#[derive(serde::Deserialize)]
struct Marked<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    session: Option<&'a RawValue>,
}

/// What such a call may have.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments<'a> {
    #[serde(borrow)]
    session: &'a RawValue,
    #[serde(borrow, default, deserialize_with = "present")]
    code: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    script: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    timeout_ms: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    profile: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    files: Option<&'a RawValue>,
}

/// A field that is there, even as `null`.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

/// An object of those of these fields that are there.
fn object(fields: &[(&str, Option<&RawValue>)]) -> Vec<u8> {
    let there: Vec<_> = fields.iter().filter_map(|(name, value)| Some((*name, (*value)?))).collect();
    let mut json = Vec::new();
    let written = serde_json::Serializer::new(&mut json).collect_map(there);
    written.expect("names and JSON that was parsed");
    json
}

/// Reads the arguments of a call.
///
/// # Errors
/// What is wrong with those of a cell. Those of a script are read by who runs it.
pub fn read(arguments: Vec<u8>) -> Result<Call, String> {
    match serde_json::from_slice(&arguments) {
        Ok(Marked { session: Some(_) }) => read_cell(&arguments),
        Err(error) if error.is_data() => Err(format!("the call is not valid: {error}")),
        _ => Ok(Call::Script(arguments)),
    }
}

fn read_cell(arguments: &[u8]) -> Result<Call, String> {
    let invalid = |error| format!("the call is no valid one of a cell of a session: {error}");
    let Arguments { session, code, script, timeout_ms, profile, files } =
        serde_json::from_slice(arguments).map_err(invalid)?;
    if code.is_some() && script.is_some() {
        return Err("code and script are two names of one field: expected one of them".to_owned());
    }
    let body = object(&[("code", code.or(script)), ("timeout_ms", timeout_ms)]);
    CellRequest::parse(&body).map_err(|wrong| wrong.to_string())?;
    let named = text(session).ok_or_else(|| format!("session is no string: expected {EXPECTED}"))?;
    if named == NEW {
        let opening = SessionRequest::parse(&object(&[("profile", profile), ("files", files)]));
        return Ok(Call::Cell(Place::New(opening.map_err(|wrong| wrong.to_string())?), body));
    }
    if profile.is_some() || files.is_some() {
        return Err(format!("profile and files are for a session that begins, {NEW:?}: this one has what it has"));
    }
    let known = JobId::parse(&named).ok_or_else(|| format!("session is {:?}, expected {EXPECTED}", shown(&named)))?;
    Ok(Call::Cell(Place::Known(known), body))
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
            self.close_untold(session, caller.tenant()).await;
        }
        answer
    }

    async fn open_kept(&self, id: JobId, caller: &Caller, request: SessionRequest) -> Result<JobId, Box<Response>> {
        let refused = |refused| Box::new(refuse_with(id, refused));
        caller.check(&self.accounts).map_err(refused)?;
        caller.allow(request.profile.as_deref()).map_err(refused)?;
        // The call has an id of its own, which is the cell's.
        let session = id.beside();
        let (profile, body) = canonical(request);
        let answer = self.open_session(session, caller, profile.as_deref(), body).await;
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
            (r#"{"session": 1, "code": "1"}"#, "session is no string: expected the id of a session"),
            (r#"{"session": null, "code": "1"}"#, "session is no string"),
            (r#"{"session": "x", "code": "1"}"#, r#"session is "x", expected the id of a session"#),
            (r#"{"session": "new"}"#, "code is missing"),
            (r#"{"session": "new", "code": " "}"#, "code is empty"),
            (r#"{"session": "new", "code": "1", "script": "2"}"#, "two names of one field"),
            (r#"{"session": "new", "session": "new", "code": "1"}"#, "duplicate field `session`"),
            (r#"{"session": "new", "code": "1", "code": "1"}"#, "duplicate field `code`"),
            (r#"{"session": "new", "code": "1", "entry": "main"}"#, "unknown field `entry`, expected one of `session`"),
            (r#"{"session": "new", "code": "1", "tools": []}"#, "unknown field `tools`"),
            (r#"{"session": "new", "code": "1", "profile": null}"#, "profile is null"),
            (r#"{"session": "new", "code": "1", "files": {}}"#, "files is an object"),
            (
                r#"{"session": "0123456789abcdef0123456789abcdef", "code": "1", "files": []}"#,
                "profile and files are for",
            ),
        ] {
            let wrong = read(arguments.into()).expect_err(arguments);
            assert!(wrong.contains(expected), "{arguments}: {wrong}");
        }
    }
}
