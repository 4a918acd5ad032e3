//! How a script is started, and what is made of its result: the fields of a request beside the script itself.

use std::fmt::Display;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::field::{InvalidRequest, items, other_word, string, wrong_type};

/// How many arguments a program may be given.
pub const MOST_ARGUMENTS: usize = 1024;

/// What is in them together at most, in bytes: as much as Linux lets a single one have, execve(2).
pub const LONGEST_ARGUMENTS: usize = 128 * 1024;

/// What a script is run as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// For its `main()`, whose value is the result.
    #[default]
    Main,
    /// As `python3 script.py ARGUMENTS` would run it, for its exit code.
    Program,
    /// For its `main()` if it has one, and else for the value of its last expression. No client names it.
    Auto,
    /// For the cells of a session, one after another. Only the supervisor says so, to the runner.
    Session,
}

/// What becomes of NaN and infinities in a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Nan {
    /// They are `null`.
    Null,
}

impl Entry {
    /// Whether it is what is done unasked.
    #[must_use]
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub fn is_main(&self) -> bool {
        *self == Self::Main
    }

    /// Parses the field; with `auto`, its third value too.
    pub(crate) fn parse(value: &RawValue, auto: bool) -> Result<Self, InvalidRequest> {
        match string("entry", value).as_deref() {
            Ok("main") => Ok(Self::Main),
            Ok("program") => Ok(Self::Program),
            Ok("auto") if auto => Ok(Self::Auto),
            _ => Err(other_word("entry", r#""main" or "program""#, value)),
        }
    }
}

impl Nan {
    /// Parses the field.
    pub(crate) fn parse(value: &RawValue) -> Result<Self, InvalidRequest> {
        match string("nan", value).as_deref() {
            Ok("null") => Ok(Self::Null),
            _ => Err(other_word("nan", r#"the string "null""#, value)),
        }
    }
}

/// Parses the field `argv`.
pub(crate) fn parse_argv(value: &RawValue) -> Result<Vec<String>, InvalidRequest> {
    if !value.get().starts_with('[') {
        return Err(wrong_type("argv", "an array of strings", value));
    }
    let mut bytes = 0;
    items("argv", value, MOST_ARGUMENTS, |field, item| argument(field, item, &mut bytes))
}

fn argument(field: &dyn Display, item: &RawValue, bytes: &mut usize) -> Result<String, InvalidRequest> {
    let argument = string(field, item)?;
    if argument.contains('\0') {
        return Err(InvalidRequest::new(format!("{field} has a NUL in it, which no argument of a program can have")));
    }
    *bytes += argument.len();
    if *bytes > LONGEST_ARGUMENTS {
        return Err(InvalidRequest::new(format!("argv is longer than {LONGEST_ARGUMENTS} bytes")));
    }
    Ok(argument)
}

/// Whether the arguments for `main()` or for a program say anything to who asks for the other one.
pub(crate) fn check_arguments(
    entry: Entry,
    [args, kwargs]: [Option<&RawValue>; 2],
    argv: &[String],
) -> Result<(), InvalidRequest> {
    if entry != Entry::Program {
        return if argv.is_empty() {
            Ok(())
        } else {
            Err(InvalidRequest::new(
                "argv is for entry \"program\": main() is given args and kwargs, or set entry to \"program\"",
            ))
        };
    }
    for (field, given) in [("args", args), ("kwargs", kwargs)] {
        if given.is_some_and(|given| !is_empty(given)) {
            return Err(InvalidRequest::new(format!(
                "{field} is for main(), which nobody calls with entry \"program\": expected argv, strings that the script finds in sys.argv"
            )));
        }
    }
    Ok(())
}

/// Whether an array or object, as it is written, has nothing in it.
fn is_empty(container: &RawValue) -> bool {
    let inside = container.get().get(1..container.get().len() - 1);
    inside.is_some_and(|inside| inside.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::{Entry, LONGEST_ARGUMENTS, MOST_ARGUMENTS, Nan};
    use crate::json::tests::{bomb, on_a_small_stack};
    use crate::request::ExecuteRequest;
    use crate::writer::Writer;

    fn parse(fields: &str) -> Result<ExecuteRequest, String> {
        let body = format!(r#"{{"script": "x", {fields}}}"#);
        ExecuteRequest::parse(body.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_program_has_arguments_of_its_own_and_main_has_others() {
        let request = parse(r#""entry": "pro\u0067ram", "argv": ["-n", "", "é\ud83d\ude00"], "nan": "\u006eull""#)
            .expect("valid");
        assert_eq!((request.entry, request.nan), (Entry::Program, Some(Nan::Null)));
        assert_eq!(request.argv, ["-n", "", "é😀"]);
        assert_eq!(
            serde_json::to_string(&request).expect("JSON"),
            r#"{"script":"x","entry":"program","argv":["-n","","é😀"],"nan":"null"}"#
        );
        // No arguments are no arguments for either.
        let request = parse(r#""entry": "main", "argv": [ ]"#).expect("valid");
        assert_eq!(serde_json::to_string(&request).expect("JSON"), r#"{"script":"x"}"#);
        assert!(parse(r#""entry": "program", "args": [ ], "kwargs": {}"#).is_ok());
    }

    #[test]
    fn every_mistake_names_the_field_and_what_was_expected() {
        let many = format!(r#""entry": "program", "argv": [{}""]"#, r#""","#.repeat(MOST_ARGUMENTS));
        let long = format!(r#""entry": "program", "argv": ["{}", "y"]"#, "x".repeat(LONGEST_ARGUMENTS));
        for (fields, expected) in [
            (r#""entry": "prog""#, r#"entry is "prog", expected "main" or "program""#),
            (r#""entry": "auto""#, r#"entry is "auto", expected "main" or "program""#),
            (r#""entry": null"#, r#"entry is null, expected "main" or "program""#),
            (r#""entry": ["program"]"#, r#"entry is an array, expected "main" or "program""#),
            (r#""entry": "\ud800""#, r#"entry is a string, expected "main" or "program""#),
            (r#""entry": {"$serde_json::private::RawValue": "\"main\""}"#, "entry is an object"),
            (r#""entry": "program", "argv": "-n""#, "argv is a string, expected an array of strings"),
            (r#""entry": "program", "argv": null"#, "argv is null, expected an array of strings"),
            (r#""entry": "program", "argv": ["a", 1]"#, "argv[1] is the number 1, expected a string"),
            (r#""entry": "program", "argv": [["a"]]"#, "argv[0] is an array, expected a string"),
            (r#""entry": "program", "argv": ["a\u0000b"]"#, "argv[0] has a NUL in it"),
            (r#""entry": "program", "argv": ["\ud800"]"#, "argv[0] is not valid Unicode text"),
            (&many, "argv has more than the 1024 items that it may have"),
            (&long, "argv is longer than 131072 bytes"),
            (r#""argv": ["-n"]"#, "argv is for entry \"program\""),
            (r#""entry": "main", "argv": ["-n"]"#, "argv is for entry \"program\""),
            (r#""entry": "program", "args": [1]"#, "args is for main(), which nobody calls with entry \"program\""),
            (r#""entry": "program", "kwargs": {"a": 1}"#, "kwargs is for main()"),
            (r#""nan": null"#, r#"nan is null, expected the string "null""#),
            (r#""nan": "NULL""#, r#"nan is "NULL", expected the string "null""#),
            (r#""nan": [["null"]]"#, r#"nan is an array, expected the string "null""#),
            (r#""entry": "main", "entry": "main""#, "duplicate field `entry`"),
        ] {
            let message = parse(fields).expect_err(fields);
            assert!(message.contains(expected), "{fields:.80}: {message}");
        }
    }

    #[test]
    fn what_is_told_again_is_short_and_what_is_deep_is_not_followed() {
        let long = format!(r#""entry": "{}""#, "\\\"".repeat(1 << 20));
        assert!(parse(&long).expect_err("refused").len() < 300);
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let bomb = bomb(200_000);
        for field in ["entry", "nan", "argv"] {
            for value in [&deep, &bomb, &format!("[{deep}]"), &format!("[{bomb}]")] {
                let fields = format!(r#""{field}": {value}"#);
                assert!(on_a_small_stack(|| parse(&fields)).is_err(), "{field}");
            }
        }
    }

    #[test]
    fn an_assistant_may_say_code_and_need_not_say_how_it_runs() {
        let call = |body: &str| {
            let request = ExecuteRequest::parse_from(Writer::Assistant, body.as_bytes());
            request.map(|request| serde_json::to_string(&request).expect("JSON")).map_err(|error| error.to_string())
        };
        for (body, expected) in [
            (r#"{"code": "1 + 1"}"#, r#"{"script":"1 + 1","entry":"auto"}"#),
            (r#"{"script": "1 + 1", "args": [1]}"#, r#"{"script":"1 + 1","entry":"auto","args":[1]}"#),
            (r#"{"code": "x", "entry": "main"}"#, r#"{"script":"x"}"#),
            (r#"{"code": "x", "entry": "program", "argv": ["a"]}"#, r#"{"script":"x","entry":"program","argv":["a"]}"#),
        ] {
            assert_eq!(call(body).as_deref(), Ok(expected), "{body}");
        }
        for (body, expected) in [
            (r#"{"code": "x", "script": "x"}"#, "code and script are two names of one field"),
            (r#"{"code": 1}"#, "code is the number 1, expected a string"),
            (r#"{"code": " "}"#, "code is empty"),
            (r#"{"code": "x", "code": "y"}"#, "duplicate field `code`"),
            (r#"{"code": "x", "entry": "auto"}"#, r#"expected "main" or "program""#),
            (r#"{"code": "x", "argv": ["a"]}"#, "argv is for entry"),
            ("{}", "code is missing"),
        ] {
            let message = call(body).expect_err(body);
            assert!(message.contains(expected), "{body}: {message}");
        }
        assert!(ExecuteRequest::parse(br#"{"code": "x"}"#).is_err());
    }

    #[test]
    fn what_a_gateway_writes_is_read_as_the_same() {
        for body in [r#"{"script":"x","entry":"auto"}"#, r#"{"script":"x","entry":"program","argv":["a"]}"#] {
            let request = ExecuteRequest::parse_from(Writer::Gateway, body.as_bytes()).expect("valid");
            assert_eq!(serde_json::to_string(&request).expect("JSON"), body);
        }
        assert!(ExecuteRequest::parse_from(Writer::Gateway, br#"{"code": "x"}"#).is_err());
    }
}
