//! Strictness that `serde_json` leaves to its caller: depth, duplicate keys, lone surrogates, and keys that it takes for its own.
//!
//! Strangers' JSON is looked at here and never becomes a tree. One pass over the text, with a mark for each key of the
//! objects that are open: 16 bytes, for at least four of the text.

use std::borrow::Cow;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use serde_json::value::RawValue;

/// How deep `args`, `kwargs` and a result may be nested. Common parsers stop at about this depth,
/// so a deeper document would be refused by whoever receives it.
pub const MAX_DEPTH: usize = 128;

/// What the keys begin with by which `serde_json` tells itself that an object is none. Whoever parses a stranger's object with
/// such a key into a `Value` reads something else than what is written, and the text in it as a document of its own, with
/// a limit of depth of its own: nested in one another they overflow any stack.
const PRIVATE: &str = "$serde_json::private::";

/// The longest part of a key that is told again, in characters.
const SHOWN: usize = 64;

/// Why JSON is not passed on.
#[derive(Debug, thiserror::Error)]
pub enum NotJson {
    /// The bytes break JSON's grammar or are not UTF-8.
    #[error("not JSON: {0}")]
    Syntax(#[from] serde_json::Error),
    /// Arrays and objects inside one another beyond [`MAX_DEPTH`].
    #[error("nested too deeply, at most {MAX_DEPTH} levels are accepted")]
    TooDeep,
    /// A `\ud800`-style escape without its other half.
    #[error("a string holds a lone surrogate, which is not Unicode text")]
    LoneSurrogate,
    /// A key that an object has twice; some readers see the one, some the other.
    #[error("duplicate key {0:?}")]
    DuplicateKey(String),
    /// A key that readers with `serde_json` take for a mark of its own.
    #[error("the key {0:?} begins with {PRIVATE:?}, which a common parser keeps for itself: use another")]
    PrivateKey(String),
}

/// Checks a result written by a job: bytes from a stranger. Numbers keep their digits.
///
/// # Errors
/// [`NotJson`] says what is wrong; the bytes are never interpreted further.
pub fn check_result(bytes: Vec<u8>) -> Result<Box<RawValue>, NotJson> {
    let text = String::from_utf8(bytes).map_err(<serde_json::Error as serde::de::Error>::custom)?;
    let value = RawValue::from_string(text)?;
    check(&value)?;
    Ok(value)
}

/// Checks JSON of which no more is known than that it is well formed.
///
/// # Errors
/// [`NotJson`], never [`NotJson::Syntax`].
pub fn check(json: &RawValue) -> Result<(), NotJson> {
    Walk { text: json.get(), open: Vec::new(), keys: Vec::new(), hasher: RandomState::new() }.whole()
}

/// One pass over well-formed JSON.
struct Walk<'a> {
    text: &'a str,
    /// What is open, the outermost first: of an object where its keys begin, of an array nothing.
    open: Vec<Option<usize>>,
    /// The keys so far of all open objects: a hash that no stranger can foresee, and where the key's string begins.
    keys: Vec<(u64, usize)>,
    hasher: RandomState,
}

impl<'a> Walk<'a> {
    fn whole(mut self) -> Result<(), NotJson> {
        let json = self.text.as_bytes();
        let mut at = 0;
        while at < json.len() {
            match json[at] {
                b'[' => self.enter(None)?,
                b'{' => self.enter(Some(self.keys.len()))?,
                b']' | b'}' => self.leave()?,
                b'"' => at = self.string(at)?,
                _ => {}
            }
            at += 1;
        }
        Ok(())
    }

    fn enter(&mut self, keys: Option<usize>) -> Result<(), NotJson> {
        if self.open.len() == MAX_DEPTH {
            return Err(NotJson::TooDeep);
        }
        self.open.push(keys);
        Ok(())
    }

    fn leave(&mut self) -> Result<(), NotJson> {
        let Some(first) = self.open.pop().flatten() else { return Ok(()) };
        let keys = &mut self.keys[first..];
        if keys.len() > 1 {
            keys.sort_unstable();
            for same in keys.chunk_by(|one, other| one.0 == other.0).filter(|same| same.len() > 1) {
                let mut names: Vec<_> = same.iter().map(|(_, at)| key(string_at(self.text, *at))).collect();
                names.sort_unstable();
                if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
                    return Err(NotJson::DuplicateKey(shown(&twice[0])));
                }
            }
        }
        self.keys.truncate(first);
        Ok(())
    }

    /// From a string's opening quote to its closing one. It is a key if a colon follows.
    fn string(&mut self, at: usize) -> Result<usize, NotJson> {
        let end = end_of_string(self.text.as_bytes(), at + 1)?;
        let next = self.text.as_bytes()[end + 1..].iter().find(|byte| !byte.is_ascii_whitespace());
        if next == Some(&b':') {
            let key = key(&self.text[at..=end]);
            if key.starts_with(PRIVATE) {
                return Err(NotJson::PrivateKey(shown(&key)));
            }
            self.keys.push((self.hasher.hash_one(&*key), at));
        }
        Ok(end)
    }
}

/// From the byte after an opening quote to its closing quote.
fn end_of_string(json: &[u8], mut at: usize) -> Result<usize, NotJson> {
    while json[at] != b'"' {
        if json[at] != b'\\' {
            at += 1;
            continue;
        }
        match escaped_unit(json, at) {
            Some(0xD800..=0xDBFF) => match escaped_unit(json, at + 6) {
                Some(0xDC00..=0xDFFF) => at += 12,
                _ => return Err(NotJson::LoneSurrogate),
            },
            Some(0xDC00..=0xDFFF) => return Err(NotJson::LoneSurrogate),
            Some(_) => at += 6,
            None => at += 2,
        }
    }
    Ok(at)
}

/// The UTF-16 unit of a `\uXXXX` escape that starts at `at`, if one does.
fn escaped_unit(json: &[u8], at: usize) -> Option<u16> {
    let digits = json.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// The string, quotes included, that begins at `at` and was checked.
fn string_at(text: &str, at: usize) -> &str {
    let end = end_of_string(text.as_bytes(), at + 1).expect("it was checked when its key was noted");
    &text[at..=end]
}

/// What a checked string says: its own text, unless there are escapes in it.
fn key(quoted: &str) -> Cow<'_, str> {
    let inside = &quoted[1..quoted.len() - 1];
    if inside.contains('\\') {
        Cow::Owned(serde_json::from_str(quoted).expect("well-formed JSON without a lone surrogate"))
    } else {
        Cow::Borrowed(inside)
    }
}

fn shown(key: &str) -> String {
    key.chars().take(SHOWN).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{MAX_DEPTH, NotJson, PRIVATE, check_result};

    fn check(text: impl Into<String>) -> Result<usize, NotJson> {
        check_result(text.into().into_bytes()).map(|raw| raw.get().len())
    }

    fn nested(levels: usize) -> String {
        "[".repeat(levels) + &"]".repeat(levels)
    }

    /// JSON of as many bytes, of 121 levels by itself, in whose strings is JSON again, and so on: for a parser that takes
    /// the mark for its own one document, tens of thousands of levels deep.
    pub(crate) fn bomb(bytes: usize) -> String {
        let quote = |level: usize| match level {
            0 => "\"".to_owned(),
            _ => format!("\\{}u0022", "u005c".repeat(level - 1)),
        };
        let (mut head, mut tail, mut level, mut size) = (String::new(), Vec::new(), 0, 1);
        loop {
            let quote = quote(level);
            let open = format!("{}{{{quote}{PRIVATE}RawValue{quote}:{quote}", "[".repeat(120));
            let close = format!("{quote}}}{}", "]".repeat(120));
            size += open.len() + close.len();
            if size > bytes {
                break;
            }
            head.push_str(&open);
            tail.push(close);
            level += 1;
        }
        tail.reverse();
        head + "1" + &tail.concat()
    }

    /// Runs on a stack that no parser which follows a stranger's nesting gets along with.
    pub(crate) fn on_a_small_stack<T: Send>(run: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(64 * 1024).spawn_scoped(scope, run);
            thread.expect("a thread").join().expect("it does not panic")
        })
    }

    #[test]
    fn depth_is_bounded_and_brackets_in_strings_do_not_count() {
        assert!(check(nested(MAX_DEPTH)).is_ok());
        assert!(matches!(check(nested(MAX_DEPTH + 1)), Err(NotJson::TooDeep)));
        assert!(matches!(on_a_small_stack(|| check(nested(4_000_000))), Err(NotJson::TooDeep)));
        assert!(check(format!("\"{}\"", "[".repeat(MAX_DEPTH * 2))).is_ok());
    }

    #[test]
    fn surrogates_come_in_pairs() {
        assert!(check(r#"["\ud83d\ude00", "\\ud800", "\u00e9"]"#).is_ok());
        for lone in [r#""\ud83d""#, r#""\ude00""#, r#""\ud83dx""#, r#"{"\ud83d\u0041":1}"#] {
            assert!(matches!(check(lone), Err(NotJson::LoneSurrogate)), "{lone:?}");
        }
    }

    #[test]
    fn forged_bytes_are_refused_and_long_numbers_kept() {
        for forged in [&b""[..], b"NaN", b"1 2", b"{", b"\xff", b"[1,]", b"'a'"] {
            assert!(matches!(check_result(forged.to_vec()), Err(NotJson::Syntax(_))), "{forged:?}");
        }
        assert_eq!(check("9".repeat(2000)).ok(), Some(2000));
        assert!(check("[1e999999999, -0.0, 1E-400]").is_ok());
    }

    #[test]
    fn a_key_stands_once_in_its_object() {
        for once in [
            r#"{"a": {"a": {"a": "a"}}, "b": ["a", "a", {"b": 1}, {"b": 1}]}"#,
            r#"[{"a": 1}, {"a": 1}, {}, {"": 1}]"#,
            r#"{"a":"b","b":"a","\u00e9":1,"e\u0301":2,"\\u0061":3}"#,
        ] {
            assert!(check(once).is_ok(), "{once}");
        }
        for (twice, key) in [
            (r#"{"a": 1, "a": 1}"#, "a"),
            (r#"{"a": 1, "b": {"a": 1}, "\u0061" : 2}"#, "a"),
            (r#"[[{"": [{"x": 1}], "x": 2, "": 3}]]"#, ""),
            ("{\"/\":1,\"\\/\"\n:2}", "/"),
            (r#"{"\ud83d\ude00": 1, "😀": 2}"#, "😀"),
        ] {
            assert!(matches!(check(twice), Err(NotJson::DuplicateKey(told)) if told == key), "{twice}");
        }
        let many: Vec<_> = (0..100_000).map(|number| format!("\"k{number}\":{number}")).collect();
        assert!(check(format!("{{{}}}", many.join(","))).is_ok());
        assert!(matches!(check(format!("{{{},\"k77\":1}}", many.join(","))), Err(NotJson::DuplicateKey(_))));
    }

    #[test]
    fn keys_that_a_parser_takes_for_its_own_are_refused_however_they_are_written() {
        for private in [
            r#"{"$serde_json::private::RawValue": "1"}"#,
            r#"[{"a": 1, "$serde_json::private::Number": "1"}]"#,
            r#"{"\u0024serde_json::private::RawValue": "1"}"#,
            r#"{"\u0024\u0073\u0065rde_json\u003A\u003a\u0070rivate::" : 0}"#,
        ] {
            assert!(matches!(check(private), Err(NotJson::PrivateKey(_))), "{private}");
        }
        for other in [
            r#"{"a": "$serde_json::private::RawValue"}"#,
            r#"{" $serde_json::private::RawValue": 1, "$serde_json": 2, "\\u0024serde_json::private::Number": 3}"#,
        ] {
            assert!(check(other).is_ok(), "{other}");
        }
    }

    #[test]
    fn documents_in_the_strings_of_documents_are_never_followed() {
        let bomb = bomb(500_000);
        assert!(bomb.len() > 490_000);
        assert!(matches!(on_a_small_stack(|| check(bomb)), Err(NotJson::PrivateKey(_))));
    }
}
