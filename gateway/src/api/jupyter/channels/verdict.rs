//! What a cell comes to, in Jupyter's words: of the answer that any client would have had.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// What is told of a cell at its end.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Its number, if it has one.
    pub cell: Option<u64>,
    /// The value of its last expression by media type, as JSON.
    pub value: Option<Vec<u8>>,
    /// What it has shown, each by media type, as the content of a message.
    pub shown: Vec<Vec<u8>>,
    /// What went wrong.
    pub error: Option<Wrong>,
}

/// What went wrong with a cell, as an `error` tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Wrong {
    ename: String,
    evalue: String,
    traceback: Vec<String>,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(default)]
    cell: Option<u64>,
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    display: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<Failure<'a>>,
    #[serde(default)]
    restored: Option<bool>,
    #[serde(borrow, default)]
    not_kept: Vec<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Failure<'a> {
    #[serde(borrow)]
    code: Cow<'a, str>,
    #[serde(borrow)]
    message: Cow<'a, str>,
    #[serde(borrow, default)]
    exception: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    traceback: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    hint: Option<Cow<'a, str>>,
}

impl Verdict {
    /// Reads an answer of the supervisor's, or a refusal; of one that cannot be read it is told that it was lost.
    pub fn read(answer: &[u8]) -> Self {
        let lost = || Self { error: Some(Wrong::lost()), ..Self::default() };
        let Ok(answer) = serde_json::from_slice::<Answer<'_>>(answer) else { return lost() };
        let value = match (answer.data, &answer.text) {
            (Some(data), _) => Some(bundle(data)),
            (None, Some(text)) => {
                Some(bundle_of(BTreeMap::from([(Cow::Borrowed("text/plain"), Cow::Borrowed(&**text))])))
            }
            (None, None) => None,
        };
        let error = answer.error.map(|error| Wrong::of(&error, answer.restored, &answer.not_kept));
        let shown = answer.display.into_iter().map(display).collect();
        Self { cell: answer.cell, value: value.filter(|_| error.is_none()), shown, error }
    }
}

impl Wrong {
    fn of(error: &Failure<'_>, restored: Option<bool>, not_kept: &[Cow<'_, str>]) -> Self {
        let (ename, evalue) = match error.exception.as_deref() {
            Some(kind) => (kind.rsplit('.').next().unwrap_or(kind), without(kind, &error.message)),
            None => (named(&error.code), &*error.message),
        };
        let told = error.traceback.as_deref().map(|text| text.lines().map(str::to_owned).collect());
        let mut traceback: Vec<_> = told.unwrap_or_else(|| vec![format!("{ename}: {evalue}")]);
        traceback.extend(error.hint.as_deref().map(str::to_owned));
        match restored {
            Some(true) => traceback.push("The kernel goes on as it was before this cell.".to_owned()),
            Some(false) => traceback.push("The kernel is over: restart it.".to_owned()),
            None => {}
        }
        if !not_kept.is_empty() {
            traceback.push(format!("Not brought back: {}", not_kept.join("; ")));
        }
        Self { ename: ename.to_owned(), evalue: evalue.to_owned(), traceback }
    }

    /// There is no answer.
    pub fn lost() -> Self {
        let evalue = "the answer was lost, and the cell may have run".to_owned();
        Self { ename: "lost".to_owned(), traceback: vec![evalue.clone()], evalue }
    }
}

/// The message of an exception, without its type.
fn without<'a>(kind: &str, message: &'a str) -> &'a str {
    match message.strip_prefix(kind) {
        Some("") => "",
        Some(rest) => rest.strip_prefix(": ").unwrap_or(message),
        None => message,
    }
}

/// What Python would call a failure that is no exception there.
fn named(code: &str) -> &str {
    match code {
        "syntax_error" => "SyntaxError",
        "exit" => "SystemExit",
        "interrupted" => "KeyboardInterrupt",
        "timeout" | "cpu_limit" => "TimeoutError",
        "memory_limit" => "MemoryError",
        other => other,
    }
}

/// What a cell shows, as the content of a message: of the event `display`.
pub fn shown(event: &[u8]) -> Option<Vec<u8>> {
    #[derive(Deserialize)]
    struct Shown<'a> {
        #[serde(borrow)]
        data: &'a RawValue,
    }
    let Shown { data } = serde_json::from_slice(event).ok()?;
    Some(display(data))
}

fn display(data: &RawValue) -> Vec<u8> {
    [br#"{"data":"#, &*bundle(data), br#","metadata":{},"transient":{}}"#].concat()
}

/// Media types as Jupyter has them: JSON is no text there.
fn bundle(data: &RawValue) -> Vec<u8> {
    serde_json::from_str(data.get()).map_or_else(|_| b"{}".to_vec(), bundle_of)
}

fn bundle_of(types: BTreeMap<Cow<'_, str>, Cow<'_, str>>) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(untagged)]
    enum Form<'a> {
        Json(&'a RawValue),
        Text(&'a str),
    }
    let form = |(kind, text): (_, _)| {
        let (kind, text): (&Cow<'_, str>, &Cow<'_, str>) = (kind, text);
        let is_json = **kind == *"application/json" || kind.ends_with("+json");
        let json = is_json.then(|| serde_json::from_str(text).ok()).flatten();
        (kind.to_string(), json.map_or(Form::Text(text), Form::Json))
    };
    let forms: BTreeMap<_, _> = types.iter().map(form).collect();
    serde_json::to_vec(&forms).expect("strings, and JSON that was parsed")
}

#[cfg(test)]
mod tests {
    use super::{Verdict, shown};

    type Told = (String, String, Vec<String>);

    fn read(answer: &str) -> (Option<String>, Option<Told>) {
        let Verdict { value, error, .. } = Verdict::read(answer.as_bytes());
        let value = value.map(|value| String::from_utf8(value).expect("UTF-8"));
        (value, error.map(|error| (error.ename, error.evalue, error.traceback)))
    }

    #[test]
    fn a_value_is_told_by_its_media_types() {
        assert_eq!(
            read(r#"{"id": "x", "result": 1, "cell": 3, "text": "1"}"#).0.as_deref(),
            Some(r#"{"text/plain":"1"}"#)
        );
        let both = r#"{"text": "1", "data": {"text/plain": "1", "application/json": "{\"a\": [1]}", "a/b+json": "{"}}"#;
        let told = r#"{"a/b+json":"{","application/json":{"a": [1]},"text/plain":"1"}"#;
        assert_eq!(read(both).0.as_deref(), Some(told));
        assert_eq!(read(r#"{"result": null}"#), (None, None));
        assert_eq!(Verdict::read(br#"{"cell": 3}"#).cell, Some(3));
        let display = shown(br#"{"data":{"image/png":"AA=="}}"#).expect("a bundle");
        assert_eq!(display, br#"{"data":{"image/png":"AA=="},"metadata":{},"transient":{}}"#);
        assert_eq!(shown(b"[]"), None);
        let beside = Verdict::read(br#"{"display": [{"image/png":"AA=="}]}"#).shown;
        assert_eq!(beside, [display]);
    }

    #[test]
    fn an_error_is_an_exception_by_its_name() {
        let told = |error: &str| read(&format!(r#"{{"error": {error}}}"#)).1.expect("an error");
        let raised = r#"{"code": "exception", "message": "a.b.E: no: 1", "exception": "a.b.E", "traceback": "T\n  L\na.b.E: no: 1"}"#;
        let lines = ["T", "  L", "a.b.E: no: 1"].map(str::to_owned).to_vec();
        assert_eq!(told(raised), ("E".to_owned(), "no: 1".to_owned(), lines));
        assert_eq!(told(r#"{"code": "exception", "message": "E", "exception": "E"}"#).1, "");
        assert_eq!(told(r#"{"code": "interrupted", "message": "m"}"#).0, "KeyboardInterrupt");
        assert_eq!(told(r#"{"code": "session_busy", "message": "m", "ran": false}"#).0, "session_busy");
        let (_, over) = read(
            r#"{"error": {"code": "timeout", "message": "m", "hint": "h"}, "restored": true, "not_kept": ["a", "b"]}"#,
        );
        let lines =
            ["TimeoutError: m", "h", "The kernel goes on as it was before this cell.", "Not brought back: a; b"];
        assert_eq!(over.expect("an error").2, lines);
        assert_eq!(read("").1.expect("an error").0, "lost");
    }
}
