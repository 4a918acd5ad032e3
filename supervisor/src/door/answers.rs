//! An answer on its way: kept as the parts that it is made of, and written a piece at a time as its reader takes it.
//!
//! So an answer takes the memory of its parts and no more, whatever becomes of it in JSON, and no step on the event
//! loop is larger than a piece. What it holds is [`Unread`] until the last piece has left.

mod cell;
mod parts;

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use cloister_protocol::{JobId, OutputFile};
use hyper::body::{Body, Bytes, Frame, SizeHint};

pub use crate::door::answers::parts::Parts;
use crate::door::answers::parts::{Part, bytes_of, text_of};
use crate::door::places::Unread;
use crate::job::bounds::Bounds;
use crate::job::calls::MOST_UNREAD;
use crate::job::outcome::Outcome;
use crate::job::output_files::Left;

/// So many files have more to write than is done on the event loop: their names are long, if the job likes.
const MANY_FILES: usize = 16;

/// What an answer holds beside results, output and the content of files: a failure, and the names of files.
const BESIDE: u64 = 1024 * 1024;

/// The most that an answer under these bounds holds, in bytes.
#[must_use]
pub fn largest(bounds: &Bounds) -> u64 {
    // A byte that is not UTF-8 becomes a replacement character, of three.
    let text = bounds.stdout_bytes.saturating_add(bounds.stderr_bytes).saturating_mul(3);
    let files = (bounds.files_out_bytes / 3).saturating_add(bounds.files_out).saturating_mul(4);
    // A cell has its result as text, too, and what it shows.
    let results = bounds.result_bytes.saturating_mul(if bounds.sessions.most > 0 { 4 } else { 1 });
    results.saturating_add(text).saturating_add(files).saturating_add(BESIDE)
}

/// The most that is held for a job under these bounds while it runs and its answer is made: what has come of a result
/// beside the result, of files beside their content in base64, and of calls.
#[must_use]
pub fn largest_while_made(bounds: &Bounds) -> u64 {
    // A call as it is read, and as it is told, twice; and what its calls came to.
    let call = bounds.tools.bytes.0.saturating_mul(4 + MOST_UNREAD + 1);
    let beside = bounds.result_bytes.saturating_mul(2).saturating_add(bounds.files_out_bytes).saturating_add(call);
    largest(bounds).saturating_add(beside)
}

/// What the answer to this holds, in bytes.
#[must_use]
pub fn held(outcome: &Outcome) -> u64 {
    let Outcome { verdict, stdout, stderr, left, of_cell, .. } = outcome;
    let shown = of_cell.as_ref().map_or(0, cell::held);
    let result = verdict.as_ref().map_or(0, |result| result.get().len());
    let content = |file: &OutputFile| {
        2 * file.name.len() + file.content_base64.as_ref().map_or(0, |content| content.json().len())
    };
    (result + shown + stdout.len() + stderr.len() + left.files.iter().map(content).sum::<usize>()) as u64
}

impl Parts {
    /// The answer of a job. Beside the event loop, if there may be much to write: what is handed over as it is weighs
    /// nothing, but a failure may have a long traceback, and there may be many names of files.
    pub async fn of(outcome: Outcome, id: JobId) -> Self {
        let Left { files, missing, unasked, .. } = &outcome.left;
        let names = files.len() + missing.len() + unasked.len();
        if outcome.verdict.is_ok() && names < MANY_FILES {
            return Self::take(outcome, id);
        }
        tokio::task::spawn_blocking(move || Self::take(outcome, id)).await.expect("taking it apart does not panic")
    }

    fn take(outcome: Outcome, id: JobId) -> Self {
        let Outcome { verdict, stdout, stderr, truncated, left, beside, usage, of_cell, .. } = outcome;
        let Left { files, missing, unasked, unasked_more, .. } = left;
        let mut parts = Self::default();
        match verdict {
            Ok(result) => {
                parts.json(format!("{{\"id\":\"{id}\""));
                if !of_cell.as_ref().is_some_and(|cell| cell.no_form) {
                    parts.json(",\"result\":");
                    parts.push(Part::Result(bytes_of(result)));
                }
                if let Some(code) = beside.exit_code {
                    parts.json(format!(",\"exit_code\":{code}"));
                }
            }
            Err(error) => parts.json(format!("{{\"id\":\"{id}\",\"error\":{}", text_of(&error))),
        }
        for (name, text) in [("stdout", stdout), ("stderr", stderr)] {
            parts.json(format!(",\"{name}\":\""));
            parts.push(Part::Text(text.into()));
            parts.json("\"");
        }
        parts.json(format!(",\"truncated\":{}", text_of(&truncated)));
        let (count, mut before) = (files.len(), ",\"files\":[");
        for file in files {
            parts.json(before);
            parts.file(file);
            before = ",";
        }
        if count > 0 {
            parts.json("]");
        }
        if !missing.is_empty() {
            parts.json(format!(",\"files_missing\":{}", text_of(&missing)));
        }
        if !unasked.is_empty() {
            parts.json(format!(",\"files_left\":{}", text_of(&unasked)));
        }
        if unasked_more > 0 {
            parts.json(format!(",\"files_left_more\":{unasked_more}"));
        }
        if let Some(unfinished) = &beside.unfinished {
            parts.json(format!(",\"unfinished\":{}", text_of(unfinished)));
        }
        if !beside.notes.is_empty() {
            parts.json(format!(",\"notes\":{}", text_of(&beside.notes)));
        }
        parts.json(format!(",\"usage\":{}", text_of(&usage)));
        if let Some(cell) = of_cell {
            parts.cell(cell);
        }
        parts.json("}");
        parts
    }

    fn file(&mut self, mut file: OutputFile) {
        let content = file.content_base64.take();
        let mut fields = text_of(&file);
        if let Some(content) = content {
            fields.pop();
            self.json(fields + ",\"content_base64\":");
            self.push(Part::Json(bytes_of(content.into_json())));
            fields = "}".to_owned();
        }
        self.json(fields);
    }
}

/// The body of an answer, which is unread until it is dropped or has left.
#[derive(Debug)]
pub struct AnswerBody {
    next: Option<Bytes>,
    parts: Parts,
    /// How long it is as a whole, where that is known beforehand.
    exact: Option<u64>,
    unread: Option<Unread>,
}

impl AnswerBody {
    /// Bytes as they are.
    #[must_use]
    pub fn of(bytes: Vec<u8>, unread: Unread) -> Self {
        let mut parts = Parts::default();
        parts.push(Part::Json(bytes.into()));
        Self::new(parts, unread)
    }

    /// All of these parts.
    #[must_use]
    pub fn new(mut parts: Parts, unread: Unread) -> Self {
        let next = parts.next_piece();
        let exact = parts.left().map(|left| left + next.as_ref().map_or(0, |piece| piece.len() as u64));
        Self { next, parts, exact, unread: Some(unread) }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(piece) = self.next.take() else {
            self.unread = None;
            return Poll::Ready(None);
        };
        self.next = self.parts.next_piece();
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.next.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.exact.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

#[cfg(test)]
mod tests;
