//! A session is forked: what a client asks for, and what it is told of the branches.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::field::{InvalidRequest, object, present, wrong_type};
use crate::session::SessionInfo;

/// The most branches that one request makes.
pub const MOST_BRANCHES: u32 = 64;

/// The body of `POST /sessions/{id}/fork`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ForkRequest {
    /// How many branches are made; absent: one.
    #[cfg_attr(feature = "openapi", schema(required = false, minimum = 1, maximum = 64))]
    pub count: u32,
}

/// The branches of a session.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Forked {
    /// Each of them, a session as any other.
    pub branches: Vec<SessionInfo>,
    /// What of the session none of them has, in words; not there if that is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub not_kept: Vec<String>,
}

/// The field before its type is known.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    count: Option<&'a RawValue>,
}

impl ForkRequest {
    /// Parses a body.
    ///
    /// # Errors
    /// [`InvalidRequest`], which names the field.
    pub fn parse(body: &[u8]) -> Result<Self, InvalidRequest> {
        let Raw { count } = object(body, r#"{"count": 2}"#)?;
        Ok(Self { count: count.map_or(Ok(1), number)? })
    }
}

fn number(value: &RawValue) -> Result<u32, InvalidRequest> {
    let expected = format!("a whole number from 1 to {MOST_BRANCHES}");
    let number = value.get().parse().ok().filter(|number| (1..=MOST_BRANCHES).contains(number));
    number.ok_or_else(|| wrong_type("count", &expected, value))
}

#[cfg(test)]
mod tests {
    use super::ForkRequest;

    #[test]
    fn every_mistake_names_the_field_and_what_was_expected() {
        assert_eq!(ForkRequest::parse(b"{}"), Ok(ForkRequest { count: 1 }));
        assert_eq!(ForkRequest::parse(br#"{"count": 64}"#), Ok(ForkRequest { count: 64 }));
        for (body, expected) in [
            ("", "the body is empty, expected a JSON object such as {\"count\": 2}"),
            (r#"{"count": 0}"#, "count is the number 0, expected a whole number from 1 to 64"),
            (r#"{"count": 65}"#, "count is the number 65"),
            (r#"{"count": 1.5}"#, "count is the number 1.5"),
            (r#"{"count": "2"}"#, "count is a string"),
            (r#"{"count": null}"#, "count is null"),
            (r#"{"count": 1, "count": 1}"#, "duplicate field `count`"),
            (r#"{"branches": 2}"#, "unknown field `branches`"),
        ] {
            let message = ForkRequest::parse(body.as_bytes()).expect_err(body).to_string();
            assert!(message.contains(expected), "{body}: {message}");
        }
    }
}
