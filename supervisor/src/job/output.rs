//! A job's output: read to the end, kept to a limit, never trusted to be text.
//!
//! A job that prints without end is to wait for us, and not to keep us at work: what is dropped anyway is read slowly,
//! and so is what comes in crumbs. Neither delays the end of a job, for what is in a pipe then is taken at once.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::Notify;

use crate::link::event_loop::LARGE;

/// How much is read at once; a pipe holds as much by default.
const CHUNK: usize = 64 * 1024;

/// Less than this at once are crumbs.
const CRUMBS: usize = 4 * 1024;

/// How long more is waited for after crumbs, and after what was dropped.
const PAUSE: Duration = Duration::from_millis(2);

/// What both of a job's output streams have brought so far.
#[derive(Clone, Debug, Default)]
pub struct Printed {
    /// On standard output.
    pub stdout: Arc<Kept>,
    /// On standard error.
    pub stderr: Arc<Kept>,
}

/// What is kept of one output stream: filled while the job runs, and looked at meanwhile by whoever follows it.
#[derive(Debug, Default)]
pub struct Kept {
    bytes: Mutex<Vec<u8>>,
    grown: Notify,
}

impl Kept {
    /// Completes when there is more than there was, even if that was before the call.
    pub async fn grown(&self) {
        self.grown.notified().await;
    }

    /// The bytes from one on, `most` of them at most.
    #[must_use]
    pub fn from(&self, first: usize, most: usize) -> Vec<u8> {
        let bytes = self.lock();
        let rest = bytes.get(first..).unwrap_or_default();
        rest[..rest.len().min(most)].to_vec()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.bytes.lock().expect("nothing panics while it holds this lock")
    }
}

/// One output stream of a job.
#[derive(Debug)]
pub struct Output {
    pipe: Arc<Receiver>,
    kept: Arc<Kept>,
    limit: usize,
    truncated: AtomicBool,
}

impl Output {
    /// Keeps at most `limit` bytes of what comes through the pipe.
    #[must_use]
    pub fn new(pipe: Arc<Receiver>, limit: u64, kept: Arc<Kept>) -> Self {
        Self { pipe, kept, limit: usize::try_from(limit).unwrap_or(usize::MAX), truncated: AtomicBool::new(false) }
    }

    /// Reads until every writer is gone. Can be dropped and called again without loss.
    pub async fn read_to_end(&self) {
        let mut chunk = Vec::with_capacity(CHUNK);
        // A pipe fails to be read only if this process is at fault; the job keeps what it has.
        while self.pipe.readable().await.is_ok() {
            let read = match self.pipe.try_read_buf(&mut chunk) {
                Ok(read @ 1..) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                _ => return,
            };
            self.keep(&chunk);
            chunk.clear();
            if self.truncated.load(Ordering::Relaxed) || read < CRUMBS {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Takes what has been written by now, without waiting, and no more of a job that goes on writing. The pipe itself is asked: what
    /// the event loop knows of it is from when it looked last, and it may have had no reason to since.
    pub fn read_available(&self) {
        let mut left = rustix::io::ioctl_fionread(&*self.pipe).unwrap_or(0);
        let mut chunk = Vec::with_capacity(CHUNK);
        while left > 0 {
            match rustix::io::read(&*self.pipe, spare_capacity(&mut chunk)) {
                Ok(read @ 1..) => {
                    self.keep(&chunk);
                    chunk.clear();
                    left = left.saturating_sub(read as u64);
                }
                Err(Errno::INTR) => {}
                _ => return,
            }
        }
    }

    /// The text, with replacement characters for what is not UTF-8, and whether a tail was dropped.
    pub async fn into_text(self) -> (String, bool) {
        let bytes = std::mem::take(&mut *self.kept.lock());
        let text = if bytes.len() < LARGE {
            text(bytes)
        } else {
            tokio::task::spawn_blocking(|| text(bytes)).await.expect("any bytes have a text")
        };
        (text, self.truncated.into_inner())
    }

    fn keep(&self, bytes: &[u8]) {
        let mut kept = self.kept.lock();
        let room = self.limit - kept.len();
        kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        drop(kept);
        self.truncated.fetch_or(bytes.len() > room, Ordering::Relaxed);
        if room > 0 {
            self.kept.grown.notify_one();
        }
    }
}

fn text(bytes: Vec<u8>) -> String {
    let mut text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    };
    text.shrink_to_fit();
    text
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::{Duration, Instant};

    use tokio::net::unix::pipe;

    use super::{CHUNK, Kept, Output, PAUSE};

    /// A pipe into which somebody writes pieces of this size without end, and how much has been written.
    fn flooded(piece: usize) -> (pipe::Receiver, Arc<AtomicUsize>) {
        let (ours, theirs) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).expect("a pipe");
        let written = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&written);
        std::thread::spawn(move || {
            let mut pipe = std::fs::File::from(theirs);
            while let Ok(more) = pipe.write(&vec![b'x'; piece]) {
                count.fetch_add(more, Ordering::Relaxed);
            }
        });
        (pipe::Receiver::from_owned_fd(ours).expect("a pipe's end"), written)
    }

    #[tokio::test]
    async fn what_came_since_the_event_loop_looked_is_taken() {
        let (ours, theirs) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).expect("a pipe");
        let pipe = pipe::Receiver::from_owned_fd(ours).expect("a pipe's end");
        let output = Output::new(Arc::new(pipe), 100, Arc::<Kept>::default());
        // It has looked, and there was nothing.
        let _ = tokio::time::timeout(Duration::from_millis(1), output.read_to_end()).await;
        std::fs::File::from(theirs).write_all(b"last words").expect("there is room");
        output.read_available();
        assert_eq!(output.into_text().await, ("last words".to_owned(), false));
    }

    #[tokio::test]
    async fn who_floods_is_not_read_without_end() {
        let (pipe, written) = flooded(CHUNK);
        let output = Output::new(Arc::new(pipe), 0, Arc::<Kept>::default());
        let before = written.load(Ordering::Relaxed);
        output.read_available();
        // What was in the pipe, what the writer has written since, and what it is about to.
        assert!(written.load(Ordering::Relaxed) <= before + 4 * CHUNK);
    }

    #[tokio::test]
    async fn who_floods_waits_for_us_and_what_is_kept_is_the_beginning() {
        for (piece, limit) in [(CHUNK, 3 * CHUNK), (1, 0), (CHUNK, 0)] {
            let (pipe, written) = flooded(piece);
            let output = Output::new(Arc::new(pipe), limit as u64, Arc::<Kept>::default());
            let began = Instant::now();
            let _ = tokio::time::timeout(Duration::from_millis(100), output.read_to_end()).await;
            let reads = usize::try_from(began.elapsed().as_micros() / PAUSE.as_micros()).expect("not for ever") + 2;
            // One more chunk fits into the pipe.
            assert!(written.load(Ordering::Relaxed) <= limit + CHUNK * (reads + 1), "{piece} {limit}");
            let (text, truncated) = output.into_text().await;
            assert_eq!((text, truncated), ("x".repeat(limit), true));
        }
    }
}
