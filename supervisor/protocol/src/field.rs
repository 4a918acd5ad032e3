//! One field of a request before its type is known, and the sentence that tells what is wrong with it.

use std::fmt::{self, Display};
use std::marker::PhantomData;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
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

/// The fields of a body, before the type of each is known; `such` is one that would do.
pub(crate) fn object<'a, T: Deserialize<'a>>(body: &'a [u8], such: &str) -> Result<T, InvalidRequest> {
    let text =
        std::str::from_utf8(body).map_err(|error| InvalidRequest::new(format!("the body is not UTF-8: {error}")))?;
    if !text.trim_start().starts_with('{') {
        let kind = kind_of(text);
        return Err(InvalidRequest::new(format!("the body is {kind}, expected a JSON object such as {such}")));
    }
    serde_json::from_str(text).map_err(|error| InvalidRequest::new(format!("the body is not a valid request: {error}")))
}

/// A text.
pub(crate) fn string(field: impl Display, value: &RawValue) -> Result<String, InvalidRequest> {
    if !value.get().starts_with('"') {
        return Err(wrong_type(field, "a string", value));
    }
    serde_json::from_str(value.get())
        .map_err(|error| InvalidRequest::new(format!("{field} is not valid Unicode text: {error}")))
}

/// The items of an array, each made of its JSON and told its name: `field[3]`. They are read one after another, so that
/// no list of what they might be is ever made, and none behind the `most`th is looked at. A name is put together when one is told of.
pub(crate) fn items<T>(
    field: &str,
    value: &RawValue,
    most: usize,
    make: impl FnMut(&dyn Display, &RawValue) -> Result<T, InvalidRequest>,
) -> Result<Vec<T>, InvalidRequest> {
    let mut json = serde_json::Deserializer::from_str(value.get());
    let items = Items { field, most, make, made: PhantomData };
    json.deserialize_seq(items).map_err(|error| InvalidRequest::new(format!("{field}: {error}")))?
}

struct Items<'a, T, F> {
    field: &'a str,
    most: usize,
    make: F,
    made: PhantomData<T>,
}

impl<'de, T, F: FnMut(&dyn Display, &RawValue) -> Result<T, InvalidRequest>> Visitor<'de> for Items<'_, T, F> {
    type Value = Result<Vec<T>, InvalidRequest>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Self::Value, A::Error> {
        let (mut made, field) = (Vec::new(), self.field);
        while let Some(item) = items.next_element::<&RawValue>()? {
            let one = if made.len() == self.most {
                Err(InvalidRequest::new(format!("{field} has more than the {} items that it may have", self.most)))
            } else {
                (self.make)(&format_args!("{field}[{}]", made.len()), item)
            };
            match one {
                Ok(one) => made.push(one),
                Err(wrong) => {
                    while items.next_element::<IgnoredAny>()?.is_some() {}
                    return Ok(Err(wrong));
                }
            }
        }
        Ok(Ok(made))
    }
}

/// A field is none of the words that it may be.
pub(crate) fn other_word(field: &str, expected: &str, value: &RawValue) -> InvalidRequest {
    match string(field, value) {
        Ok(word) => InvalidRequest::new(format!("{field} is {:?}, expected {expected}", shown(&word))),
        Err(_) => wrong_type(field, expected, value),
    }
}

/// The beginning of a word that is told again.
fn shown(word: &str) -> &str {
    word.char_indices().nth(64).map_or(word, |(end, _)| &word[..end])
}

/// A field is not what it should be.
pub(crate) fn wrong_type(field: impl Display, expected: &str, value: &RawValue) -> InvalidRequest {
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
