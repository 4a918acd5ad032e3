//! The parts that an answer is made of, written a piece at a time.

use std::collections::VecDeque;
use std::io::{self, Write};

use cloister_protocol::event;
use hyper::body::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

/// How much is written at once, in bytes. Escaped, text may become six times as long.
pub const PIECE: usize = 64 * 1024;

/// How many bytes of JSON a byte of text becomes at most.
const MOST_ESCAPED: usize = 6;

/// The parts of an answer in JSON, in their order.
#[derive(Debug, Default)]
pub struct Parts {
    parts: VecDeque<Part>,
    /// Whether it is the data of an event, which is one line.
    is_event: bool,
}

#[derive(Debug)]
pub enum Part {
    /// JSON of ours, in one line.
    Json(Bytes),
    /// JSON of the job's.
    Result(Bytes),
    /// Text inside a string.
    Text(Bytes),
}

impl Parts {
    /// As the last event of a stream.
    #[must_use]
    pub fn into_event(mut self) -> Self {
        self.is_event = true;
        self.parts.push_front(Part::Json(Bytes::from_static(event::RESULT)));
        self.json(event::END);
        self
    }

    /// JSON of ours.
    pub fn json(&mut self, text: impl Into<Bytes>) {
        self.push(Part::Json(text.into()));
    }

    /// What is next.
    pub fn push(&mut self, part: Part) {
        self.parts.push_back(part);
    }

    /// How many bytes are left, unless so much of it is text that it would take long to know what that becomes.
    #[must_use]
    pub fn left(&self) -> Option<u64> {
        let texts =
            self.parts.iter().map(|part| if let Part::Text(text) = part { text.len() } else { 0 }).sum::<usize>();
        let length = |part: &Part| match part {
            Part::Json(json) | Part::Result(json) => json.len() as u64,
            Part::Text(text) => length_quoted(text) - 2,
        };
        (texts <= PIECE).then(|| self.parts.iter().map(length).sum())
    }

    /// What comes next, if anything does.
    pub fn next_piece(&mut self) -> Option<Bytes> {
        let mut piece = Vec::new();
        while piece.len() < PIECE {
            let Some(part) = self.parts.front_mut() else { break };
            let room = PIECE - piece.len();
            let (Part::Json(left) | Part::Result(left) | Part::Text(left)) = &*part;
            if left.is_empty() {
                self.parts.pop_front();
                continue;
            }
            match part {
                Part::Result(json) if self.is_event => {
                    let some = json.split_to(json.len().min(room));
                    piece.extend(some.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
                }
                Part::Json(json) | Part::Result(json) => {
                    let some = json.split_to(json.len().min(room));
                    if piece.is_empty() && some.len() == PIECE {
                        return Some(some);
                    }
                    piece.extend_from_slice(&some);
                }
                Part::Text(text) => {
                    let some = text.split_to(whole_characters(text, room.div_ceil(MOST_ESCAPED)));
                    let quoted = text_of(&as_text(&some));
                    piece.extend_from_slice(&quoted.as_bytes()[1..quoted.len() - 1]);
                }
            }
        }
        (!piece.is_empty()).then(|| piece.into())
    }
}

/// Text that is cut between characters only.
fn as_text(text: &[u8]) -> &str {
    std::str::from_utf8(text).expect("cut between characters")
}

/// How long text is as JSON, in its quotation marks.
fn length_quoted(text: &[u8]) -> u64 {
    let mut counted = Counted(0);
    serde_json::to_writer(&mut counted, as_text(text)).expect("text has a form in JSON");
    counted.0
}

/// Counts what is written to it.
struct Counted(u64);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A length of the text's beginning that ends between two characters, `about` this long.
fn whole_characters(text: &[u8], about: usize) -> usize {
    let mut end = text.len().min(about);
    while text.get(end).is_some_and(|byte| byte & 0xC0 == 0x80) {
        end += 1;
    }
    end
}

/// As JSON of ours.
pub fn text_of(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("strings and numbers")
}

/// As it is.
pub fn bytes_of(json: Box<RawValue>) -> Bytes {
    Box::<str>::from(json).into_boxed_bytes().into()
}
