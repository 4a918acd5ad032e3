//! What a job is written through the descriptor of what its calls return: frames, each whole or begun and gone on with.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde::Serialize;
use tokio::io::unix::AsyncFd;

use crate::link::event_loop::watch_to_write;

/// Writes frames. One whose writing is given up midway is gone on with in front of the next.
#[derive(Debug)]
pub struct FrameWriter {
    to: AsyncFd<OwnedFd>,
    frame: Vec<u8>,
    written: usize,
}

impl FrameWriter {
    /// Into this pipe, or socket, which does not block.
    ///
    /// # Errors
    /// The event loop's refusal.
    pub fn new(to: OwnedFd) -> io::Result<Self> {
        Ok(Self { to: watch_to_write(to, false)?, frame: Vec::new(), written: 0 })
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
            let rest = &self.frame[self.written..];
            let mut ready = self.to.writable().await?;
            if let Ok(written) = ready.try_io(|to| Ok(rustix::io::write(to, rest)?)) {
                self.written += written?;
            }
        }
        Ok(())
    }

    /// Hands over descriptors, behind the frames so far, with a byte of no meaning: `SCM_RIGHTS` in `unix(7)`. Into a socket.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub async fn hand_over(&mut self, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.finish().await?;
        loop {
            let mut ready = self.to.writable().await?;
            let sent = ready.try_io(|to| {
                let mut space = vec![MaybeUninit::uninit(); SendAncillaryMessage::ScmRights(descriptors).size()];
                let mut control = SendAncillaryBuffer::new(&mut space);
                control.push(SendAncillaryMessage::ScmRights(descriptors));
                let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
                Ok(sendmsg(to, &[IoSlice::new(&[0])], &mut control, flags)?)
            });
            if let Ok(sent) = sent {
                return sent.map(drop);
            }
        }
    }

    /// Forgets what is left of a frame: who read the beginning is dead.
    pub fn forget(&mut self) {
        (self.frame, self.written) = (Vec::new(), 0);
    }
}

/// JSON with its length in front.
#[must_use]
pub fn framed(what: &impl Serialize) -> Vec<u8> {
    const LENGTH: usize = 8;
    let mut frame = vec![0; LENGTH];
    serde_json::to_writer(&mut frame, what).expect("strings, numbers and JSON that was parsed");
    let length = (frame.len() - LENGTH) as u64;
    frame[..LENGTH].copy_from_slice(&length.to_be_bytes());
    frame
}
