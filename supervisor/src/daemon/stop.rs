//! The signals that ask for an end.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM and SIGINT.
#[derive(Debug)]
pub struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    /// From now on neither ends the process by itself.
    ///
    /// # Errors
    /// They cannot be listened for.
    pub fn new() -> io::Result<Self> {
        let (terminate, interrupt) = (listen_for(SignalKind::terminate())?, listen_for(SignalKind::interrupt())?);
        Ok(Self { terminate, interrupt })
    }

    /// Completes when one came.
    pub async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// From now on this signal does not do to the process what it does by itself.
///
/// # Errors
/// It cannot be listened for.
pub fn listen_for(kind: SignalKind) -> io::Result<Signal> {
    signal(kind)
}
