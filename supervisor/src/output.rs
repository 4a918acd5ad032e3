//! A job's output: read to the end, kept to a limit, never trusted to be text.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::Notify;

/// How much is read at once; a pipe holds as much by default.
const CHUNK: usize = 64 * 1024;

/// What both of a job's output streams have brought so far.
#[derive(Debug, Default)]
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
    pipe: Receiver,
    kept: Arc<Kept>,
    limit: usize,
    truncated: bool,
}

impl Output {
    /// Keeps at most `limit` bytes of what comes through the pipe.
    #[must_use]
    pub fn new(pipe: Receiver, limit: u64, kept: Arc<Kept>) -> Self {
        Self { pipe, kept, limit: usize::try_from(limit).unwrap_or(usize::MAX), truncated: false }
    }

    /// Reads until every writer is gone. Can be dropped and called again without loss.
    pub async fn read_to_end(&mut self) {
        let mut chunk = Vec::with_capacity(CHUNK);
        // A pipe fails to be read only if this process is at fault; the job keeps what it has.
        while let Ok(1..) = self.pipe.read_buf(&mut chunk).await {
            self.keep(&chunk);
            chunk.clear();
        }
    }

    /// Takes what has been written so far, without waiting.
    pub fn read_available(&mut self) {
        let mut chunk = Vec::with_capacity(CHUNK);
        loop {
            match self.pipe.try_read_buf(&mut chunk) {
                Ok(1..) => {
                    self.keep(&chunk);
                    chunk.clear();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => return,
            }
        }
    }

    /// The text, with replacement characters for what is not UTF-8, and whether a tail was dropped.
    #[must_use]
    pub fn into_text(self) -> (String, bool) {
        let text = match String::from_utf8(std::mem::take(&mut *self.kept.lock())) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        };
        (text, self.truncated)
    }

    fn keep(&mut self, bytes: &[u8]) {
        let mut kept = self.kept.lock();
        let room = self.limit - kept.len();
        kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        drop(kept);
        self.truncated |= bytes.len() > room;
        if room > 0 {
            self.kept.grown.notify_one();
        }
    }
}
