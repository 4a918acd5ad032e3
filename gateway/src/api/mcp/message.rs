//! A message of the protocol before the SDK sees it: checked, and without the arguments of a call.
//!
//! The SDK makes trees of what it reads, so it gets a bounded envelope and nothing that was not looked at. The arguments, which
//! may be megabytes, are a request to run a job: they stay text, and what reads requests reads them.

use std::ops::Range;

use cloister_protocol::check;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The largest message without the arguments of its call, in bytes: what the SDK makes of it takes a hundred times as much.
pub const LARGEST: usize = 16 * 1024;

/// What an error tells again, in characters.
const SHOWN: usize = 256;

/// A message that may be read.
#[derive(Debug)]
pub struct Message {
    /// For the SDK: the message with `{}` where its call's arguments were.
    pub envelope: Vec<u8>,
    /// The arguments, as the client wrote them; `{}` if there are none.
    pub arguments: Vec<u8>,
}

/// Why a message is not read at all.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// It is not JSON.
    #[error("the message is not JSON: {0}")]
    NotJson(serde_json::Error),
    /// It is not one that this service takes.
    #[error("{0}")]
    Invalid(String),
    /// It is too large without any arguments.
    #[error("the message is {0} bytes long without the arguments of a call, expected at most {LARGEST}")]
    TooLarge(usize),
}

impl Unusable {
    /// The error as a message: JSON-RPC 2.0, section 5.1. Whose it is was not read.
    pub fn to_json(&self) -> Vec<u8> {
        let code = if matches!(self, Self::NotJson(_)) { -32700 } else { -32600 };
        failure(None, code, &self.to_string().chars().take(SHOWN).collect::<String>())
    }
}

/// An error in answer to the message of this id.
pub fn failure(id: Option<&RawValue>, code: i32, message: &str) -> Vec<u8> {
    #[derive(Serialize)]
    struct Failed<'a> {
        jsonrpc: &'a str,
        id: Option<&'a RawValue>,
        error: Error<'a>,
    }
    #[derive(Serialize)]
    struct Error<'a> {
        code: i32,
        message: &'a str,
    }
    let failed = Failed { jsonrpc: "2.0", id, error: Error { code, message } };
    serde_json::to_vec(&failed).expect("text, numbers and JSON that was parsed")
}

impl Message {
    /// Takes a message apart.
    ///
    /// # Errors
    /// [`Unusable`].
    pub fn read(mut body: Vec<u8>) -> Result<Self, Unusable> {
        let arguments = find_arguments(&body)?;
        let (start, end) = arguments.map_or((body.len(), body.len()), |found| (found.start, found.end));
        let object = body.get(start) == Some(&b'{');
        // What is no object is left for the SDK to refuse.
        let (start, end) = if object { (start, end) } else { (body.len(), body.len()) };
        let size = body.len() - (end - start);
        if size > LARGEST {
            return Err(Unusable::TooLarge(size));
        }
        let envelope = [&body[..start], if object { b"{}" } else { b"" }, &body[end..]].concat();
        let json: &RawValue = serde_json::from_slice(&envelope).map_err(Unusable::NotJson)?;
        check(json).map_err(|error| Unusable::Invalid(format!("the message is not accepted: {error}")))?;
        body.truncate(end);
        body.drain(..start);
        let arguments = if object { body } else { b"{}".to_vec() };
        Ok(Self { envelope, arguments })
    }
}

/// The fields in which a call's arguments are found.
#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Parameters<'a> {
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

/// Where in a message its call's arguments are, if it has any.
fn find_arguments(body: &[u8]) -> Result<Option<Range<usize>>, Unusable> {
    let whole: &RawValue = serde_json::from_slice(body).map_err(Unusable::NotJson)?;
    if !whole.get().starts_with('{') {
        return Err(Unusable::Invalid("the message is not an object: expected one, and no batch".to_owned()));
    }
    let invalid = |error: serde_json::Error| Unusable::Invalid(format!("the message is not accepted: {error}"));
    let Call { params } = serde_json::from_str(whole.get()).map_err(invalid)?;
    let Some(params) = params.filter(|params| params.get().starts_with('{')) else { return Ok(None) };
    let Parameters { arguments } = serde_json::from_str(params.get()).map_err(invalid)?;
    // It is a part of the body, so how far from its beginning says where.
    Ok(arguments.map(|found| {
        let start = found.get().as_ptr().addr() - body.as_ptr().addr();
        start..start + found.get().len()
    }))
}

#[cfg(test)]
mod tests {
    use super::{LARGEST, Message, Unusable};

    fn read(body: &str) -> Result<(String, String), Unusable> {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Message::read(body.into()).map(|message| (text(message.envelope), text(message.arguments)))
    }

    #[test]
    fn a_message_is_cut_where_its_arguments_are() {
        for (body, envelope, arguments) in [
            (
                r#" {"params": {"arguments": {"a" : [1, 2.50]}, "name": "x"}, "id":1e2} "#,
                r#" {"params": {"arguments": {}, "name": "x"}, "id":1e2} "#,
                r#"{"a" : [1, 2.50]}"#,
            ),
            (r#"{"params":{"\u0061rguments":{"b":1}}}"#, r#"{"params":{"\u0061rguments":{}}}"#, r#"{"b":1}"#),
            (r#"{"params":{"arguments":null}}"#, r#"{"params":{"arguments":null}}"#, "{}"),
            (r#"{"params":{"arguments":[1]}}"#, r#"{"params":{"arguments":[1]}}"#, "{}"),
            (r#"{"params":[{"arguments":{"b":1}}]}"#, r#"{"params":[{"arguments":{"b":1}}]}"#, "{}"),
            (r#"{"arguments":{"b":1}}"#, r#"{"arguments":{"b":1}}"#, "{}"),
            ("{}", "{}", "{}"),
        ] {
            assert_eq!(read(body).ok(), Some((envelope.to_owned(), arguments.to_owned())), "{body}");
        }
    }

    #[test]
    fn what_a_message_may_not_be_is_told() {
        let long = format!(r#"{{"x": "{}"}}"#, "x".repeat(LARGEST));
        let deep = format!(r#"{{"x": {}{}}}"#, "[".repeat(5_000), "]".repeat(5_000));
        for (body, expected) in [
            ("", "the message is not JSON"),
            ("{", "the message is not JSON"),
            (r#"[{"jsonrpc": "2.0"}]"#, "the message is not an object"),
            (r#"{"params": {}, "params": {}}"#, "duplicate field `params`"),
            (r#"{"params": {"arguments": {}, "arguments": {}}}"#, "duplicate field `arguments`"),
            (r#"{"x": {"a": 1, "a": 2}}"#, "duplicate key \"a\""),
            (r#"{"x": {"\u0024serde_json::private::RawValue": "1"}}"#, "the key \"$serde_json::private::RawValue\""),
            (r#"{"x": "\ud800"}"#, "lone surrogate"),
            (&long, "bytes long without the arguments of a call, expected at most 16384"),
            (&deep, "nested too deeply"),
        ] {
            let message = read(body).expect_err(body).to_string();
            assert!(message.contains(expected), "{body:.80}: {message}");
        }
        let large = format!(r#"{{"params":{{"arguments":{{"x": "{}"}}}}}}"#, "x".repeat(10 * LARGEST));
        assert_eq!(read(&large).map(|(envelope, _)| envelope).ok().as_deref(), Some(r#"{"params":{"arguments":{}}}"#));
    }
}
