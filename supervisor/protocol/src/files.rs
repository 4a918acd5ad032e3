//! Reads the files that a request brings: each at a place of its own, and none that leads out of where files are put.

use std::collections::HashSet;
use std::fmt::Display;

use cloister_terms::OUT;
use data_encoding::BASE64;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::field::{InvalidRequest, items, present, string, wrong_type};
use crate::file::{Decoded, InputFile, directories};

/// The longest path of a file that a request brings, in bytes.
pub const LONGEST_PATH: usize = 1024;

/// The longest part of a path, in bytes: `NAME_MAX`, `limits.h(0p)`.
const LONGEST_PART: usize = 255;

/// How many directories a file may lie in, one in another.
pub const DEEPEST: usize = 16;

/// The fields of a file before their types are known.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    path: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    content: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    content_base64: Option<&'a RawValue>,
}

/// Parses the field `files`.
pub(crate) fn parse(value: &RawValue) -> Result<Vec<InputFile>, InvalidRequest> {
    let files = parse_of_session(value)?;
    match files.iter().position(|file| file.path().split('/').next() == Some(OUT)) {
        Some(at) => Err(InvalidRequest::new(format!("files[{at}].path {}", Misplaced::Out))),
        None => Ok(files),
    }
}

/// The same of a session, whose `out` is a directory as any other.
pub(crate) fn parse_of_session(value: &RawValue) -> Result<Vec<InputFile>, InvalidRequest> {
    if !value.get().starts_with('[') {
        return Err(wrong_type("files", "an array", value));
    }
    let files = items("files", value, usize::MAX, file)?;
    one_place_each(&files)?;
    Ok(files)
}

fn file(field: &dyn Display, item: &RawValue) -> Result<InputFile, InvalidRequest> {
    if !item.get().starts_with('{') {
        return Err(wrong_type(field, "an object with path and content or content_base64", item));
    }
    let raw: Raw<'_> =
        serde_json::from_str(item.get()).map_err(|error| InvalidRequest::new(format!("{field}: {error}")))?;
    let path =
        raw.path.ok_or_else(|| InvalidRequest::new(format!("{field}.path is missing: expected a relative path")))?;
    let path = string(format_args!("{field}.path"), path)?;
    check_path(&path).map_err(|why| InvalidRequest::new(format!("{field}.path {why}")))?;
    match (raw.content, raw.content_base64) {
        (Some(text), None) => Ok(InputFile::Text { path, content: string(format_args!("{field}.content"), text)? }),
        (None, Some(text)) => {
            let text = string(format_args!("{field}.content_base64"), text)?;
            let content_base64 = decode(&format_args!("{field}.content_base64"), &text)?;
            Ok(InputFile::Bytes { path, content_base64 })
        }
        (None, None) => Err(InvalidRequest::new(format!("{field} has no content: expected content or content_base64"))),
        (Some(_), Some(_)) => {
            Err(InvalidRequest::new(format!("{field} has both content and content_base64, expected one of them")))
        }
    }
}

fn decode(field: &dyn Display, text: &str) -> Result<Decoded, InvalidRequest> {
    BASE64.decode(text.as_bytes()).map(Decoded).map_err(|error| {
        InvalidRequest::new(format!(
            "{field} is not base64: {error}; expected A to Z, a to z, 0 to 9, + and /, padded with =, without line breaks"
        ))
    })
}

/// What is wrong with a path, as the rest of a sentence.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Misplaced<'a> {
    #[error("is {0} bytes long, expected at most {LONGEST_PATH}")]
    Long(usize),
    #[error("is \"{}\", expected one relative to the working directory", .0.escape_debug())]
    Absolute(&'a str),
    #[error("is \"{}\", expected no NUL in it", .0.escape_debug())]
    Nul(&'a str),
    #[error("is \"{}\", expected names between the slashes and not \"{part}\"", path.escape_debug())]
    NoName { path: &'a str, part: &'a str },
    #[error("has a name of {0} bytes in it, expected at most {LONGEST_PART}")]
    LongPart(usize),
    #[error("is {0} directories deep, expected at most {DEEPEST}")]
    Deep(usize),
    #[error("is in \"{OUT}\", which is for what the script leaves: expected another place")]
    Out,
}

/// Whether a path may be one of the working directory's.
pub(crate) fn check_path(path: &str) -> Result<(), Misplaced<'_>> {
    check_relative(path)?;
    check_name_parts(path)
}

fn check_relative(path: &str) -> Result<(), Misplaced<'_>> {
    if path.len() > LONGEST_PATH {
        return Err(Misplaced::Long(path.len()));
    }
    if path.starts_with('/') {
        return Err(Misplaced::Absolute(path));
    }
    if path.contains('\0') { Err(Misplaced::Nul(path)) } else { Ok(()) }
}

/// Whether there are names between the slashes of a path, and not too many.
fn check_name_parts(path: &str) -> Result<(), Misplaced<'_>> {
    let parts: Vec<_> = path.split('/').collect();
    if let Some(part) = parts.iter().find(|part| matches!(**part, "" | "." | "..")) {
        return Err(Misplaced::NoName { path, part });
    }
    if let Some(part) = parts.iter().find(|part| part.len() > LONGEST_PART) {
        return Err(Misplaced::LongPart(part.len()));
    }
    if parts.len() > DEEPEST + 1 { Err(Misplaced::Deep(parts.len() - 1)) } else { Ok(()) }
}

/// No two files at the same place, and none where another needs a directory.
fn one_place_each(files: &[InputFile]) -> Result<(), InvalidRequest> {
    let mut places = HashSet::new();
    for (at, file) in files.iter().enumerate() {
        if !places.insert(file.path()) {
            let path = file.path().escape_debug();
            return Err(InvalidRequest::new(format!("files[{at}].path is \"{path}\", which an earlier file has too")));
        }
    }
    for (at, file) in files.iter().enumerate() {
        if let Some(directory) = directories(file.path()).find(|directory| places.contains(directory)) {
            let (path, directory) = (file.path().escape_debug(), directory.escape_debug());
            return Err(InvalidRequest::new(format!(
                "files[{at}].path is \"{path}\", but \"{directory}\" is a file of the request, not a directory"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{DEEPEST, LONGEST_PATH};
    use crate::file::{Encoded, InputFile};
    use crate::request::ExecuteRequest;

    fn parse(files: &str) -> Result<Vec<InputFile>, String> {
        let body = format!(r#"{{"script": "x", "files": {files}}}"#);
        ExecuteRequest::parse(body.as_bytes()).map(|request| request.files).map_err(|error| error.to_string())
    }

    #[test]
    fn every_mistake_names_the_file_and_the_field() {
        for (files, expected) in [
            ("null", "files is null, expected an array"),
            ("{}", "files is an object, expected an array"),
            ("[1]", "files[0] is the number 1, expected an object"),
            (r#"[{"content": ""}]"#, "files[0].path is missing"),
            (r#"[{"path": 1, "content": ""}]"#, "files[0].path is the number 1, expected a string"),
            (r#"[{"path": "a", "content": "", "mode": 7}]"#, "files[0]: unknown field `mode`"),
            (r#"[{"path": "a", "path": "b", "content": ""}]"#, "files[0]: duplicate field `path`"),
            (r#"[{"path": "a", "content": ""}, {"path": "b"}]"#, "files[1] has no content"),
            (r#"[{"path": "a", "content": "", "content_base64": ""}]"#, "files[0] has both"),
            (r#"[{"path": "a", "content": null}]"#, "files[0].content is null, expected a string"),
            (r#"[{"path": "a", "content": "\ud800"}]"#, "files[0].content is not valid Unicode"),
            (r#"[{"path": "a", "content_base64": "YQ"}]"#, "files[0].content_base64 is not base64"),
            (r#"[{"path": "a", "content_base64": "YR=="}]"#, "files[0].content_base64 is not base64"),
            (r#"[{"path": "a", "content_base64": "YQ==\n"}]"#, "files[0].content_base64 is not base64"),
            (
                r#"[{"path": "a", "content": ""}, {"path": "a", "content": ""}]"#,
                "files[1].path is \"a\", which an earlier",
            ),
            (
                r#"[{"path": "a/b/c", "content": ""}, {"path": "a/b", "content": ""}]"#,
                "files[0].path is \"a/b/c\", but \"a/b\"",
            ),
        ] {
            let message = parse(files).expect_err(files);
            assert!(message.contains(expected), "{files}: {message}");
        }
    }

    #[test]
    fn paths_lead_nowhere_but_down() {
        let long = "n".repeat(256);
        let deep = format!("{}f", "d/".repeat(DEEPEST + 1));
        let endless = "n/".repeat(LONGEST_PATH);
        let bad = [
            "",
            "/",
            "/etc/passwd",
            "..",
            "../x",
            "a/../b",
            "a/..",
            ".",
            "./a",
            "a//b",
            "a/",
            "a\\u0000b",
            "out",
            "out/x",
            &long,
            &deep,
            &endless,
        ];
        for path in bad {
            let message = parse(&format!(r#"[{{"path": "{path}", "content": ""}}]"#)).expect_err(path);
            assert!(message.starts_with("files[0].path "), "{path}: {message}");
        }
        for path in ["a", "a/b", "outer", "a/out", "...", "a b", "é\\n", ".hidden", &"n".repeat(255)] {
            assert_eq!(
                parse(&format!(r#"[{{"path": "{path}", "content": ""}}]"#)).map(|files| files.len()),
                Ok(1),
                "{path}"
            );
        }
    }

    #[test]
    fn what_is_written_anew_is_the_same_request() {
        let files = r#"[{"path":"a","content":"é\n"},{"path":"b/c","content_base64":"AP8="}]"#;
        let parsed = parse(files).expect("valid");
        assert_eq!(serde_json::to_string(&parsed).expect("JSON"), files);
        assert_eq!(parsed[1].bytes(), [0, 255]);
        assert_eq!(serde_json::to_string(&Encoded::new(&[0, 255])).expect("JSON"), r#""AP8=""#);
    }
}
