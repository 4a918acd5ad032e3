//! What a session's process says of itself when it is at rest: the checkpoint that it has put aside, and what that could not bring back.
//!
//! Every byte is a stranger's. Nothing of it is believed but that it is the session's own word on itself.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::claim::{at_most, cut};
use crate::json::check;

/// How many threads are told by name.
pub const MOST_THREADS: usize = 32;

/// What is kept of each name, and of why there is no checkpoint, in bytes.
const LONGEST_WORD: usize = 256;

/// A session at rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// The checkpoint's process, by its number in the sandbox; `None` if none could be put aside.
    pub pid: Option<u32>,
    /// Why none could be.
    pub why: Option<String>,
    /// Python's threads beside the main one, by name; the first of them if there are many.
    pub threads: Vec<String>,
    /// How many threads there are that Python knows nothing of.
    pub native: u32,
    /// How many child processes there are.
    pub children: u32,
    /// How many of Python's threads there are, those included that are not named.
    pub count: u32,
}

impl Checkpoint {
    /// Reads what a session has written as one: any bytes. `None` for what the runner would not write.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Raw<'a> {
            checkpoint: bool,
            pid: Option<u32>,
            why: Option<String>,
            #[serde(borrow, default, deserialize_with = "at_most::<_, _, MOST_THREADS>")]
            threads: Vec<&'a RawValue>,
            #[serde(default)]
            native: u32,
            #[serde(default)]
            children: u32,
            #[serde(default)]
            count: u32,
        }
        let json: &RawValue = serde_json::from_slice(bytes).ok()?;
        if !json.get().starts_with('{') {
            return None;
        }
        check(json).ok()?;
        let Raw { checkpoint, pid, why, threads, native, children, count } = serde_json::from_str(json.get()).ok()?;
        // A process by the number 1 is the sandbox's own.
        let pid = pid.filter(|pid| checkpoint && *pid > 1 && i32::try_from(*pid).is_ok());
        if checkpoint != pid.is_some() {
            return None;
        }
        let threads = threads.into_iter().map(|name| serde_json::from_str(name.get()).ok().map(short));
        Some(Self { pid, why: why.map(short), threads: threads.collect::<Option<_>>()?, native, children, count })
    }
}

fn short(mut text: String) -> String {
    cut(&mut text, LONGEST_WORD);
    text
}

#[cfg(test)]
mod tests {
    use super::{Checkpoint, LONGEST_WORD, MOST_THREADS};
    use crate::json::tests::{bomb, on_a_small_stack};

    #[test]
    fn what_a_session_says_of_itself_is_short() {
        let said = |json: &str| Checkpoint::read(json.as_bytes()).expect("one");
        let put_aside = said(
            r#"{"checkpoint": true, "pid": 7, "threads": ["T\u00e9"], "native": 1, "children": 2, "count": 1, "x": [1]}"#,
        );
        let threads = vec!["Té".to_owned()];
        assert_eq!(put_aside, Checkpoint { pid: Some(7), why: None, threads, native: 1, children: 2, count: 1 });
        let none = said(r#"{"checkpoint": false, "why": "fork: EAGAIN"}"#);
        assert_eq!(none, Checkpoint { why: Some("fork: EAGAIN".to_owned()), ..Checkpoint::default() });
        let long = "x".repeat(1000);
        let many = format!(
            r#"{{"checkpoint": false, "pid": 9, "why": "{long}", "threads": ["{long}"{}]}}"#,
            r#", "t""#.repeat(1000)
        );
        let many = said(&many);
        assert_eq!((many.pid, many.threads.len(), many.threads[0].len()), (None, MOST_THREADS, LONGEST_WORD));
        assert_eq!(many.why.map(|why| why.len()), Some(LONGEST_WORD));
    }

    #[test]
    fn what_the_runner_would_not_write_is_no_checkpoint() {
        for forged in [
            "",
            "[]",
            "{}",
            r#"[true, 7]"#,
            r#"{"checkpoint": true}"#,
            r#"{"checkpoint": 1, "pid": 7}"#,
            r#"{"checkpoint": true, "pid": 0}"#,
            r#"{"checkpoint": true, "pid": 1}"#,
            r#"{"checkpoint": true, "pid": -7}"#,
            r#"{"checkpoint": true, "pid": 2147483648}"#,
            r#"{"checkpoint": true, "pid": "7"}"#,
            r#"{"checkpoint": true, "pid": 7, "threads": [1]}"#,
            r#"{"checkpoint": true, "pid": 7, "threads": "T"}"#,
            r#"{"checkpoint": true, "pid": 7, "children": -1}"#,
            r#"{"checkpoint": true, "pid": 7, "pid": 8}"#,
            r#"{"checkpoint": false, "why": "\ud800"}"#,
            r#"{"checkpoint": false, "why": {"$serde_json::private::RawValue": "\"x\""}}"#,
        ] {
            assert_eq!(Checkpoint::read(forged.as_bytes()), None, "{forged}");
        }
        let bombs = format!(r#"{{"checkpoint": false, "threads": [{}]}}"#, bomb(100_000));
        assert_eq!(on_a_small_stack(|| Checkpoint::read(bombs.as_bytes())), None);
    }
}
