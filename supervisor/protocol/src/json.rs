//! Strictness that `serde_json` leaves to its caller: depth, duplicate keys, lone surrogates.

use std::collections::HashSet;
use std::fmt;

use serde::de::{self, Deserialize, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// How deep `args`, `kwargs` and a result may be nested. Common parsers stop at about this depth,
/// so a deeper document would be refused by whoever receives it.
pub const MAX_DEPTH: usize = 128;

/// Why a job's result bytes are not JSON that may be passed on.
#[derive(Debug, thiserror::Error)]
pub enum NotJson {
    /// The bytes break JSON's grammar or are not UTF-8.
    #[error("not JSON: {0}")]
    Syntax(#[from] serde_json::Error),
    /// Arrays and objects inside one another beyond [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// A `\ud800`-style escape without its other half.
    #[error("a string holds a lone surrogate, which is not Unicode text")]
    LoneSurrogate,
}

/// Checks a result written by a job: bytes from a stranger. Numbers keep their digits.
///
/// # Errors
/// [`NotJson`] says what is wrong; the bytes are never interpreted further.
pub fn check_result(bytes: &[u8]) -> Result<&RawValue, NotJson> {
    let value: &RawValue = serde_json::from_slice(bytes)?;
    scan(value.get().as_bytes())?;
    Ok(value)
}

/// One pass over JSON that is known to be well formed: tracks strings, escapes and depth.
fn scan(json: &[u8]) -> Result<(), NotJson> {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < json.len() {
        match json[at] {
            b'[' | b'{' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(NotJson::TooDeep);
                }
            }
            b']' | b'}' => depth -= 1,
            b'"' => at = scan_string(json, at + 1)?,
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

/// From the byte after an opening quote to its closing quote.
fn scan_string(json: &[u8], mut at: usize) -> Result<usize, NotJson> {
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

/// Walks any JSON and keeps nothing: refuses duplicate keys at every level, and, through the
/// deserializer, lone surrogates and more than [`MAX_DEPTH`] levels.
pub(crate) struct Strict;

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Strict;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_str<E>(self, _: &str) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_unit<E>(self) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Strict, A::Error> {
        while seq.next_element::<Strict>()?.is_some() {}
        Ok(Strict)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Strict, A::Error> {
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key_seed(Key)? {
            map.next_value::<Strict>()?;
            if let Some(twice) = seen.replace(key) {
                return Err(de::Error::custom(format_args!("duplicate key {twice:?}")));
            }
        }
        Ok(Strict)
    }
}

struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = String;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        String::deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_DEPTH, NotJson, check_result};

    fn nested(levels: usize) -> Vec<u8> {
        let mut json = vec![b'['; levels];
        json.resize(2 * levels, b']');
        json
    }

    #[test]
    fn depth_is_bounded_and_brackets_in_strings_do_not_count() {
        assert!(check_result(&nested(MAX_DEPTH)).is_ok());
        assert!(matches!(check_result(&nested(MAX_DEPTH + 1)), Err(NotJson::TooDeep)));
        assert!(matches!(check_result(&nested(100_000)), Err(NotJson::TooDeep)));
        let text = format!("\"{}\"", "[".repeat(MAX_DEPTH * 2));
        assert!(check_result(text.as_bytes()).is_ok());
    }

    #[test]
    fn surrogates_come_in_pairs() {
        assert!(check_result(br#"["\ud83d\ude00", "\\ud800", "\u00e9"]"#).is_ok());
        for lone in [&br#""\ud83d""#[..], br#""\ude00""#, br#""\ud83dx""#, br#"{"\ud83d\u0041":1}"#] {
            assert!(matches!(check_result(lone), Err(NotJson::LoneSurrogate)), "{lone:?}");
        }
    }

    #[test]
    fn forged_bytes_are_refused_and_long_numbers_kept() {
        for forged in [&b""[..], b"NaN", b"1 2", b"{", b"\xff", b"[1,]", b"'a'"] {
            assert!(matches!(check_result(forged), Err(NotJson::Syntax(_))), "{forged:?}");
        }
        let digits = "9".repeat(2000);
        assert_eq!(check_result(digits.as_bytes()).map(|raw| raw.get().len()).ok(), Some(2000));
    }
}
