//! The signals that ask for an end.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::Error;

/// SIGTERM and SIGINT.
pub struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    /// From now on neither ends the process by itself.
    ///
    /// # Errors
    /// They cannot be listened for.
    pub fn new() -> Result<Self, Error> {
        let of = |kind| signal(kind).map_err(Error::Signals);
        Ok(Self { terminate: of(SignalKind::terminate())?, interrupt: of(SignalKind::interrupt())? })
    }

    /// Completes when one came.
    pub async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
