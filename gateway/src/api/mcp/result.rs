//! A tool's result, made of a job's answer. The answer's parts are copied as they are, and no more of it is read than where
//! they are.
//!
//! Everything is in `content`, once. Of clients that know `structuredContent` too, some give a model the one, some the other,
//! some both: so there is no second form of it. What no model needs is in `_meta`.

use std::borrow::Cow;

use data_encoding::BASE64;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::ser::Serializer;
use serde::{Deserialize as Read, Serialize};
use serde_json::value::RawValue;

use super::fields::Fields;
use super::message::failure;
use super::told::Told;

/// Pictures that assistants can see.
const PICTURES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];

/// What cannot stand for itself in the path of a URI (RFC 3986, section 3.3).
const IN_PATHS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// JSON-RPC's code for what is our own fault: JSON-RPC 2.0, section 5.1.
const INTERNAL: i32 = -32603;

/// The field of a file in which its content is.
const CONTENT: &str = "content_base64";

/// The SDK's answer to a call: that it is one, and how it is to be answered.
#[derive(Read)]
struct Template<'a> {
    #[serde(borrow)]
    jsonrpc: &'a RawValue,
    #[serde(borrow)]
    id: &'a RawValue,
    #[serde(borrow)]
    result: Fields<'a>,
}

/// Fields but for some.
struct Only<'a>(&'a Fields<'a>, &'a [&'a str]);

impl Serialize for Only<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let kept = self.0.0.iter().filter(|(name, _)| !self.1.contains(&&**name));
        serializer.collect_map(kept.map(|(name, value)| (name, *value)))
    }
}

/// A part of a result's content.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Block<'a> {
    Text {
        text: Told<'a>,
    },
    Image {
        data: &'a RawValue,
        #[serde(rename = "mimeType")]
        media_type: Cow<'a, str>,
    },
    Resource {
        resource: Resource<'a>,
    },
}

#[derive(Serialize)]
struct Resource<'a> {
    uri: String,
    #[serde(rename = "mimeType")]
    media_type: Cow<'a, str>,
    #[serde(flatten)]
    content: Content<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Content<'a> {
    Text(String),
    Blob(&'a RawValue),
}

#[derive(Serialize)]
struct Whole<'a> {
    jsonrpc: &'a RawValue,
    id: &'a RawValue,
    result: CallResult<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CallResult<'a> {
    #[serde(flatten)]
    others: Only<'a>,
    content: Vec<Block<'a>>,
    is_error: bool,
    #[serde(rename = "_meta")]
    meta: Meta<'a>,
}

/// What is for programs alone.
#[derive(Serialize)]
struct Meta<'a> {
    /// The job's id, as in the log.
    #[serde(rename = "cloister/id", skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
    /// The kind of an error.
    #[serde(rename = "cloister/code", skip_serializing_if = "Option::is_none")]
    code: Option<&'a RawValue>,
    /// What the job used.
    #[serde(rename = "cloister/usage", skip_serializing_if = "Option::is_none")]
    usage: Option<&'a RawValue>,
}

/// The answer to a call: the SDK's, `template`, with the job's in it.
///
/// # Errors
/// When one of them is not what it should be: a bug of ours, or of the SDK's.
pub fn build(template: &[u8], answer: &[u8], is_error: bool) -> serde_json::Result<Vec<u8>> {
    let Template { jsonrpc, id, result: others } = serde_json::from_slice(template)?;
    let fields: Fields<'_> = serde_json::from_slice(answer)?;
    let files: Vec<Fields<'_>> =
        fields.get("files").map(|files| serde_json::from_str(files.get())).transpose()?.unwrap_or_default();
    let text = Block::Text { text: Told { answer: &fields, files: &files } };
    let mut shown: Vec<Fields<'_>> = fields.read("display").unwrap_or_default();
    shown.extend(fields.read("data"));
    let pictures = shown.iter().filter_map(picture);
    let content: Vec<_> = std::iter::once(text).chain(pictures).chain(files.iter().filter_map(block)).collect();
    let error: Option<Fields<'_>> = fields.read("error");
    let code = error.as_ref().and_then(|error| error.get("code"));
    let meta = Meta { id: fields.get("id"), code, usage: fields.get("usage") };
    let others = Only(&others, &["content", "structuredContent", "isError", "_meta"]);
    let whole = Whole { jsonrpc, id, result: CallResult { others, content, is_error, meta } };
    let mut bytes = Vec::with_capacity(answer.len() + answer.len() / 4 + template.len() + 1024);
    serde_json::to_writer(&mut bytes, &whole)?;
    Ok(bytes)
}

/// The answer to a call of whose answer nothing can be made.
pub fn broken(template: &[u8]) -> Vec<u8> {
    let id = serde_json::from_slice(template).map(|Template { id, .. }| id).ok();
    failure(id, INTERNAL, "the answer broke off")
}

/// What a cell has shown as a picture, if it is one that assistants can see. What is no base64 none could read.
fn picture<'a>(bundle: &Fields<'a>) -> Option<Block<'a>> {
    PICTURES.into_iter().find_map(|media_type| {
        let data = bundle.get(media_type)?;
        BASE64.decode(bundle.text(media_type)?.as_bytes()).ok()?;
        Some(Block::Image { data, media_type: Cow::Borrowed(media_type) })
    })
}

/// A picture that assistants can see as such, and anything else as a resource: text as it is, if it is text. What has control
/// characters in it is none: each would take six bytes.
fn block<'a>(file: &Fields<'a>) -> Option<Block<'a>> {
    let (base64, media_type) = (file.get(CONTENT)?, file.text("media_type")?);
    if PICTURES.contains(&&*media_type) {
        return Some(Block::Image { data: base64, media_type });
    }
    // Of a file that the request named beside `out` there is its path.
    let (name, place) = file.text("path").map_or((file.text("name")?, "out/"), |path| (path, ""));
    let uri = format!("file:///{place}{}", utf8_percent_encode(&name, IN_PATHS));
    let bytes = BASE64.decode(file.text(CONTENT)?.as_bytes()).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    let text = text.filter(|text| !text.contains(|letter: char| letter.is_control() && !"\n\r\t".contains(letter)));
    let content = text.map_or(Content::Blob(base64), Content::Text);
    Some(Block::Resource { resource: Resource { uri, media_type, content } })
}

#[cfg(test)]
mod tests {
    use super::{broken, build};

    const TEMPLATE: &[u8] =
        br#"{"jsonrpc":"2.0","id":"a","result":{"resultType":"complete","content":[],"isError":false}}"#;

    fn built(answer: &str, is_error: bool) -> String {
        let built = build(TEMPLATE, answer.as_bytes(), is_error).expect("an answer");
        String::from_utf8(built).expect("UTF-8")
    }

    /// The text of an answer's first part.
    #[allow(clippy::disallowed_types, reason = "what is read here we have written")]
    fn told(answer: &str) -> String {
        let built: serde_json::Value = serde_json::from_str(&built(answer, true)).expect("JSON");
        built["result"]["content"][0]["text"].as_str().expect("text").to_owned()
    }

    #[test]
    fn an_answer_is_passed_on_as_it_is_written() {
        assert_eq!(
            built(r#"{"id": "x", "result": [1.50, 1E400, {"a":  "\u0061"}], "usage": {"cpu_ms": 1}}"#, false),
            concat!(
                r#"{"jsonrpc":"2.0","id":"a","result":{"resultType":"complete","content":[{"type":"text","text":"#,
                r#""result: [1.50, 1E400, {\"a\":  \"\\u0061\"}]"}],"#,
                r#""isError":false,"_meta":{"cloister/id":"x","cloister/usage":{"cpu_ms": 1}}}}"#
            )
        );
    }

    #[test]
    fn a_model_reads_what_there_is_and_nothing_that_is_empty() {
        for (answer, expected) in [
            (r#"{"result": 5, "stdout": "", "stderr": "", "truncated": []}"#, "result: 5"),
            (r#"{"result": "a\n", "stdout": "x\ny\n", "stderr": "z"}"#, "result: \"a\\n\"\nstdout:\nx\ny\nstderr:\nz"),
            (
                r#"{"result": null, "exit_code": 3, "stdout": "", "notes": ["n"], "unfinished": "a thread"}"#,
                "exit_code: 3\nunfinished: a thread\nnote: n",
            ),
            (
                r#"{"result": 1, "stdout": "a", "truncated": ["stdout"]}"#,
                "result: 1\nstdout (the beginning; more was printed than is kept):\na",
            ),
            (
                r#"{"error": {"code": "exception", "message": "E: no", "traceback": "T\n", "line": 3, "hint": "h",
                    "denials": [{"layer": "seccomp", "what": "w", "hint": "r"}]}, "stdout": "a\n"}"#,
                "error: exception: E: no\nT\nrefused: w: r\nhint: h\nstdout:\na",
            ),
            (
                r#"{"error": {"code": "exception", "message": "E: no", "traceback": "T\n  L\nE: no\n"}}"#,
                "error: exception\nT\n  L\nE: no",
            ),
            (r#"{"error": {"code": "overloaded", "message": "wait", "ran": false}}"#, "error: overloaded: wait"),
            (
                r#"{"result": 1, "files": [{"name": "a b"}, {"name": "d/c", "path": "d/c", "omitted": "large"}], "truncated": ["files"]}"#,
                "result: 1\nfiles, in the order in which they follow:\nout/a b\nd/c (not here: large)\n(there were more)",
            ),
            (
                r#"{"result": 1, "files": [{"name": "a"}, {"name": "b", "path": "p/b"}], "files_missing": ["x", "y*"],
                    "files_left": [{"path": "c", "size": 7}], "files_left_more": 2}"#,
                "result: 1\nfiles, in the order in which they follow:\nout/a\np/b\nfiles_out that matched no file: x, y*\n\
                 files that were left and are not returned (files_out, or writing to out/, returns them):\nc (7 bytes)\n(and 2 more)",
            ),
        ] {
            assert_eq!(told(answer), expected, "{answer}");
        }
    }

    #[test]
    fn a_cell_is_told_with_its_session_and_its_pictures_are_seen() {
        let cell = |fields: &str| format!(r#"{{"id": "i", {fields}, "stdout": "", "session": "s", "cell": 2}}"#);
        for (fields, expected) in [
            (r#""result": "a", "text": "'a'", "data": {"text/plain": "'a'"}"#, "result: 'a'\nsession: s"),
            (r#""result": null"#, "session: s"),
            (
                r#""result": null, "display": [{"text/plain": "<F>", "image/png": "AP8="}, {"text/html": "<b>"}]"#,
                "shown: <F>\nshown: text/html\nsession: s",
            ),
            (
                r#""error": {"code": "timeout", "message": "m"}, "restored": true, "not_kept": ["a", "b"]"#,
                "error: timeout: m\nrestored: the session goes on as it was before this call\nnot brought back: a; b\nsession: s",
            ),
            (
                r#""error": {"code": "timeout", "message": "m"}, "restored": false"#,
                "error: timeout: m\nthe session s is over: begin a new one",
            ),
        ] {
            assert_eq!(told(&cell(fields)), expected, "{fields}");
        }
        let shown = r#""data": {"image/webp": "AP8="}, "display": [{"image/png": "A\nP8="}, {"image/gif": "AA==", "image/png": "AP8="}]"#;
        let (first, last) = (
            r#"{"type":"image","data":"AP8=","mimeType":"image/png"}"#,
            r#"{"type":"image","data":"AP8=","mimeType":"image/webp"}"#,
        );
        let built = built(&cell(shown), false);
        assert!(built.contains(&format!("{first},{last}],")) && built.matches("image\"").count() == 2, "{built}");
    }

    #[test]
    fn what_is_no_answer_is_an_error_of_ours() {
        for answer in ["", "[]", "{", r#"{"files": 1}"#] {
            assert!(build(TEMPLATE, answer.as_bytes(), false).is_err(), "{answer}");
        }
        assert_eq!(
            broken(TEMPLATE),
            br#"{"jsonrpc":"2.0","id":"a","error":{"code":-32603,"message":"the answer broke off"}}"#
        );
    }
}
