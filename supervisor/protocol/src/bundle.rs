//! A value as it may be shown: text by media type, as notebooks have it. It is a stranger's, checked as any other JSON that is passed on.

use std::fmt;

use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::json::check;

/// How many media types one value may have.
pub const MOST_TYPES: usize = 32;

/// The longest name of one, in bytes.
pub const LONGEST_TYPE: usize = 100;

/// The media type that a value of a cell's always has: its `repr()`.
const PLAIN: &str = "text/plain";

/// What a value offers to be shown as: an object of media types, each with text, or with base64 of what is none.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct MimeBundle(Box<RawValue>);

impl MimeBundle {
    /// Reads what a cell has written as one: any bytes. `None` for what the runner would not write.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let json: &RawValue = serde_json::from_slice(bytes).ok()?;
        if !json.get().starts_with('{') {
            return None;
        }
        check(json).ok()?;
        serde_json::from_str::<Types>(json.get()).ok()?;
        Some(Self(json.to_owned()))
    }

    /// The object as it was written.
    #[must_use]
    pub fn json(&self) -> &str {
        self.0.get()
    }

    /// The same.
    #[must_use]
    pub fn into_json(self) -> Box<RawValue> {
        self.0
    }

    /// What it says as plain text.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Plain {
            #[serde(rename = "text/plain")]
            text: Option<String>,
        }
        let Plain { text } = serde_json::from_str(self.json()).ok()?;
        text
    }
}

/// That an object has few keys, all short and printable, and texts alone.
struct Types;

impl<'de> Deserialize<'de> for Types {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Self)
    }
}

impl<'de> Visitor<'de> for Types {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "media types such as {PLAIN}, each with a string")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut types: A) -> Result<Self, A::Error> {
        let mut count = 0;
        while let Some(name) = types.next_key::<String>()? {
            count += 1;
            if count > MOST_TYPES || name.is_empty() || name.len() > LONGEST_TYPE || !name.bytes().all(is_graphic) {
                return Err(A::Error::custom("no media type, or too many"));
            }
            if !types.next_value::<&RawValue>()?.get().starts_with('"') {
                return Err(A::Error::custom("no string"));
            }
        }
        Ok(self)
    }
}

fn is_graphic(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_TYPE, MOST_TYPES, MimeBundle};
    use crate::json::tests::{bomb, on_a_small_stack};

    #[test]
    fn a_bundle_is_passed_on_as_it_is_written() {
        let json = r#"{"text/plain": "a\u00e9\n", "image/png": "AP8=" }"#;
        let bundle = MimeBundle::read(json.as_bytes()).expect("one");
        assert_eq!(bundle.text().as_deref(), Some("aé\n"));
        assert_eq!(serde_json::to_string(&bundle).expect("JSON"), json);
        assert_eq!(MimeBundle::read(b"{}").expect("one of nothing").text(), None);
    }

    #[test]
    fn what_the_runner_would_not_write_is_no_bundle() {
        let many = |count: usize| {
            let types: Vec<_> = (0..count).map(|number| format!(r#""t/{number}": """#)).collect();
            format!("{{{}}}", types.join(","))
        };
        let named = |length: usize| format!(r#"{{"{}": ""}}"#, "x".repeat(length));
        for good in [many(MOST_TYPES), named(LONGEST_TYPE)] {
            assert!(MimeBundle::read(good.as_bytes()).is_some(), "{good:.80}");
        }
        for forged in [
            "",
            "[]",
            "null",
            r#"["text/plain"]"#,
            r#"{"text/plain": 1}"#,
            r#"{"text/plain": null}"#,
            r#"{"text/plain": ["x"]}"#,
            r#"{"text/plain": "x", "text/plain": "y"}"#,
            r#"{"text/plain": "\ud800"}"#,
            r#"{"": "x"}"#,
            r#"{"text/plain\n": "x"}"#,
            r#"{"t\u00e9xt": "x"}"#,
            r#"{"\u0024serde_json::private::RawValue": "[]"}"#,
            &many(MOST_TYPES + 1),
            &named(LONGEST_TYPE + 1),
        ] {
            assert!(MimeBundle::read(forged.as_bytes()).is_none(), "{forged:.80}");
        }
        let deep = format!(r#"{{"x": {}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        let bombs = format!(r#"{{"x": {}}}"#, bomb(100_000));
        for forged in [deep, bombs] {
            assert!(on_a_small_stack(|| MimeBundle::read(forged.as_bytes())).is_none());
        }
    }
}
