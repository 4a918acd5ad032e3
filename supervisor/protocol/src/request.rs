//! The body of `POST /execute`, parsed once with every mistake named.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::entry::{Entry, Nan, check_arguments, parse_argv};
use crate::field::{InvalidRequest, kind_of, present, string, wrong_type};
use crate::file::InputFile;
use crate::files;
use crate::json::check;
use crate::packages;
use crate::pattern::{self, Pattern};
use crate::tools::{self, Tools};
use crate::writer::Writer;

/// A script to run, and what it is run with.
#[derive(Debug, Default, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExecuteRequest {
    /// Python source; never empty. It defines `main()` at its top level, unless it is run as a program.
    #[cfg_attr(feature = "openapi", schema(pattern = r"\S", examples("def main():\n    return 2 + 2")))]
    pub script: String,
    /// What the script is run as: `main` for what its `main()` returns, `program` as `python3 script.py ARGV`, for its exit
    /// code and what it prints.
    #[cfg_attr(feature = "openapi", schema(required = false))]
    #[serde(skip_serializing_if = "Entry::is_main")]
    pub entry: Entry,
    /// Positional arguments for `main()`. Numbers keep their digits.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<serde_json::Value>, required = false))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args: Option<Box<RawValue>>,
    /// Keyword arguments for `main()`. Numbers keep their digits.
    #[cfg_attr(feature = "openapi", schema(value_type = std::collections::HashMap<String, serde_json::Value>, required = false))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kwargs: Option<Box<RawValue>>,
    /// With `entry` `program` alone: what follows the script's name in `sys.argv`; no NULs, 128 KiB together at most.
    #[cfg_attr(feature = "openapi", schema(required = false, max_items = 1024, examples("--verbose")))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub argv: Vec<String>,
    /// Text for the script's standard input.
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdin: Option<String>,
    /// What the script needs beside Python's own library: requirements such as `scipy>=1.11` (PEP 508), 16 KiB together at
    /// most. So may the script itself, in a block of metadata (PEP 723). Nothing is installed: a profile that has it is chosen.
    #[cfg_attr(feature = "openapi", schema(required = false, max_items = 256, examples(json!(["scipy>=1.11"]))))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<String>,
    /// The name of a profile of the node's policy, which sets limits and packages; absent: one that has what the script needs,
    /// `default` before others.
    #[cfg_attr(feature = "openapi", schema(nullable = false, min_length = 1, max_length = 256))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The longest that it may take, in milliseconds: less than the profile lets it, never more.
    #[cfg_attr(feature = "openapi", schema(nullable = false, minimum = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Files that are put into the working directory before the script starts.
    #[cfg_attr(feature = "openapi", schema(required = false))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<InputFile>,
    /// What comes back of the working directory beside what is in `out`: paths relative to it, such as `report.csv`,
    /// `plots/*.png`, `results` (a directory with all in it) or `**/*.csv`.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>, required = false, max_items = 32, examples(json!(["report.csv", "plots/*.png"]))))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files_out: Vec<Pattern>,
    /// Functions of the client's that the script may call while it runs, `from cloister import tools`: `tools.search(q="…")`. A call
    /// comes as an event of the stream, as a message of `/connect`, or ends the answer with 202.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<tools::Tool>, required = false, max_items = 128))]
    #[serde(skip_serializing_if = "Tools::is_empty")]
    pub tools: Tools,
    /// `null`: NaN and infinities of the result become `null`. Absent: they are an error, `result_not_json`.
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nan: Option<Nan>,
}

/// What a script is expected to be.
const SOURCE: &str = "a string of Python source";

/// The longest profile name, in bytes, that is looked up at all.
const LONGEST_NAME: usize = 256;

/// The fields before their types are known, so that a wrong type can be told with the field's name; the same with the
/// other name of the script; and with the kind of a message.
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
        struct RawCall<'a> {
            #[serde(borrow, default, deserialize_with = "present")]
            code: Option<&'a RawValue>,
            $(#[serde(borrow, default, deserialize_with = "present")]
            $field: Option<&'a RawValue>,)*
        }

        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct RawMessage<'a> {
            #[serde(borrow, default, rename = "type", deserialize_with = "present")]
            _type: Option<&'a RawValue>,
            $(#[serde(borrow, default, deserialize_with = "present")]
            $field: Option<&'a RawValue>,)*
        }

        impl<'a> From<RawMessage<'a>> for Raw<'a> {
            fn from(message: RawMessage<'a>) -> Self {
                Raw { $($field: message.$field),* }
            }
        }

        impl<'a> RawCall<'a> {
            fn apart(self) -> (Option<&'a RawValue>, Raw<'a>) {
                (self.code, Raw { $($field: self.$field),* })
            }
        }
    };
}

raw!(script, entry, args, kwargs, argv, stdin, packages, profile, timeout_ms, files, files_out, tools, nan);

impl ExecuteRequest {
    /// Parses a body that a client wrote.
    ///
    /// # Errors
    /// [`InvalidRequest`] for invalid JSON, an unknown field, a duplicate key at any level, a wrong
    /// type, a missing or empty script, a file at no place, arguments for what is not run, or nesting beyond
    /// [`MAX_DEPTH`](crate::MAX_DEPTH).
    pub fn parse(body: &[u8]) -> Result<Self, InvalidRequest> {
        Self::parse_from(Writer::Client, body)
    }

    /// Parses a body that one of these wrote.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_from(writer: Writer, body: &[u8]) -> Result<Self, InvalidRequest> {
        let text = std::str::from_utf8(body)
            .map_err(|error| InvalidRequest::new(format!("the body is not UTF-8: {error}")))?;
        if !text.trim_start().starts_with('{') {
            return Err(InvalidRequest::new(format!(
                "the body is {}, expected a JSON object such as {{\"script\": \"def main(): return 1\"}}",
                kind_of(text)
            )));
        }
        let (name, script, raw) = fields(writer, text)?;
        let script = script.ok_or_else(|| InvalidRequest::new(format!("{name} is missing: expected {SOURCE}")))?;
        if writer == Writer::Assistant && raw.tools.is_some() {
            return Err(InvalidRequest::new("tools are for programs: of POST /execute, or of GET /connect"));
        }
        let unasked = if writer == Writer::Assistant { Entry::Auto } else { Entry::Main };
        let entry = raw.entry.map(|value| Entry::parse(value, writer == Writer::Gateway)).transpose()?;
        let request = Self {
            script: string(name, script)?,
            entry: entry.unwrap_or(unasked),
            args: raw.args.map(|value| container("args", "an array", '[', value)).transpose()?,
            kwargs: raw.kwargs.map(|value| container("kwargs", "an object", '{', value)).transpose()?,
            argv: raw.argv.map(parse_argv).transpose()?.unwrap_or_default(),
            stdin: raw.stdin.map(|value| string("stdin", value)).transpose()?,
            packages: raw.packages.map(|value| requirements(writer, value)).transpose()?.unwrap_or_default(),
            profile: raw.profile.map(profile).transpose()?,
            timeout_ms: raw.timeout_ms.map(milliseconds).transpose()?,
            files: raw.files.map(files::parse).transpose()?.unwrap_or_default(),
            files_out: raw.files_out.map(pattern::parse).transpose()?.unwrap_or_default(),
            tools: raw.tools.map(|value| tools::parse(writer, value)).transpose()?.unwrap_or_default(),
            nan: raw.nan.map(Nan::parse).transpose()?,
        };
        if request.script.trim().is_empty() {
            return Err(InvalidRequest::new(format!("{name} is empty: expected {SOURCE}")));
        }
        check_arguments(request.entry, [request.args.as_deref(), request.kwargs.as_deref()], &request.argv)?;
        Ok(request)
    }
}

/// The fields of a body: what the script is called there, the script, and all of them.
fn fields(writer: Writer, text: &str) -> Result<(&'static str, Option<&RawValue>, Raw<'_>), InvalidRequest> {
    let invalid = |error| InvalidRequest::new(format!("the body is not a valid request: {error}"));
    if writer == Writer::Conversation {
        let message: RawMessage<'_> = serde_json::from_str(text).map_err(invalid)?;
        let raw = Raw::from(message);
        return Ok(("script", raw.script, raw));
    }
    if writer != Writer::Assistant {
        let raw: Raw<'_> = serde_json::from_str(text).map_err(invalid)?;
        return Ok(("script", raw.script, raw));
    }
    let call: RawCall<'_> = serde_json::from_str(text).map_err(invalid)?;
    match call.apart() {
        (Some(_), Raw { script: Some(_), .. }) => {
            Err(InvalidRequest::new("code and script are two names of one field: expected one of them"))
        }
        (None, raw) if raw.script.is_some() => Ok(("script", raw.script, raw)),
        (code, raw) => Ok(("code", code, raw)),
    }
}

/// Who looks at requirements is the gateway, and nobody behind it.
fn requirements(writer: Writer, value: &RawValue) -> Result<Vec<String>, InvalidRequest> {
    if writer == Writer::Gateway {
        return Err(InvalidRequest::new("packages is for the gateway to look at, which chooses a profile by it"));
    }
    packages::parse(value)
}

/// Parses the field `profile`. A name is logged and told again, so it is not as long as it likes.
pub(crate) fn profile(value: &RawValue) -> Result<String, InvalidRequest> {
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

/// Parses the field `timeout_ms`.
pub(crate) fn milliseconds(value: &RawValue) -> Result<u64, InvalidRequest> {
    match value.get().parse::<u64>() {
        Ok(milliseconds) if milliseconds > 0 => Ok(milliseconds),
        _ => Err(wrong_type("timeout_ms", "a whole number of milliseconds, at least 1", value)),
    }
}

#[cfg(test)]
mod tests;
