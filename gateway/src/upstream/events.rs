//! The supervisor's stream of a job, read event by event: its own events, in the one form that it writes them.

use axum::body::Body;
use bytes::{Buf, BytesMut};
use cloister_protocol::event::{END, RESULT};
use http_body_util::BodyExt;
use hyper::body::Bytes;

/// Where the data of an event begins that is a refusal.
const ERROR: &[u8] = b"event: error\ndata: ";

/// Where an answer's second field begins, which says whether the script failed: behind `{"id":"…",`.
const SECOND_FIELD: usize = 41;

/// As much of an answer has come when its second field can be told.
const BEGINNING: usize = SECOND_FIELD + 8;

/// An event of a job.
#[derive(Debug)]
pub enum Event {
    /// What it printed or shows: the kind, and `{"text": …}` or `{"data": …}`.
    Told(&'static str, Bytes),
    /// A call of a tool.
    Call(Bytes),
    /// Its answer begins, whose pieces come after this.
    Answer {
        /// Whether the script failed.
        failed: bool,
    },
    /// There is no answer, and this is why: the pieces come after this.
    Refusal,
}

/// A piece of the last event, or that there is no more of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// Some of its JSON, without a line end.
    Some(Bytes),
    /// That was all.
    End,
    /// It broke off.
    Cut,
}

/// What reads it.
#[derive(Debug)]
pub struct EventReader {
    body: Body,
    read: BytesMut,
    over: bool,
}

impl EventReader {
    /// Of a stream that has just begun.
    pub fn new(body: Body) -> Self {
        Self { body, read: BytesMut::new(), over: false }
    }

    /// The next event; `None` when the stream has ended, which it does behind a last one. Can be dropped and called again
    /// without loss.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.take() {
                return Some(event);
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// The event that has come whole, if one has.
    pub fn take(&mut self) -> Option<Event> {
        loop {
            if self.read.starts_with(RESULT) && self.read.len() >= RESULT.len() + BEGINNING {
                self.read.advance(RESULT.len());
                let failed = self.read[SECOND_FIELD..].starts_with(b"\"error\":");
                return Some(Event::Answer { failed });
            }
            if self.read.starts_with(ERROR) {
                self.read.advance(ERROR.len());
                return Some(Event::Refusal);
            }
            let end = self.read.windows(END.len()).position(|part| part == END)?;
            let event = self.read.split_to(end).freeze();
            self.read.advance(END.len());
            for (name, begins) in [
                ("stdout", &b"event: stdout\ndata: "[..]),
                ("stderr", b"event: stderr\ndata: "),
                ("display", b"event: display\ndata: "),
                ("", b"event: call\ndata: "),
            ] {
                if event.starts_with(begins) {
                    let data = event.slice(begins.len()..);
                    return Some(if name.is_empty() { Event::Call(data) } else { Event::Told(name, data) });
                }
            }
            // A comment, by which it is known that the supervisor is there.
        }
    }

    /// The next piece of the last event.
    pub async fn piece(&mut self) -> Piece {
        loop {
            if let Some(line) = self.read.iter().position(|byte| *byte == b'\n') {
                if line > 0 {
                    return Piece::Some(self.read.split_to(line).freeze());
                }
                if self.read.len() >= END.len() {
                    return if self.read.starts_with(END) { self.end().await } else { Piece::Cut };
                }
            } else if !self.read.is_empty() {
                return Piece::Some(self.read.split().freeze());
            }
            if !self.more().await {
                return Piece::Cut;
            }
        }
    }

    /// Reads what is behind the last event, where it is told what became of the job.
    async fn end(&mut self) -> Piece {
        while self.more().await {}
        Piece::End
    }

    async fn more(&mut self) -> bool {
        if self.over {
            return false;
        }
        match self.body.frame().await {
            Some(Ok(frame)) => self.read.extend_from_slice(frame.data_ref().map_or(&[], |data| data)),
            _ => self.over = true,
        }
        !self.over
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use futures_util::stream;

    use super::{Event, EventReader, Piece};

    /// A reader of a stream that comes in pieces of this size.
    fn reader(text: &str, size: usize) -> EventReader {
        let pieces: Vec<_> =
            text.as_bytes().chunks(size).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
        EventReader::new(Body::from_stream(stream::iter(pieces)))
    }

    /// All of a stream, in a line a piece of news.
    async fn told(text: &str, size: usize) -> Vec<String> {
        let (mut reader, mut told) = (reader(text, size), Vec::new());
        while let Some(event) = reader.next().await {
            let text = |data: &[u8]| String::from_utf8_lossy(data).into_owned();
            match event {
                Event::Told(kind, data) => told.push(format!("{kind} {}", text(&data))),
                Event::Call(data) => told.push(format!("call {}", text(&data))),
                Event::Answer { .. } | Event::Refusal => {
                    let mut all = format!("{event:?} ");
                    loop {
                        match reader.piece().await {
                            Piece::Some(piece) => all.push_str(&text(&piece)),
                            end => break told.push(format!("{all} {end:?}")),
                        }
                    }
                }
            }
        }
        told
    }

    #[tokio::test]
    async fn a_stream_is_read_whatever_pieces_it_comes_in() {
        let id = "0".repeat(32);
        let answer = format!("{{\"id\":\"{id}\",\"result\":{{\"error\":1}},\"stdout\":\"\"}}");
        let failed = format!("{{\"id\":\"{id}\",\"error\":{{\"code\":\"exit\"}}}}");
        let begin = "event: stdout\ndata: {\"text\":\"a\"}\n\n:\n\nevent: call\ndata: {\"call\":1}\n\nevent: display\ndata: {\"data\":{}}\n\nevent: stderr\ndata: {}\n\n";
        let said = ["stdout {\"text\":\"a\"}", "call {\"call\":1}", "display {\"data\":{}}", "stderr {}"]
            .map(str::to_owned)
            .to_vec();
        for (end, expected) in [
            (format!("event: result\ndata: {answer}\n\n"), format!("Answer {{ failed: false }} {answer} End")),
            (format!("event: result\ndata: {failed}\n\n"), format!("Answer {{ failed: true }} {failed} End")),
            ("event: error\ndata: {}\n\n".to_owned(), "Refusal {} End".to_owned()),
            (format!("event: result\ndata: {failed}"), format!("Answer {{ failed: true }} {failed} Cut")),
            (
                format!("event: result\ndata: {failed}\nevent: cut\n\nevent: error\ndata: {{}}\n\n"),
                format!("Answer {{ failed: true }} {failed} Cut"),
            ),
        ] {
            for size in [1, 2, 3, 7, 64, 1000] {
                let told = told(&format!("{begin}{end}"), size).await;
                assert_eq!(told[..4], said, "{end} by {size}");
                assert_eq!(told[4], expected, "by {size}");
            }
        }
        assert_eq!(told(begin, 5).await, said);
        assert!(told("event: res", 2).await.is_empty());
    }
}
