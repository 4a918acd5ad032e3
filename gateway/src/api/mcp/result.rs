//! A tool's result, made of a job's answer. The answer's parts are copied as they are, and no more of it is read than where
//! they are.

use std::borrow::Cow;
use std::fmt;

use data_encoding::BASE64;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize as Read, Serialize};
use serde_json::value::RawValue;

use super::message::failure;

/// The longest answer that is text in a result, too, in bytes; a longer one is there once, as structured content.
const LONGEST_TEXT: usize = 256 * 1024;

/// What stands there for a longer one.
const TOO_LONG: &str = "The answer is in structuredContent alone: it is too long to be here as text, too.";

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

/// An object's fields in their order, each value as it is written.
struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

/// A string, copied only if there are escapes in it.
#[derive(Read)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> Fields<'a> {
    fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(field, _)| field == name).map(|(_, value)| *value)
    }

    fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        serde_json::from_str::<Text<'a>>(self.get(name)?.get()).ok().map(|text| text.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some((Text(name), value)) = map.next_entry()? {
                    fields.push((name, value));
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

/// Fields but for some, or with another value of one.
struct Only<'a>(&'a Fields<'a>, &'a [&'a str]);

impl Serialize for Only<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let kept = self.0.0.iter().filter(|(name, _)| !self.1.contains(&&**name));
        serializer.collect_map(kept.map(|(name, value)| (name, *value)))
    }
}

/// A job's answer with its files as a list of what they are.
struct Structured<'a> {
    answer: &'a Fields<'a>,
    files: &'a [Fields<'a>],
}

impl Serialize for Structured<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in &self.answer.0 {
            if name == "files" {
                let listed: Vec<_> = self.files.iter().map(|file| Only(file, &[CONTENT])).collect();
                map.serialize_entry(name, &listed)?;
            } else {
                map.serialize_entry(name, value)?;
            }
        }
        map.end()
    }
}

/// A part of a result's content.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Block<'a> {
    Text {
        text: Cow<'a, str>,
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
    structured_content: Structured<'a>,
    is_error: bool,
}

/// The answer to a call: the SDK's, `template`, with the job's in it.
///
/// # Errors
/// When one of them is not what it should be: a bug of ours, or of the SDK's.
pub fn build(template: &[u8], answer: &[u8], is_error: bool) -> Result<Vec<u8>, serde_json::Error> {
    let Template { jsonrpc, id, result } = serde_json::from_slice(template)?;
    let size = answer.len();
    let answer: Fields<'_> = serde_json::from_slice(answer)?;
    let files = answer.get("files").map(|files| serde_json::from_str(files.get())).transpose()?;
    let files: Vec<Fields<'_>> = files.unwrap_or_default();
    let contents: usize = files.iter().filter_map(|file| file.get(CONTENT)).map(|content| content.get().len()).sum();
    let structured_content = Structured { answer: &answer, files: &files };
    let text = if size - contents > LONGEST_TEXT {
        TOO_LONG.into()
    } else {
        serde_json::to_string(&structured_content)?.into()
    };
    let content = [Block::Text { text }].into_iter().chain(files.iter().filter_map(block)).collect();
    let others = Only(&result, &["content", "structuredContent", "isError"]);
    let whole = Whole { jsonrpc, id, result: CallResult { others, content, structured_content, is_error } };
    let mut bytes = Vec::with_capacity(size + template.len() + 2 * LONGEST_TEXT.min(size - contents) + 1024);
    serde_json::to_writer(&mut bytes, &whole)?;
    Ok(bytes)
}

/// The answer to a call of whose answer nothing can be made.
pub fn broken(template: &[u8]) -> Vec<u8> {
    let id = serde_json::from_slice(template).map(|Template { id, .. }| id).ok();
    failure(id, INTERNAL, "the answer broke off")
}

/// A picture that assistants can see as such, and anything else as a resource: text as it is, if it is text. What has control
/// characters in it is none: each would take six bytes.
fn block<'a>(file: &Fields<'a>) -> Option<Block<'a>> {
    let (base64, media_type) = (file.get(CONTENT)?, file.text("media_type")?);
    if PICTURES.contains(&&*media_type) {
        return Some(Block::Image { data: base64, media_type });
    }
    let uri = format!("file:///out/{}", utf8_percent_encode(&file.text("name")?, IN_PATHS));
    let bytes = BASE64.decode(file.text(CONTENT)?.as_bytes()).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    let text = text.filter(|text| !text.contains(|letter: char| letter.is_control() && !"\n\r\t".contains(letter)));
    let content = text.map_or(Content::Blob(base64), Content::Text);
    Some(Block::Resource { resource: Resource { uri, media_type, content } })
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_TEXT, TOO_LONG, broken, build};

    const TEMPLATE: &[u8] =
        br#"{"jsonrpc":"2.0","id":"a","result":{"resultType":"complete","content":[],"isError":false}}"#;

    fn built(answer: &str, is_error: bool) -> String {
        let built = build(TEMPLATE, answer.as_bytes(), is_error).expect("an answer");
        String::from_utf8(built).expect("UTF-8")
    }

    #[test]
    fn an_answer_is_passed_on_as_it_is_written() {
        assert_eq!(
            built(r#"{"id": "x", "result": [1.50, 1E400, {"a":  "\u0061"}]}"#, false),
            concat!(
                r#"{"jsonrpc":"2.0","id":"a","result":{"resultType":"complete","content":[{"type":"text","text":"#,
                r#""{\"id\":\"x\",\"result\":[1.50, 1E400, {\"a\":  \"\\u0061\"}]}"}],"#,
                r#""structuredContent":{"id":"x","result":[1.50, 1E400, {"a":  "\u0061"}]},"isError":false}}"#
            )
        );
    }

    #[test]
    fn a_long_answer_is_there_once() {
        let result = "x".repeat(LONGEST_TEXT);
        let built = built(&format!(r#"{{"result":"{result}"}}"#), true);
        assert!(built.contains(&format!(r#""content":[{{"type":"text","text":"{TOO_LONG}"}}]"#)), "{built:.300}");
        assert!(built.len() < LONGEST_TEXT + 500 && built.ends_with(r#""isError":true}}"#));
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
