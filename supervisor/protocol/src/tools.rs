//! Functions of whoever sends a script, which it may call while it runs, as a request names them.

use std::collections::HashSet;
use std::fmt::Display;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::field::{InvalidRequest, items, present, string, wrong_type};
use crate::json::check;
use crate::writer::Writer;

/// How many tools a request may name.
pub const MOST_TOOLS: usize = 128;

/// The longest name of one, in bytes.
pub const LONGEST_NAME: usize = 128;

/// What all that is told of them may take together, in bytes.
pub const LARGEST_TOOLS: usize = 256 * 1024;

/// What a tool is.
const TOOL: &str = "an object such as {\"name\": \"search\", \"description\": \"…\", \"parameters\": {…}}";

/// A function of the caller's that the script may call, as `tools.NAME(…)` with `from cloister import tools`.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// What it is called: a to z, A to Z, 0 to 9, `_`, `-` and `.`; each name once. One that Python does not take after a dot is
    /// had by `tools["NAME"]`.
    #[cfg_attr(feature = "openapi", schema(pattern = "^[A-Za-z0-9_.-]{1,128}$", examples("search")))]
    pub name: String,
    /// What it does, for whoever writes scripts: `help(tools.NAME)` shows it.
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What it takes, as JSON Schema: shown too, and checked by nobody but the caller.
    #[cfg_attr(feature = "openapi", schema(value_type = std::collections::HashMap<String, serde_json::Value>, required = false))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Box<RawValue>>,
}

/// The tools of a request, as the JSON that they were sent as: an array with something in it, or nothing.
///
/// Those of a client are checked when its request is parsed. Those that a gateway passes on it has checked, and whoever does not
/// believe it is told by [`names`](Self::names): in most jobs none is called.
#[derive(Clone, Debug, Default)]
pub struct Tools(Option<Arc<RawValue>>);

impl Serialize for Tools {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.as_deref().serialize(serializer)
    }
}

impl Tools {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Their JSON.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.0.as_deref().map(RawValue::get)
    }

    /// Each of them.
    ///
    /// # Errors
    /// [`InvalidRequest`], which names the tool and what was expected: of tools that a gateway passed on and had not checked.
    pub fn each(&self) -> Result<Vec<Tool>, InvalidRequest> {
        self.0.as_deref().map(checked).transpose().map(Option::unwrap_or_default)
    }

    /// What they are called; of tools that are none, nothing.
    #[must_use]
    pub fn names(&self) -> HashSet<String> {
        self.each().unwrap_or_default().into_iter().map(|tool| tool.name).collect()
    }
}

/// The fields of a tool before their types are known.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    name: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    description: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    parameters: Option<&'a RawValue>,
}

/// Parses the field `tools` of what was written by a client, or passed on by a gateway.
pub(crate) fn parse(writer: Writer, value: &RawValue) -> Result<Tools, InvalidRequest> {
    if !value.get().starts_with('[') {
        return Err(wrong_type("tools", "an array of objects with name, description and parameters", value));
    }
    if value.get().len() > LARGEST_TOOLS {
        let size = value.get().len();
        return Err(InvalidRequest::new(format!("tools takes {size} bytes, expected at most {LARGEST_TOOLS}")));
    }
    if writer != Writer::Gateway {
        checked(value)?;
    }
    let is_empty = value.get()[1..].trim_start().starts_with(']');
    Ok(Tools((!is_empty).then(|| value.to_owned().into())))
}

fn checked(value: &RawValue) -> Result<Vec<Tool>, InvalidRequest> {
    let tools = items("tools", value, MOST_TOOLS, tool)?;
    let mut names: Vec<_> = tools.iter().map(|tool| tool.name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(InvalidRequest::new(format!("tools names {:?} twice, expected each name once", pair[0]))),
        None => Ok(tools),
    }
}

fn tool(field: &dyn Display, item: &RawValue) -> Result<Tool, InvalidRequest> {
    if !item.get().starts_with('{') {
        return Err(wrong_type(field, TOOL, item));
    }
    let raw: Raw<'_> =
        serde_json::from_str(item.get()).map_err(|error| InvalidRequest::new(format!("{field}: {error}")))?;
    let name = raw.name.ok_or_else(|| InvalidRequest::new(format!("{field}.name is missing: expected a string")))?;
    let name = string(format_args!("{field}.name"), name)?;
    let may_stand = |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'_' | b'-' | b'.');
    if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(may_stand) {
        return Err(InvalidRequest::new(format!(
            "{field}.name is not one: expected 1 to {LONGEST_NAME} of a to z, A to Z, 0 to 9, _, - and ."
        )));
    }
    let description = raw.description.map(|text| string(format_args!("{field}.description"), text)).transpose()?;
    let parameters = raw.parameters.map(|schema| schema_of(&format_args!("{field}.parameters"), schema)).transpose()?;
    Ok(Tool { name, description, parameters })
}

fn schema_of(field: &dyn Display, value: &RawValue) -> Result<Box<RawValue>, InvalidRequest> {
    if !value.get().starts_with('{') {
        return Err(wrong_type(field, "an object, a JSON Schema", value));
    }
    check(value).map_err(|error| InvalidRequest::new(format!("{field}: {error}")))?;
    Ok(value.to_owned())
}

#[cfg(test)]
mod tests {
    use crate::request::ExecuteRequest;
    use crate::writer::Writer;

    fn refusal(tools: &str) -> String {
        let body = format!(r#"{{"script": "x", "tools": {tools}}}"#);
        ExecuteRequest::parse(body.as_bytes()).expect_err("it should be refused").to_string()
    }

    #[test]
    fn what_a_gateway_passes_on_is_looked_into_when_something_is_called() {
        let passed_on = |tools: &str| {
            let body = format!(r#"{{"script": "x", "tools": {tools}}}"#);
            ExecuteRequest::parse_from(Writer::Gateway, body.as_bytes()).expect("an array").tools
        };
        let tools = passed_on(r#"[{"name": "b"}, {"name":  "a"}]"#);
        assert_eq!(tools.text(), Some(r#"[{"name": "b"}, {"name":  "a"}]"#));
        assert_eq!(tools.names(), ["a", "b"].map(str::to_owned).into());
        for none in ["[1]", r#"[{"name": "a"}, {"name": "a"}]"#, r#"[{"name": "a", "parameters": {"x": 1, "x": 2}}]"#] {
            assert!(passed_on(none).names().is_empty(), "{none}");
        }
        let by_a_client = ExecuteRequest::parse(br#"{"script": "x", "tools": [ ]}"#).expect("none is allowed");
        assert!(by_a_client.tools.is_empty() && passed_on("[\n]").is_empty());
    }

    #[test]
    fn every_mistake_names_the_tool_and_what_was_expected() {
        for (tools, expected) in [
            ("{}", "tools is an object, expected an array"),
            ("null", "tools is null, expected an array"),
            ("[1]", "tools[0] is the number 1, expected an object such as"),
            ("[{}]", "tools[0].name is missing"),
            (r#"[{"name": ""}]"#, "tools[0].name is not one: expected 1 to 128 of"),
            (r#"[{"name": "a b"}]"#, "tools[0].name is not one"),
            (r#"[{"name": "é"}]"#, "tools[0].name is not one"),
            (r#"[{"name": "a"}, {"name": "b"}, {"name": "a"}]"#, "tools names \"a\" twice"),
            (r#"[{"name": "a", "description": 1}]"#, "tools[0].description is the number 1, expected a string"),
            (r#"[{"name": "a", "parameters": []}]"#, "tools[0].parameters is an array, expected an object"),
            (r#"[{"name": "a", "parameters": {"x": 1, "x": 2}}]"#, "tools[0].parameters: duplicate key"),
            (
                r#"[{"name": "a", "parameters": {"\u0024serde_json::private::RawValue": "1"}}]"#,
                "tools[0].parameters: the key",
            ),
            (r#"[{"name": "a", "input_schema": {}}]"#, "tools[0]: unknown field `input_schema`"),
        ] {
            assert!(refusal(tools).contains(expected), "{tools}: {}", refusal(tools));
        }
        let many = format!("[{}]", (0..129).map(|n| format!(r#"{{"name": "t{n}"}}"#)).collect::<Vec<_>>().join(","));
        assert!(refusal(&many).contains("tools has more than the 128 items"));
        let large = format!(r#"[{{"name": "a", "description": "{}"}}]"#, "x".repeat(super::LARGEST_TOOLS));
        assert!(refusal(&large).contains("expected at most 262144"));
    }
}
