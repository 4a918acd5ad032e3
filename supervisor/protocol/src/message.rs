//! What a client sends through a conversation, `GET /connect`: one JSON object a message, with its kind in `type`.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::field::{InvalidRequest, present, string, wrong_type};
use crate::id::JobId;
use crate::returns::Return;

/// A message of a client's, as far as its kind says.
#[derive(Debug)]
pub enum Message {
    /// `execute`: run a script. The fields are those of `POST /execute` and are read where that is.
    Execute,
    /// `execute` with `session`: run a cell of it. The other fields are those of `POST /sessions/{id}/execute`.
    Cell(JobId),
    /// `return`: what a call came to.
    Return(Return),
    /// `interrupt`: have the cell that runs end, if it heeds that.
    Interrupt,
    /// `close`: end the job that runs, and the conversation.
    Close,
}

impl Message {
    /// Reads one.
    ///
    /// # Errors
    /// [`InvalidRequest`] for what is no such object, and for a return that is none.
    pub fn parse(text: &str) -> Result<Self, InvalidRequest> {
        #[derive(Deserialize)]
        struct Kind<'a> {
            #[serde(borrow, default, deserialize_with = "present")]
            r#type: Option<&'a RawValue>,
            #[serde(borrow, default, deserialize_with = "present")]
            session: Option<&'a RawValue>,
        }
        let expected = "expected a JSON object such as {\"type\": \"execute\", \"script\": \"…\"}";
        if !text.trim_start().starts_with('{') {
            return Err(InvalidRequest::new(format!("the message is no object, {expected}")));
        }
        let Kind { r#type: kind, session } = serde_json::from_str(text)
            .map_err(|error| InvalidRequest::new(format!("the message is not JSON: {error}")))?;
        let kind = kind.ok_or_else(|| InvalidRequest::new(format!("type is missing, {expected}")))?;
        match string("type", kind)?.as_str() {
            "execute" => session.map_or(Ok(Self::Execute), |session| id(session).map(Self::Cell)),
            "return" => Return::parse_message(text).map(Self::Return),
            "interrupt" => Ok(Self::Interrupt),
            "close" => Ok(Self::Close),
            other => {
                let other: String = other.chars().take(40).collect();
                Err(InvalidRequest::new(format!("type is {other:?}, expected execute, return, interrupt or close")))
            }
        }
    }
}

fn id(value: &RawValue) -> Result<JobId, InvalidRequest> {
    let id = string("session", value).ok().and_then(|id| JobId::parse(&id));
    id.ok_or_else(|| wrong_type("session", "the id of a session, 32 hexadecimal digits", value))
}

#[cfg(test)]
mod tests {
    use super::Message;

    #[test]
    fn a_message_is_of_a_known_kind_or_refused() {
        assert!(matches!(Message::parse(r#"{"type": "execute", "script": 1}"#), Ok(Message::Execute)));
        assert!(
            matches!(Message::parse(r#" {"call": 3, "value": [1], "type": "return"}"#), Ok(Message::Return(one)) if one.call == 3)
        );
        assert!(matches!(Message::parse(r#"{"type": "close"}"#), Ok(Message::Close)));
        assert!(matches!(Message::parse(r#"{"type": "interrupt"}"#), Ok(Message::Interrupt)));
        let id = "0123456789abcdef0123456789abcdef";
        let cell = format!(r#"{{"type": "execute", "session": "{id}", "code": 1}}"#);
        assert!(matches!(Message::parse(&cell), Ok(Message::Cell(session)) if session.to_string() == id));
        for (text, expected) in [
            ("", "no object"),
            ("[1]", "no object"),
            ("{", "not JSON"),
            ("{}", "type is missing"),
            (r#"{"type": null}"#, "type is null, expected a string"),
            (r#"{"type": "run"}"#, "type is \"run\", expected execute, return, interrupt or close"),
            (r#"{"type": "execute", "session": 1}"#, "session is the number 1, expected the id of a session"),
            (r#"{"type": "execute", "session": "x"}"#, "session is a string, expected the id of a session, 32 hex"),
            (r#"{"type": "execute", "session": null}"#, "session is null"),
            (r#"{"type": "close", "type": "execute"}"#, "duplicate field `type`"),
            (r#"{"type": "return", "call": 1}"#, "the message has neither value nor error"),
            (r#"{"type": "return", "call": 1, "value": 1, "id": 2}"#, "unknown field `id`"),
        ] {
            let refused = Message::parse(text).expect_err("it should be refused").to_string();
            assert!(refused.contains(expected), "{text}: {refused}");
        }
    }
}
