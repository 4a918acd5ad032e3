//! What calls of tools came to, as whoever sent the script says. It is data for the script: checked as any other JSON that is passed
//! on, and passed on as it is written.

use std::fmt::Display;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::field::{InvalidRequest, items, present, string, wrong_type};
use crate::json::check;

/// How many calls one request may return to.
pub const MOST_RETURNS: usize = 1024;

/// The longest message of a tool that failed, in bytes.
pub const LONGEST_MESSAGE: usize = 64 * 1024;

/// What a call came to at the caller's.
#[derive(Clone, Debug)]
pub enum Returned {
    /// What the tool returned, as JSON.
    Value(Box<RawValue>),
    /// What it failed with.
    Error(String),
}

/// What a call came to, with the call's number.
#[derive(Clone, Debug)]
pub struct Return {
    /// The call.
    pub call: u32,
    /// What it came to.
    pub returned: Returned,
}

/// What a tool failed with, as it is sent.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ToolFailure<'a> {
    /// What the script's exception says; at most 64 KiB.
    #[cfg_attr(feature = "openapi", schema(max_length = 65536))]
    pub message: &'a str,
}

impl Serialize for Return {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Written<'a> {
            call: u32,
            #[serde(skip_serializing_if = "Option::is_none")]
            value: Option<&'a RawValue>,
            #[serde(skip_serializing_if = "Option::is_none")]
            error: Option<ToolFailure<'a>>,
        }
        let (value, error) = match &self.returned {
            Returned::Value(value) => (Some(&**value), None),
            Returned::Error(message) => (None, Some(ToolFailure { message })),
        };
        Written { call: self.call, value, error }.serialize(serializer)
    }
}

/// The fields of one before their types are known.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    r#type: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    call: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    value: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    error: Option<&'a RawValue>,
}

impl Return {
    /// Parses a message that says so in its `type`.
    pub(crate) fn parse_message(text: &str) -> Result<Self, InvalidRequest> {
        let json: &RawValue =
            serde_json::from_str(text).map_err(|error| InvalidRequest::new(format!("the message: {error}")))?;
        Self::parse(&"the message", json, true)
    }

    fn parse(field: &dyn Display, item: &RawValue, typed: bool) -> Result<Self, InvalidRequest> {
        if !item.get().starts_with('{') {
            return Err(wrong_type(field, "an object with call, and value or error", item));
        }
        let raw: Raw<'_> =
            serde_json::from_str(item.get()).map_err(|error| InvalidRequest::new(format!("{field}: {error}")))?;
        if raw.r#type.is_some() && !typed {
            return Err(InvalidRequest::new(format!(
                "{field}: unknown field `type`, expected call, and value or error"
            )));
        }
        let call =
            raw.call.ok_or_else(|| InvalidRequest::new(format!("{field}.call is missing: expected a number")))?;
        let number = call.get().parse().ok().filter(|number| *number > 0);
        let number = number.ok_or_else(|| wrong_type(format_args!("{field}.call"), "the number of a call", call))?;
        let returned = match (raw.value, raw.error) {
            (Some(value), None) => {
                check(value).map_err(|error| InvalidRequest::new(format!("{field}.value: {error}")))?;
                Returned::Value(value.to_owned())
            }
            (None, Some(error)) => Returned::Error(message(&format_args!("{field}.error"), error)?),
            (None, None) => {
                return Err(InvalidRequest::new(format!("{field} has neither value nor error, expected one of them")));
            }
            (Some(_), Some(_)) => {
                return Err(InvalidRequest::new(format!("{field} has both value and error, expected one of them")));
            }
        };
        Ok(Self { call: number, returned })
    }
}

fn message(field: &dyn Display, value: &RawValue) -> Result<String, InvalidRequest> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct RawFailure<'a> {
        #[serde(borrow, default, deserialize_with = "present")]
        message: Option<&'a RawValue>,
    }
    if !value.get().starts_with('{') {
        return Err(wrong_type(field, "an object such as {\"message\": \"…\"}", value));
    }
    let RawFailure { message } =
        serde_json::from_str(value.get()).map_err(|error| InvalidRequest::new(format!("{field}: {error}")))?;
    let message =
        message.ok_or_else(|| InvalidRequest::new(format!("{field}.message is missing: expected a string")))?;
    let message = string(format_args!("{field}.message"), message)?;
    if message.len() > LONGEST_MESSAGE {
        let size = message.len();
        return Err(InvalidRequest::new(format!(
            "{field}.message is {size} bytes long, expected at most {LONGEST_MESSAGE}"
        )));
    }
    Ok(message)
}

/// The body of `POST /execute/{id}/returns`: what calls of a job have come to.
#[derive(Debug, Serialize)]
pub struct Returns {
    /// One for each call.
    pub returns: Vec<Return>,
}

impl Returns {
    /// Parses a body.
    ///
    /// # Errors
    /// [`InvalidRequest`], which names the field.
    pub fn parse(body: &[u8]) -> Result<Self, InvalidRequest> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Body<'a> {
            #[serde(borrow, default, deserialize_with = "present")]
            returns: Option<&'a RawValue>,
        }
        let text = std::str::from_utf8(body)
            .map_err(|error| InvalidRequest::new(format!("the body is not UTF-8: {error}")))?;
        let expected = "{\"returns\": [{\"call\": 1, \"value\": …}]}";
        if !text.trim_start().starts_with('{') {
            return Err(InvalidRequest::new(format!("the body is no object, expected one such as {expected}")));
        }
        let Body { returns } = serde_json::from_str(text)
            .map_err(|error| InvalidRequest::new(format!("the body is not what calls return: {error}")))?;
        let returns = returns.ok_or_else(|| InvalidRequest::new(format!("returns is missing: expected {expected}")))?;
        if !returns.get().starts_with('[') {
            return Err(wrong_type("returns", "an array", returns));
        }
        Ok(Self { returns: items("returns", returns, MOST_RETURNS, |field, item| Return::parse(field, item, false))? })
    }
}

/// What became of returns.
#[derive(Debug, Default, Deserialize, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Taken {
    /// The calls that have been returned to.
    pub taken: Vec<u32>,
    /// Those that could not be, with why.
    pub refused: Vec<RefusedReturn>,
    /// The calls of the job that wait now.
    pub open: Vec<u32>,
}

/// A return that was not taken.
#[derive(Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RefusedReturn {
    /// The call's number, as it was sent.
    pub call: u32,
    /// Why.
    pub message: String,
    /// Whether the same may be returned again: the job had not read what it was given before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub again: bool,
}

#[cfg(test)]
mod tests {
    use super::{Returned, Returns};

    #[test]
    fn every_mistake_in_returns_names_the_field() {
        for (body, expected) in [
            ("[]", "the body is no object"),
            ("{}", "returns is missing"),
            (r#"{"returns": {}}"#, "returns is an object, expected an array"),
            (r#"{"returns": [1]}"#, "returns[0] is the number 1"),
            (r#"{"returns": [{"value": 1}]}"#, "returns[0].call is missing"),
            (r#"{"returns": [{"call": "1", "value": 1}]}"#, "returns[0].call is a string, expected the number"),
            (r#"{"returns": [{"call": 0, "value": 1}]}"#, "returns[0].call is the number 0"),
            (r#"{"returns": [{"call": 1}]}"#, "returns[0] has neither value nor error"),
            (r#"{"returns": [{"call": 1, "value": 1, "error": {"message": "m"}}]}"#, "returns[0] has both"),
            (r#"{"returns": [{"call": 1, "error": "m"}]}"#, "returns[0].error is a string, expected an object"),
            (r#"{"returns": [{"call": 1, "error": {}}]}"#, "returns[0].error.message is missing"),
            (r#"{"returns": [{"call": 1, "error": {"message": 1}}]}"#, "returns[0].error.message is the number 1"),
            (r#"{"returns": [{"call": 1, "value": {"a": 1, "a": 2}}]}"#, "returns[0].value: duplicate key"),
            (r#"{"returns": [{"call": 1, "value": 1, "type": "return"}]}"#, "returns[0]: unknown field `type`"),
            (r#"{"returns": [], "more": 1}"#, "unknown field `more`"),
        ] {
            let refused = Returns::parse(body.as_bytes()).expect_err("it should be refused").to_string();
            assert!(refused.contains(expected), "{body}: {refused}");
        }
        let both = br#"{"returns": [{"call": 1, "value": null}, {"call": 2, "error": {"message": "no"}}]}"#;
        let returns = Returns::parse(both).expect("two").returns;
        assert!(matches!(&returns[0].returned, Returned::Value(value) if value.get() == "null"));
        assert!(matches!(&returns[1].returned, Returned::Error(message) if message == "no"));
        assert_eq!(
            serde_json::to_string(&returns).expect("JSON"),
            r#"[{"call":1,"value":null},{"call":2,"error":{"message":"no"}}]"#
        );
    }
}
