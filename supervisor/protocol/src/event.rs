//! A streamed answer: Server-Sent Events, as the WHATWG's HTML standard has them (9.2).
//!
//! The data of each event is JSON in one line, so no text can be taken for the end of its event.

use serde::Serialize;

use crate::answer::{Answer, Stream};
use crate::bundle::MimeBundle;
use crate::call::Call;

/// The media type of a streamed answer, by which a client asks for it.
pub const EVENT_STREAM: &str = "text/event-stream";

/// A comment, which readers skip.
pub const COMMENT: &[u8] = b":\n\n";

/// What stands before an answer that is the last event, and [`END`] after it.
pub const RESULT: &[u8] = b"event: result\ndata: ";

/// What ends an event.
pub const END: &[u8] = b"\n\n";

/// The data of an event of a job's output, which is named after its stream.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Printed<'a> {
    /// What was printed since the last event of this stream.
    pub text: &'a str,
}

/// What a job has printed, as an event.
#[must_use]
pub fn printed(stream: Stream, text: &str) -> Vec<u8> {
    let data = serde_json::to_vec(&Printed { text }).expect("text has a form in JSON");
    event(stream.name(), &data)
}

/// A call of a tool, as an event.
#[must_use]
pub fn call(call: &Call) -> Vec<u8> {
    event("call", &serde_json::to_vec(call).expect("names, a number and JSON that was parsed"))
}

/// The data of the event `display`, of a cell that shows something.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Displayed<'a> {
    /// What it shows, by media type: text as it is, all else in base64.
    #[cfg_attr(feature = "openapi", schema(value_type = std::collections::HashMap<String, String>))]
    pub data: &'a MimeBundle,
}

/// Whether an event of ours is one of what a cell shows.
#[must_use]
pub fn is_display(event: &[u8]) -> bool {
    event.starts_with(b"event: display\n")
}

/// What a cell shows, as an event.
#[must_use]
pub fn display(data: &MimeBundle) -> Vec<u8> {
    event("display", &serde_json::to_vec(&Displayed { data }).expect("JSON that was parsed"))
}

/// The last event: `result` with an answer's whole body, or `error` when there is none.
#[must_use]
pub fn last(answer: &Answer<'_>) -> Vec<u8> {
    let name = match answer {
        Answer::Returned { .. } | Answer::Failed { .. } => "result",
        Answer::Refused { .. } => "error",
    };
    event(name, &answer.to_json())
}

/// A line may end between two tokens of a result, as the job has written it, and nowhere else in JSON; a space says the same.
fn event(name: &str, data: &[u8]) -> Vec<u8> {
    let data: Vec<_> = data.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect();
    [b"event: ", name.as_bytes(), b"\ndata: ", &data, b"\n\n"].concat()
}

#[cfg(test)]
mod tests {
    use super::printed;
    use crate::answer::Stream;

    #[test]
    fn an_event_has_two_lines_whatever_is_in_it() {
        let event = printed(Stream::Stderr, "a\r\n\nb\rdata: \u{2028}\0\"");
        let text = String::from_utf8(event).expect("UTF-8");
        assert_eq!(text, "event: stderr\ndata: {\"text\":\"a\\r\\n\\nb\\rdata: \u{2028}\\u0000\\\"\"}\n\n");
    }
}
