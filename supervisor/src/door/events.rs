//! A streamed answer: what a job prints and calls while it runs, then what became of it.
//!
//! Text is taken from what the answer will hold anyway, when there is room for another event. So the
//! job neither waits for a slow reader nor needs memory for it, and what the reader gets late it gets in
//! larger pieces. A reader that leaves closes the stream, and with it goes all that was done for it.

use std::convert::Infallible;
use std::future::pending;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use cloister_protocol::{Answer, Stream, event};
use hyper::HeaderMap;
use hyper::body::{Body, Bytes, Frame};
use tokio::sync::mpsc;

use crate::door::answers::Parts;
use crate::job::output::{Kept, Printed};

/// How much text one event has at most, in bytes. In JSON it may be six times as long.
const PIECE: usize = 32 * 1024;

/// How long text is gathered before it is told: `print()` writes a line and its end by two calls, and a
/// script that writes byte by byte is not to have an event for each.
const GATHER: Duration = Duration::from_millis(10);

/// How often a reader is told that a silent job runs. Whatever is in between may take silence for death.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// The body of a streamed answer. Dropping it is leaving.
#[derive(Debug)]
pub struct Events {
    coming: mpsc::Receiver<Bytes>,
    beside: Beside,
}

/// The end that tells.
#[derive(Debug)]
pub struct Teller(mpsc::Sender<Bytes>, Beside);

/// What is told at the end beside the answer, once there is one. It takes no room from events: so the last of these and it go out
/// together, and the reader is woken once.
#[derive(Clone, Debug, Default)]
struct Beside(Arc<Mutex<Option<HeaderMap>>>);

impl Beside {
    fn lock(&self) -> MutexGuard<'_, Option<HeaderMap>> {
        // It is there or not, whatever happened to the last holder.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream, with room for one event that its reader has not taken.
#[must_use]
pub fn channel() -> (Teller, Events) {
    let ((sender, receiver), beside) = (mpsc::channel(1), Beside::default());
    (Teller(sender, beside.clone()), Events { coming: receiver, beside })
}

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.coming.poll_recv(cx) {
            Poll::Ready(Some(data)) => Poll::Ready(Some(Ok(Frame::data(data)))),
            // It was this task's turn for long enough: what is there is told later.
            Poll::Pending if !self.coming.is_empty() => Poll::Pending,
            none => match self.beside.lock().take() {
                Some(trailers) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
                None => none.map(|_| None),
            },
        }
    }
}

impl Teller {
    /// Completes when the reader has left.
    pub async fn left(&self) {
        self.0.closed().await;
    }

    /// Waits for a job, and tells what it prints and calls meanwhile.
    pub async fn follow<T>(&self, job: impl Future<Output = T>, reader: &mut Reader) -> T {
        let mut job = pin!(job);
        tokio::select! {
            biased;
            outcome = &mut job => outcome,
            () = self.tell_news(reader) => unreachable!("there may always be more"),
        }
    }

    /// Tells what was printed, or shown, and not told before the answer was made.
    pub async fn tell_rest(&self, mut reader: Reader, stdout: &str, stderr: &str) {
        if reader.whole {
            return;
        }
        // A call among it is nobody's to return to any more.
        while let Ok(event) = reader.news.try_recv() {
            if event::is_display(&event) {
                self.send(event).await;
            }
        }
        for (text, cursor) in [(stdout, reader.stdout), (stderr, reader.stderr)] {
            for piece in pieces(text.get(cursor.told..).unwrap_or_default()) {
                self.send(event::printed(cursor.stream, piece)).await;
            }
        }
    }

    /// Tells the last event, which is an answer, and what is told beside it.
    pub async fn finish(&self, mut answer: Parts, trailers: HeaderMap) {
        while let Some(piece) = answer.next_piece() {
            if self.0.send(piece).await.is_err() {
                return;
            }
        }
        self.end_with(trailers).await;
    }

    /// Tells the last event where there is no answer, after what was printed.
    pub async fn give_up(&self, mut reader: Reader, refusal: &Answer<'_>, trailers: HeaderMap) {
        self.tell_printed(&mut reader).await;
        self.send(event::last(refusal)).await;
        self.end_with(trailers).await;
    }

    /// Tells what is told beside the last event, and waits until that is taken.
    async fn end_with(&self, trailers: HeaderMap) {
        *self.1.lock() = Some(trailers);
        let _ = self.0.reserve().await;
    }

    async fn tell_news(&self, reader: &mut Reader) {
        loop {
            let called = {
                let Reader { stdout, stderr, news: told, whole } = &mut *reader;
                let gathered = async {
                    if *whole {
                        pending().await
                    }
                    news(stdout, stderr).await;
                    tokio::time::sleep(GATHER).await;
                };
                tokio::select! {
                    biased;
                    // Somebody waits for what comes of it, and it comes behind what was printed before.
                    Some(event) = told.recv() => Some(event),
                    () = gathered => None,
                    () = tokio::time::sleep(KEEP_ALIVE) => Some(event::COMMENT.to_vec()),
                }
            };
            self.tell_printed(reader).await;
            if let Some(event) = called {
                self.send(event).await;
            }
        }
    }

    /// Tells what is new, of a reader who hears of it.
    async fn tell_printed(&self, reader: &mut Reader) {
        while !reader.whole && self.tell(&mut reader.stdout).await | self.tell(&mut reader.stderr).await {}
    }

    /// Tells some of what is new, once there is room for it; `false` if nothing is. What was taken has
    /// been told, whenever this is given up.
    async fn tell(&self, cursor: &mut Cursor) -> bool {
        // Without a reader everything ends by itself: `left`.
        let Ok(room) = self.0.reserve().await else { return false };
        let text = cursor.take();
        if text.is_empty() {
            return false;
        }
        room.send(event::printed(cursor.stream, &text).into());
        true
    }

    /// Tells an event, once there is room for it.
    pub async fn send(&self, bytes: Vec<u8>) {
        let _ = self.0.send(bytes.into()).await;
    }
}

/// How far a reader is with what a job prints.
#[derive(Debug)]
pub struct Reader {
    stdout: Cursor,
    stderr: Cursor,
    /// What it calls and shows.
    news: mpsc::Receiver<Vec<u8>>,
    whole: bool,
}

impl Reader {
    /// Of nothing yet: of what is printed, unless the answer is to have it whole, and of what it calls and shows, each of which is an event.
    #[must_use]
    pub fn new(printed: &Printed, news: mpsc::Receiver<Vec<u8>>, whole: bool) -> Self {
        let of = |stream, kept: &Arc<Kept>| Cursor { stream, kept: Arc::clone(kept), taken: 0, told: 0 };
        let (stdout, stderr) = (of(Stream::Stdout, &printed.stdout), of(Stream::Stderr, &printed.stderr));
        Self { stdout, stderr, news, whole }
    }
}

/// Completes when there is more of either.
async fn news(stdout: &Cursor, stderr: &Cursor) {
    tokio::select! {
        () = stdout.kept.grown() => {}
        () = stderr.kept.grown() => {}
    }
}

/// How far a reader is with one stream: the bytes that were taken, and the bytes of text that they became.
#[derive(Debug)]
struct Cursor {
    stream: Stream,
    kept: Arc<Kept>,
    taken: usize,
    told: usize,
}

impl Cursor {
    fn take(&mut self) -> String {
        let (text, taken) = whole_characters(&self.kept.from(self.taken, PIECE));
        self.taken += taken;
        self.told += text.len();
        text
    }
}

/// The text of bytes after which more may come, and how many of them it took: the first bytes of a
/// character whose others have not come yet are left. In sum the text is that of `from_utf8_lossy`.
fn whole_characters(bytes: &[u8]) -> (String, usize) {
    let (mut text, mut taken) = (String::with_capacity(bytes.len()), 0);
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        taken += chunk.valid().len();
        let invalid = chunk.invalid();
        let may_go_on = std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
        if invalid.is_empty() || may_go_on && taken + invalid.len() == bytes.len() {
            break;
        }
        text.push(char::REPLACEMENT_CHARACTER);
        taken += invalid.len();
    }
    (text, taken)
}

fn pieces(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let mut end = text.len().min(PIECE);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let (piece, rest) = text.split_at(end);
        text = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests;
