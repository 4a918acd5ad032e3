//! One field of a request before its type is known, and the sentence that tells what is wrong with it.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Why a body is not a request: one sentence that names the field and what was expected.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidRequest(String);

/// The longest of such sentences, in characters: parts of it are the client's own.
const LONGEST_SENTENCE: usize = 1024;

impl InvalidRequest {
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        let mut sentence = sentence.into();
        if let Some((end, _)) = sentence.char_indices().nth(LONGEST_SENTENCE) {
            sentence.truncate(end);
            sentence.push_str("...");
        }
        Self(sentence)
    }
}

/// A field that is there, even as `null`, which an `Option` alone would take for absent.
pub(crate) fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// A text.
pub(crate) fn string(field: &str, value: &RawValue) -> Result<String, InvalidRequest> {
    if !value.get().starts_with('"') {
        return Err(wrong_type(field, "a string", value));
    }
    serde_json::from_str(value.get())
        .map_err(|error| InvalidRequest::new(format!("{field} is not valid Unicode text: {error}")))
}

/// A field is not what it should be.
pub(crate) fn wrong_type(field: &str, expected: &str, value: &RawValue) -> InvalidRequest {
    InvalidRequest::new(format!("{field} is {}, expected {expected}", kind_of(value.get())))
}

/// What a JSON text starts as, in words; numbers are short enough to be shown.
pub(crate) fn kind_of(json: &str) -> String {
    let json = json.trim_start();
    match json.chars().next() {
        None => "empty".to_owned(),
        Some('"') => "a string".to_owned(),
        Some('[') => "an array".to_owned(),
        Some('{') => "an object".to_owned(),
        Some('t' | 'f') => "a boolean".to_owned(),
        Some('n') => "null".to_owned(),
        Some('-' | '0'..='9') => format!("the number {}", json.chars().take(24).collect::<String>().trim_end()),
        Some(_) => "not JSON".to_owned(),
    }
}
