//! The body of `POST /execute`, parsed once with every mistake named.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::field::{InvalidRequest, kind_of, present, string, wrong_type};
use crate::file::InputFile;
use crate::files;
use crate::json::check;
use crate::pattern::{self, Pattern};

/// A request that holds the contract's shape. Sizes and names are checked against the policy later.
#[derive(Debug, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExecuteRequest {
    /// Python source that defines `main()`; never empty.
    #[cfg_attr(feature = "openapi", schema(pattern = r"\S", example = "def main(a, b):\n    return a + b"))]
    pub script: String,
    /// Positional arguments for `main()`: a JSON array, as the client wrote it.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<serde_json::Value>, required = false))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args: Option<Box<RawValue>>,
    /// Keyword arguments for `main()`: a JSON object, as the client wrote it.
    #[cfg_attr(feature = "openapi", schema(value_type = std::collections::HashMap<String, serde_json::Value>, required = false))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kwargs: Option<Box<RawValue>>,
    /// The script's standard input.
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdin: Option<String>,
    /// The profile's name; absent: `default`.
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Wall time wanted, in milliseconds, at least 1; the profile's is the most there is.
    #[cfg_attr(feature = "openapi", schema(nullable = false, minimum = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Files that are put into the working directory before the script starts.
    #[cfg_attr(feature = "openapi", schema(inline, required = false))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<InputFile>,
    /// What comes back of the working directory beside what is in `out`: paths relative to it, such as `report.csv`,
    /// `plots/*.png`, `results` (a directory with all in it) or `**/*.csv`.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>, required = false, max_items = 32, example = json!(["report.csv", "plots/*.png"])))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files_out: Vec<Pattern>,
}

/// The longest profile name, in bytes, that is looked up at all.
const LONGEST_NAME: usize = 256;

/// The fields before their types are known, so that a wrong type can be told with the field's name.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    script: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    args: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    kwargs: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    stdin: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    profile: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    timeout_ms: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    files: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    files_out: Option<&'a RawValue>,
}

impl ExecuteRequest {
    /// Parses a body.
    ///
    /// # Errors
    /// [`InvalidRequest`] for invalid JSON, an unknown field, a duplicate key at any level, a wrong
    /// type, a missing or empty script, a file at no place, or nesting beyond [`MAX_DEPTH`](crate::MAX_DEPTH).
    pub fn parse(body: &[u8]) -> Result<Self, InvalidRequest> {
        let text = std::str::from_utf8(body)
            .map_err(|error| InvalidRequest::new(format!("the body is not UTF-8: {error}")))?;
        if !text.trim_start().starts_with('{') {
            return Err(InvalidRequest::new(format!(
                "the body is {}, expected a JSON object such as {{\"script\": \"def main(): return 1\"}}",
                kind_of(text)
            )));
        }
        let raw: Raw<'_> = serde_json::from_str(text)
            .map_err(|error| InvalidRequest::new(format!("the body is not a valid request: {error}")))?;
        let script = raw
            .script
            .ok_or_else(|| InvalidRequest::new("script is missing: expected a string of Python source".to_owned()))?;
        let request = Self {
            script: string("script", script)?,
            args: raw.args.map(|value| container("args", "an array", '[', value)).transpose()?,
            kwargs: raw.kwargs.map(|value| container("kwargs", "an object", '{', value)).transpose()?,
            stdin: raw.stdin.map(|value| string("stdin", value)).transpose()?,
            profile: raw.profile.map(profile).transpose()?,
            timeout_ms: raw.timeout_ms.map(milliseconds).transpose()?,
            files: raw.files.map(files::parse).transpose()?.unwrap_or_default(),
            files_out: raw.files_out.map(pattern::parse).transpose()?.unwrap_or_default(),
        };
        if request.script.trim().is_empty() {
            return Err(InvalidRequest::new("script is empty: expected Python source that defines main()".to_owned()));
        }
        Ok(request)
    }
}

/// A name is logged and told again, so it is not as long as it likes.
fn profile(value: &RawValue) -> Result<String, InvalidRequest> {
    let name = string("profile", value)?;
    if name.len() > LONGEST_NAME {
        let size = name.len();
        return Err(InvalidRequest::new(format!(
            "profile is {size} bytes long, expected a name of at most {LONGEST_NAME}"
        )));
    }
    Ok(name)
}

fn container(field: &str, expected: &str, opening: char, value: &RawValue) -> Result<Box<RawValue>, InvalidRequest> {
    if !value.get().starts_with(opening) {
        return Err(wrong_type(field, expected, value));
    }
    check(value).map_err(|error| InvalidRequest::new(format!("{field}: {error}")))?;
    Ok(value.to_owned())
}

fn milliseconds(value: &RawValue) -> Result<u64, InvalidRequest> {
    match value.get().parse::<u64>() {
        Ok(milliseconds) if milliseconds > 0 => Ok(milliseconds),
        _ => Err(wrong_type("timeout_ms", "a whole number of milliseconds, at least 1", value)),
    }
}

#[cfg(test)]
mod tests {
    use super::ExecuteRequest;
    use crate::json::tests::{bomb, on_a_small_stack};

    fn refusal(body: &str) -> String {
        ExecuteRequest::parse(body.as_bytes()).expect_err("the body should be refused").to_string()
    }

    #[test]
    fn every_mistake_names_the_field_and_what_was_expected() {
        for (body, expected) in [
            ("[]", "the body is an array, expected a JSON object"),
            ("", "the body is empty, expected a JSON object"),
            ("{}", "script is missing"),
            (r#"{"script": 1}"#, "script is the number 1, expected a string"),
            (r#"{"script": null}"#, "script is null, expected a string"),
            (r#"{"script": " \n"}"#, "script is empty"),
            (r#"{"script": "x", "args": {}}"#, "args is an object, expected an array"),
            (r#"{"script": "x", "kwargs": null}"#, "kwargs is null, expected an object"),
            (r#"{"script": "x", "timeout_ms": 1.5}"#, "timeout_ms is the number 1.5, expected a whole number"),
            (r#"{"script": "x", "timeout_ms": true}"#, "timeout_ms is a boolean"),
            (r#"{"script": "x", "script": "y"}"#, "duplicate field `script`"),
            (r#"{"script": "x", "scirpt": "y"}"#, "unknown field `scirpt`"),
            (r#"{"script": "x", "args": [{"a": 1, "a": 2}]}"#, "args: duplicate key \"a\""),
            (
                r#"{"script": "x", "kwargs": {"\u0024serde_json::private::RawValue": "1"}}"#,
                "kwargs: the key \"$serde_json::",
            ),
            (
                r#"{"script": "x", "args": [{"a": {"$serde_json::private::Number": "1"}}]}"#,
                "args: the key \"$serde_json::",
            ),
            (
                r#"{"script": "x", "$serde_json::private::RawValue": "1"}"#,
                "unknown field `$serde_json::private::RawValue`",
            ),
            (r#"{"script": {"$serde_json::private::RawValue": "\"x\""}}"#, "script is an object, expected a string"),
            (r#"{"script": "\ud800"}"#, "script is not valid Unicode text"),
            (r#"{"script": "x", "args": ["\ud800"]}"#, "args: "),
        ] {
            let message = refusal(body);
            assert!(message.contains(expected), "{body}: {message}");
        }
    }

    #[test]
    fn depth_is_refused_before_it_can_hurt() {
        let deep = format!(r#"{{"script": "x", "args": {}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
        assert!(on_a_small_stack(|| refusal(&deep)).contains("nested too deeply"));
        let bombs = bomb(500_000);
        let message = on_a_small_stack(|| refusal(&format!(r#"{{"script": "x", "args": [{bombs}]}}"#)));
        assert!(message.starts_with("args: the key"), "{message}");
    }

    #[test]
    fn what_is_told_again_is_short() {
        let long = "k".repeat(1 << 20);
        for body in
            [format!(r#"{{"{long}": 1}}"#), format!(r#"{{"script": "x", "kwargs": {{"{long}": 1, "{long}": 2}}}}"#)]
        {
            assert!(refusal(&body).len() < 2000);
        }
    }

    #[test]
    fn numbers_keep_their_digits() {
        let body = r#"{"script": "x", "args": [123456789012345678901234567890, 0.10]}"#;
        let request = ExecuteRequest::parse(body.as_bytes()).expect("valid");
        assert_eq!(request.args.expect("given").get(), "[123456789012345678901234567890, 0.10]");
    }
}
