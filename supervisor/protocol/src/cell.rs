//! A cell of a session: what a client asks for, and what its answer says beside what a job's does.

use std::fmt::Display;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::bundle::MimeBundle;
use crate::field::{InvalidRequest, object, other_word, present, string};
use crate::id::JobId;
use crate::request::{ExecuteRequest, milliseconds};
use crate::tools::{self, Tools};
use crate::writer::Writer;

/// What a cell is expected to be.
const SOURCE: &str = "a string of Python source";

/// The body of `POST /sessions/{id}/execute`.
#[derive(Debug, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CellRequest {
    /// Python source, as a cell of a notebook has it; never empty. The value of the last expression is the result.
    #[cfg_attr(feature = "openapi", schema(pattern = r"\S", examples("x = 20\nx + 1")))]
    pub code: String,
    /// The longest that it may take, in milliseconds: less than the profile lets it, never more.
    #[cfg_attr(feature = "openapi", schema(nullable = false, minimum = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Functions of the client's that the cell may call while it runs, as `tools` of `POST /execute`.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<tools::Tool>, required = false, max_items = 128))]
    #[serde(skip_serializing_if = "Tools::is_empty")]
    pub tools: Tools,
    /// What is done while another cell of the session runs: `wait` for its end, or `refuse` with 409 `session_busy`.
    #[cfg_attr(feature = "openapi", schema(required = false))]
    #[serde(skip_serializing_if = "Busy::is_wait")]
    pub busy: Busy,
}

/// What a cell does while another of its session runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Busy {
    /// It waits for its turn.
    #[default]
    Wait,
    /// It is refused.
    Refuse,
}

/// What there is of a cell of a session, beside what there is of any job.
#[derive(Clone, Copy, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CellGiven<'a> {
    /// The session.
    #[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^[0-9a-f]{32}$"))]
    pub session: JobId,
    /// The cell's number in its session, from 1 on.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub cell: u64,
    /// The value of the last expression as text, its `repr()`; not there if that is no expression, or `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, nullable = false))]
    pub text: Option<&'a str>,
    /// The same value by media type: text as it is, all else in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = std::collections::HashMap<String, String>, required = false))]
    pub data: Option<&'a MimeBundle>,
    /// What the cell has shown, in order, each by media type; not there if that is nothing.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<std::collections::HashMap<String, String>>, required = false))]
    pub display: &'a [MimeBundle],
    /// Of a cell that cost the session its process: whether it goes on as it was before this cell. If not, the session is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, nullable = false))]
    pub restored: Option<bool>,
    /// What was not brought back, in words; not there if that is nothing.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub not_kept: &'a [String],
}

impl Busy {
    /// Whether it is what is done unasked.
    #[must_use]
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub fn is_wait(&self) -> bool {
        *self == Self::Wait
    }

    /// Its name, as requests and headers have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::Refuse => "refuse",
        }
    }

    /// Reads a name back; anything else is `None`.
    #[must_use]
    pub fn read(name: &str) -> Option<Self> {
        [Self::Wait, Self::Refuse].into_iter().find(|busy| busy.name() == name)
    }

    fn parse(value: &RawValue) -> Result<Self, InvalidRequest> {
        let named = string("busy", value).ok().and_then(|name| Self::read(&name));
        named.ok_or_else(|| other_word("busy", r#""wait" or "refuse""#, value))
    }
}

/// The fields before their types are known, so that a wrong type can be told with the field's name; and with what else a message of
/// a conversation has.
macro_rules! raw {
    ($($field:ident),*) => {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Raw<'a> {
            $(#[serde(borrow, default, deserialize_with = "present")]
            $field: Option<&'a RawValue>,)*
        }

        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct RawMessage<'a> {
            #[serde(borrow, default, rename = "type", deserialize_with = "present")]
            _type: Option<&'a RawValue>,
            #[serde(borrow, default, rename = "session", deserialize_with = "present")]
            _session: Option<&'a RawValue>,
            $(#[serde(borrow, default, deserialize_with = "present")]
            $field: Option<&'a RawValue>,)*
        }

        impl<'a> From<RawMessage<'a>> for Raw<'a> {
            fn from(message: RawMessage<'a>) -> Self {
                Raw { $($field: message.$field),* }
            }
        }
    };
}

raw!(code, timeout_ms, tools, busy);

/// The source of a cell, which this field has.
pub(crate) fn source(field: &dyn Display, code: Option<&RawValue>) -> Result<String, InvalidRequest> {
    let code = code.ok_or_else(|| InvalidRequest::new(format!("{field} is missing: expected {SOURCE}")))?;
    let code = string(field, code)?;
    if code.trim().is_empty() {
        return Err(InvalidRequest::new(format!("{field} is empty: expected {SOURCE}")));
    }
    Ok(code)
}

/// A body that would do.
const SUCH: &str = r#"{"code": "1 + 1"}"#;

impl CellRequest {
    /// Parses a body.
    ///
    /// # Errors
    /// [`InvalidRequest`], which names the field.
    pub fn parse(body: &[u8]) -> Result<Self, InvalidRequest> {
        Self::typed(object(body, SUCH)?)
    }

    /// Parses a message of a conversation, which has its `type` and its `session` besides.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_message(text: &[u8]) -> Result<Self, InvalidRequest> {
        let message: RawMessage<'_> = object(text, SUCH)?;
        Self::typed(message.into())
    }

    fn typed(raw: Raw<'_>) -> Result<Self, InvalidRequest> {
        Ok(Self {
            code: source(&"code", raw.code)?,
            timeout_ms: raw.timeout_ms.map(milliseconds).transpose()?,
            tools: raw.tools.map(|value| tools::parse(Writer::Client, value)).transpose()?.unwrap_or_default(),
            busy: raw.busy.map(Busy::parse).transpose()?.unwrap_or_default(),
        })
    }
}

/// What the supervisor is asked for: a script that is the cell's code.
impl From<CellRequest> for ExecuteRequest {
    fn from(CellRequest { code, timeout_ms, tools, .. }: CellRequest) -> Self {
        Self { script: code, timeout_ms, tools, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::{Busy, CellGiven, CellRequest};
    use crate::answer::{Answer, Given};
    use crate::bundle::MimeBundle;
    use crate::id::JobId;
    use crate::request::ExecuteRequest;

    #[test]
    fn every_mistake_names_the_field_and_what_was_expected() {
        for (body, expected) in [
            ("1", "the body is the number 1, expected a JSON object such as {\"code\": \"1 + 1\"}"),
            ("{}", "code is missing: expected a string of Python source"),
            (r#"{"code": 1}"#, "code is the number 1, expected a string"),
            (r#"{"code": " "}"#, "code is empty"),
            (r#"{"code": "\ud800"}"#, "code is not valid Unicode text"),
            (r#"{"code": "x", "timeout_ms": 0}"#, "timeout_ms is the number 0, expected a whole number"),
            (r#"{"code": "x", "tools": {}}"#, "tools is an object, expected an array"),
            (r#"{"code": "x", "busy": true}"#, r#"busy is a boolean, expected "wait" or "refuse""#),
            (r#"{"code": "x", "busy": "no"}"#, r#"busy is "no", expected "wait" or "refuse""#),
            (r#"{"code": "x", "busy": null}"#, "busy is null"),
            (r#"{"code": "x", "code": "y"}"#, "duplicate field `code`"),
            (r#"{"code": "x", "files": []}"#, "unknown field `files`"),
            (r#"{"script": "x"}"#, "unknown field `script`"),
        ] {
            let message = CellRequest::parse(body.as_bytes()).expect_err(body).to_string();
            assert!(message.contains(expected), "{body}: {message}");
        }
    }

    #[test]
    fn a_cell_is_a_script_to_the_supervisor() {
        let body = r#"{"code":"x","timeout_ms":5,"tools":[{"name":"a"}],"busy":"refuse"}"#;
        let cell = CellRequest::parse(body.as_bytes()).expect("valid");
        assert_eq!((serde_json::to_string(&cell).expect("JSON").as_str(), cell.busy), (body, Busy::Refuse));
        let script = serde_json::to_string(&ExecuteRequest::from(cell)).expect("JSON");
        assert_eq!(script, r#"{"script":"x","timeout_ms":5,"tools":[{"name":"a"}]}"#);
        assert_eq!(CellRequest::parse(br#"{"code": "x", "busy": "wait"}"#).map(|cell| cell.busy), Ok(Busy::Wait));
    }

    #[test]
    fn a_message_is_the_same_cell() {
        let text = br#"{"type": "execute", "session": "x", "code": "x", "busy": "refuse"}"#;
        let cell = CellRequest::parse_message(text).expect("valid");
        assert_eq!((cell.code.as_str(), cell.busy), ("x", Busy::Refuse));
        assert!(CellRequest::parse(text).expect_err("a message").to_string().contains("unknown field `type`"));
        let other = CellRequest::parse_message(br#"{"code": "x", "script": "x"}"#).expect_err("a field of a job");
        assert!(other.to_string().contains("unknown field `script`"));
    }

    #[test]
    fn an_answer_says_of_a_cell_what_there_is() {
        let id = JobId::parse("0123456789abcdef0123456789abcdef").expect("an id");
        let told = |cell, result| {
            let given = Given { cell: Some(cell), ..Given::default() };
            String::from_utf8(Answer::Returned { id, result, exit_code: None, given }.to_json()).expect("UTF-8")
        };
        let least =
            CellGiven { session: id, cell: 1, text: None, data: None, display: &[], restored: None, not_kept: &[] };
        let before = r#""id":"0123456789abcdef0123456789abcdef","#;
        let given =
            r#""stdout":"","stderr":"","truncated":[],"usage":{"wall_ms":0.0,"cpu_ms":0.0,"memory_peak_bytes":0}"#;
        let named = r#","session":"0123456789abcdef0123456789abcdef","cell":1"#;
        assert_eq!(told(least, None), format!("{{{before}{given}{named}}}"));
        let bundle = MimeBundle::read(br#"{"text/plain":"1"}"#).expect("a bundle");
        let (display, not_kept) = (&[bundle.clone()][..], &["a thread".to_owned()][..]);
        let all = CellGiven { text: Some("1"), data: Some(&bundle), display, restored: Some(true), not_kept, ..least };
        let result = serde_json::from_str("1").expect("JSON");
        let rest = r#","text":"1","data":{"text/plain":"1"},"display":[{"text/plain":"1"}],"restored":true,"not_kept":["a thread"]"#;
        assert_eq!(told(all, Some(result)), format!(r#"{{{before}"result":1,{given}{named}{rest}}}"#));
    }
}
