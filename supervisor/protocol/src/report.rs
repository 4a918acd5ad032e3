//! What a job says of itself: the payloads of its frames, read into fields that are known. Nothing here reads a pipe.
//!
//! Every byte is a stranger's. It becomes text and numbers of a bounded amount, or nothing: never a tree.

use serde_json::value::RawValue;

use crate::claim::{Claim, at_most, cut};
use crate::code::ErrorCode;
use crate::failure::{Details, Failure, Reason};
use crate::json::{NotJson, check, check_result};

/// The largest error report, in bytes; the runner keeps to half of it.
pub const LARGEST_ERROR: u64 = 512 * 1024;

/// How many refusals a job may tell of.
const MOST_CLAIMS: usize = 16;

/// The longest list of notes, in bytes, and the longest word on what a job's end waits for.
pub const LARGEST_NOTES: u64 = 64 * 1024;

/// How many notes are kept.
const MOST_NOTES: usize = 8;

/// What is kept of each, in bytes.
const LONGEST_NOTE: usize = 4 * 1024;

/// The codes that a job may claim of itself; all others are the supervisor's to give.
const CLAIMABLE: [ErrorCode; 7] = [
    ErrorCode::SyntaxError,
    ErrorCode::NoMain,
    ErrorCode::Exception,
    ErrorCode::Exit,
    ErrorCode::ResultNotJson,
    ErrorCode::ResultTooLarge,
    ErrorCode::MemoryLimit,
];

/// What a cell of a session may claim of itself besides.
const CLAIMABLE_OF_CELLS: [ErrorCode; 1] = [ErrorCode::Interrupted];

/// What a session may say of an order of files that it did not carry out.
const CLAIMABLE_OF_ORDERS: [ErrorCode; 3] = [ErrorCode::NotFound, ErrorCode::InvalidRequest, ErrorCode::Exception];

/// What a job said at its end.
#[derive(Debug)]
pub enum Report {
    /// JSON that `main()` returned.
    Result(Box<RawValue>),
    /// What went wrong inside.
    Failure(Failure),
    /// Something that the runner would not write: the script did.
    Garbled,
}

/// An error report's fields. Others are passed over.
#[derive(serde::Deserialize)]
struct ErrorReport<'a> {
    code: String,
    message: String,
    exception: Option<String>,
    traceback: Option<String>,
    line: Option<u64>,
    column: Option<u64>,
    text: Option<String>,
    exit_code: Option<i64>,
    path: Option<String>,
    hint: Option<String>,
    reason: Option<String>,
    errno_hint: Option<String>,
    #[serde(borrow, default, deserialize_with = "at_most::<_, _, MOST_CLAIMS>")]
    refusals: Vec<&'a RawValue>,
}

/// Reads the payload of a result.
#[must_use]
pub fn result(bytes: Vec<u8>) -> Report {
    match check_result(bytes) {
        Ok(value) => Report::Result(value),
        Err(NotJson::Syntax(_)) => Report::Garbled,
        Err(error) => {
            let hint = matches!(error, NotJson::TooDeep).then(|| "flatten it".to_owned());
            let message = format!("the result is not accepted as JSON: {error}");
            let failure = Failure::new(ErrorCode::ResultNotJson, message);
            Report::Failure(failure.with(Details { hint, ..Details::default() }))
        }
    }
}

/// Reads the payload of an error report: the failure that a job claims of itself.
#[must_use]
pub fn failure(bytes: &[u8]) -> Report {
    claimed(bytes, &[&CLAIMABLE]).map_or(Report::Garbled, Report::Failure)
}

/// Reads the same of a session's cell.
#[must_use]
pub fn cell_failure(bytes: &[u8]) -> Report {
    claimed(bytes, &[&CLAIMABLE, &CLAIMABLE_OF_CELLS]).map_or(Report::Garbled, Report::Failure)
}

/// Reads why a session did not carry out what it was asked to do with a file.
#[must_use]
pub fn order_failure(bytes: &[u8]) -> Report {
    claimed(bytes, &[&CLAIMABLE_OF_ORDERS]).map_or(Report::Garbled, Report::Failure)
}

/// Reads the payload of what is to be told beside a result: a list of short texts. What has another form is none.
#[must_use]
pub fn notes(bytes: &[u8]) -> Vec<String> {
    let read = || -> Option<Vec<String>> {
        let json: &RawValue = serde_json::from_slice(bytes).ok()?;
        check(json).ok()?;
        let Notes(notes) = serde_json::from_str(json.get()).ok()?;
        Some(notes.into_iter().filter_map(|note| serde_json::from_str(note.get()).ok()).map(short).collect())
    };
    read().unwrap_or_default()
}

/// Some of them, as they stand there.
#[derive(serde::Deserialize)]
struct Notes<'a>(#[serde(borrow, deserialize_with = "at_most::<_, _, MOST_NOTES>")] Vec<&'a RawValue>);

/// What a job's end waits for, as the job tells it: any bytes.
#[must_use]
pub fn wait(bytes: &[u8]) -> String {
    short(String::from_utf8_lossy(bytes).into_owned())
}

fn short(mut text: String) -> String {
    cut(&mut text, LONGEST_NOTE);
    text
}

/// The code of an exit, as a job tells it.
#[must_use]
pub fn exit_code(bytes: &[u8]) -> Option<u8> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

fn claimed(bytes: &[u8], claimable: &[&[ErrorCode]]) -> Option<Failure> {
    let json: &RawValue = serde_json::from_slice(bytes).ok()?;
    if !json.get().starts_with('{') {
        return None;
    }
    check(json).ok()?;
    let report: ErrorReport<'_> = serde_json::from_str(json.get()).ok()?;
    let code = *claimable.iter().copied().flatten().find(|code| code.name() == report.code)?;
    let ErrorReport { exception, traceback, line, column, text, exit_code, path, hint, reason, .. } = report;
    let reason = reason.and_then(|reason| Reason::parse(&reason));
    let mut failure = Failure::new(code, report.message);
    *failure.details =
        Details { column, exception, exit_code, hint, line, path, reason, signal: None, text, traceback };
    failure.claims = report.refusals.into_iter().filter_map(Claim::read).collect();
    failure.no_fork = report.errno_hint.as_deref() == Some("EAGAIN");
    Some(failure)
}

#[cfg(test)]
mod tests {
    use super::{
        LONGEST_NOTE, MOST_NOTES, Report, cell_failure, exit_code, failure, notes, order_failure, result, wait,
    };
    use crate::claim::LONGEST_PATH;
    use crate::code::ErrorCode;
    use crate::failure::Failure;
    use crate::json::tests::{bomb, on_a_small_stack};

    fn read(payload: &str) -> Failure {
        match failure(payload.as_bytes()) {
            Report::Failure(failure) => failure,
            other => panic!("{payload} gave {other:?}"),
        }
    }

    #[test]
    fn known_fields_are_told_and_others_passed_over() {
        let said = read(
            r#"{"code": "exception", "message": "m", "exception": "E", "traceback": "t", "line": 3, "column": 2, "text": "x",
                "exit_code": -1, "path": "p", "hint": "h", "reason": "recursion", "errno_hint": "EAGAIN", "signal": "SIGSEGV", "denials": [1],
                "deep": [{"a": [[]]}], "number": 1e999999999}"#,
        );
        assert!(said.no_fork && said.claims.is_empty());
        let own = read(r#"{"code": "exception", "message": "m", "reason": "a word of its own"}"#);
        assert_eq!(own.details.reason, None);
        assert_eq!(
            serde_json::to_string(&said).expect("JSON"),
            r#"{"code":"exception","message":"m","column":2,"exception":"E","exit_code":-1,"hint":"h","line":3,"path":"p","reason":"recursion","text":"x","traceback":"t"}"#
        );
    }

    #[test]
    fn what_the_runner_would_not_write_is_no_report() {
        let deep = format!(r#"{{"code": "exit", "message": "m", "x": {}{}}}"#, "[".repeat(128), "]".repeat(128));
        for payload in [
            "",
            "[]",
            r#"["exit", "m", null, null, null, null, null, null, null, null, null, []]"#,
            r#"{"code": "timeout", "message": "m"}"#,
            r#"{"code": "internal", "message": "m"}"#,
            r#"{"code": "exit"}"#,
            r#"{"code": "exit", "message": 7}"#,
            r#"{"code": "exit", "message": "m", "message": "n"}"#,
            r#"{"code": "exit", "message": "m", "x": 1, "x": 2}"#,
            r#"{"code": "exit", "message": "m", "line": "3"}"#,
            r#"{"code": "exit", "message": "m", "text": {"$serde_json::private::RawValue": "[]"}}"#,
            r#"{"code": "exit", "message": "m", "x": {"\u0024serde_json::private::RawValue": "[]"}}"#,
            r#"{"code": "exit", "message": "\ud800"}"#,
            &deep,
        ] {
            assert!(matches!(failure(payload.as_bytes()), Report::Garbled), "{payload}");
        }
    }

    #[test]
    fn who_tells_of_a_failure_decides_what_it_may_be() {
        let told = |read: fn(&[u8]) -> Report, code: &str| {
            matches!(read(format!(r#"{{"code": "{code}", "message": "m"}}"#).as_bytes()), Report::Failure(_))
        };
        for (code, expected) in [
            ("exception", [true, true, true]),
            ("exit", [true, true, false]),
            ("interrupted", [false, true, false]),
            ("not_found", [false, false, true]),
            ("invalid_request", [false, false, true]),
            ("session_ended", [false; 3]),
            ("timeout", [false; 3]),
        ] {
            assert_eq!([failure, cell_failure, order_failure].map(|read| told(read, code)), expected, "{code}");
        }
    }

    #[test]
    fn documents_in_the_strings_of_documents_are_never_followed() {
        let bomb = bomb(500_000);
        let report = format!(r#"{{"code": "exception", "message": "m", "x": {bomb}}}"#);
        assert!(matches!(on_a_small_stack(|| failure(report.as_bytes())), Report::Garbled));
        assert!(matches!(on_a_small_stack(|| result(bomb.into_bytes())), Report::Failure(_)));
    }

    #[test]
    fn claims_are_bounded_and_bad_ones_dropped() {
        let claims = format!(
            r#"{{"errno": "EPERM", "call": "socket", "arguments": [2, null, 3, 4, 5, 6, {}]}}, {{"errno": 1}}, {{"errno": "EPERM", "arguments": [-1]}},
               {{"errno": "EROFS", "path": "{}"}}, [[["EPERM"]]]{}"#,
            "7,".repeat(1000) + "8",
            "é".repeat(20_000),
            r#", {"errno": "EFBIG"}"#.repeat(100),
        );
        let said = read(&format!(r#"{{"code": "exception", "message": "m", "refusals": [{claims}]}}"#));
        assert_eq!(said.claims.len(), 13);
        assert_eq!(said.claims[1].path.as_ref().map(String::len), Some(LONGEST_PATH));
        assert_eq!(said.claims[0].arguments, [Some(2), None, Some(3), Some(4), Some(5), Some(6)]);
        assert!(!serde_json::to_string(&said).expect("JSON").contains("EPERM"));
    }

    #[test]
    fn notes_are_short_texts_and_not_many() {
        assert_eq!(notes(br#"["one", 2, {"a": ["b"]}, null, "\u00e9"]"#), ["one", "\u{e9}"]);
        let long = format!(r#"["{}"{}]"#, "\u{e9}".repeat(30_000), r#", "x""#.repeat(1000));
        let kept = notes(long.as_bytes());
        assert_eq!((kept.len(), kept[0].len()), (MOST_NOTES, LONGEST_NOTE));
        for payload in ["", "{}", "[", r#""text""#, r#"["\ud800"]"#, "[1e999999999]", &format!("[{}]", bomb(50_000))] {
            assert!(on_a_small_stack(|| notes(payload.as_bytes())).is_empty(), "{payload:.80}");
        }
        assert_eq!(wait(&[b'a', 0xff]), "a\u{fffd}");
        assert_eq!(wait(&vec![b'a'; 100_000]).len(), LONGEST_NOTE);
    }

    #[test]
    fn an_exit_code_is_one_of_a_process() {
        assert_eq!(
            ["0", "255", "256", "-1", "", " 1", "1\n"].map(|text| exit_code(text.as_bytes())),
            [Some(0), Some(255), None, None, None, None, None]
        );
    }

    #[test]
    fn a_result_that_readers_take_differently_is_a_failure_of_its_own() {
        for text in [
            r#"{"a": {"$serde_json::private::RawValue": "1"}}"#,
            r#"[{"\u0024serde_json::private\u003a:Number": "1"}]"#,
            r#"{"a": 1, "\u0061": 2}"#,
        ] {
            match result(text.into()) {
                Report::Failure(failure) => assert_eq!(failure.code, ErrorCode::ResultNotJson, "{text}"),
                other => panic!("{text} gave {other:?}"),
            }
        }
        for text in [r#"["$serde_json::private::RawValue"]"#, r#"{"$serde_json": 1e999999999}"#] {
            assert!(matches!(result(text.into()), Report::Result(same) if same.get() == text), "{text}");
        }
        assert!(matches!(result(b"{".to_vec()), Report::Garbled));
    }
}
