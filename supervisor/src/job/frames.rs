//! What a job is written through the pipe of what its calls return: frames, each whole or begun and gone on with.

use std::io;

use serde::Serialize;
use tokio::net::unix::pipe;

/// Writes frames. One whose writing is given up midway is gone on with in front of the next.
#[derive(Debug)]
pub struct FrameWriter {
    pipe: pipe::Sender,
    frame: Vec<u8>,
    written: usize,
}

impl FrameWriter {
    /// Into this pipe.
    #[must_use]
    pub fn new(pipe: pipe::Sender) -> Self {
        Self { pipe, frame: Vec::new(), written: 0 }
    }

    /// Writes what is left of the last frame, and all of this one. May be dropped at any time.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub async fn write(&mut self, frame: Vec<u8>) -> io::Result<()> {
        self.finish().await?;
        (self.frame, self.written) = (frame, 0);
        self.finish().await
    }

    async fn finish(&mut self) -> io::Result<()> {
        while self.written < self.frame.len() {
            self.pipe.writable().await?;
            match self.pipe.try_write(&self.frame[self.written..]) {
                Ok(written) => self.written += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Forgets what is left of a frame: who read the beginning is dead.
    pub fn forget(&mut self) {
        (self.frame, self.written) = (Vec::new(), 0);
    }
}

/// JSON with its length in front.
#[must_use]
pub fn framed(what: &impl Serialize) -> Vec<u8> {
    let json = serde_json::to_vec(what).expect("strings, numbers and JSON that was parsed");
    [&(json.len() as u64).to_be_bytes()[..], &json].concat()
}
