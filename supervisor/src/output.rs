//! A job's output: read to the end, kept to a limit, never trusted to be text.

use std::io;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

/// How much is read at once; a pipe holds as much by default.
const CHUNK: usize = 64 * 1024;

/// One output stream of a job.
#[derive(Debug)]
pub struct Output {
    pipe: Receiver,
    kept: Vec<u8>,
    limit: usize,
    truncated: bool,
}

impl Output {
    /// Keeps at most `limit` bytes of what comes through the pipe.
    #[must_use]
    pub fn new(pipe: Receiver, limit: u64) -> Self {
        Self { pipe, kept: Vec::new(), limit: usize::try_from(limit).unwrap_or(usize::MAX), truncated: false }
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
        let text = match String::from_utf8(self.kept) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        };
        (text, self.truncated)
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = self.limit - self.kept.len();
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.truncated |= bytes.len() > room;
    }
}
