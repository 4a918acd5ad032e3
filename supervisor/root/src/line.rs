//! A connection to the monitor, at the end of who asks: nobody else has it.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Mutex;

use cloister_sandbox::wire::Wire;
use cloister_sandbox::{Context, Error, Result};

use crate::asked::{Asked, Told};

/// The engine's end of a connection to the monitor: one thing is asked at a time, and waited for.
#[derive(Debug)]
pub(crate) struct Line(Mutex<Wire>);

impl Line {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self(Mutex::new(Wire::from_fd(fd)))
    }

    /// Asks for something, with what is carried.
    ///
    /// # Errors
    /// When the monitor is gone.
    pub(crate) fn ask(&self, asked: &Asked, carried: Option<BorrowedFd<'_>>) -> Result<(Told, Vec<OwnedFd>)> {
        let wire = self.0.lock().expect("nothing panics while it holds this lock");
        let carried: Vec<_> = carried.iter().map(AsRawFd::as_raw_fd).collect();
        wire.send(asked, &carried).doing(|| "ask the monitor")?;
        let told = wire.receive().doing(|| "hear the monitor")?;
        told.ok_or_else(|| Error::Peer("the monitor, which does what takes root, has ended".to_owned()))
    }
}
