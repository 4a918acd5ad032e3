//! The thread that keeps what keys have used: every second, if anything has changed, and at the end.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::usage::ledger::Ledger;
use crate::usage::state::StateDirectory;

/// How often it is kept: what is used within this time may be forgotten when the gateway dies.
const EVERY: Duration = Duration::from_secs(1);

/// How often it is told that it cannot be.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

/// The thread.
#[derive(Debug)]
pub struct Keeper {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<bool>,
}

impl Keeper {
    /// Starts it. What there is was kept once already, so that it is known to be possible.
    ///
    /// # Errors
    /// It is not, or there is no thread.
    pub fn start(ledger: Arc<Ledger>, state: Arc<StateDirectory>) -> std::io::Result<Self> {
        if let Some(used) = ledger.changed() {
            state.keep(&used)?;
            ledger.kept(true);
        }
        let (stop, stopped) = mpsc::channel();
        let thread = thread::Builder::new().name("keeper".to_owned()).spawn(move || {
            let mut complained = None;
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                keep(&ledger, &state, &mut complained);
            }
            keep(&ledger, &state, &mut None)
        })?;
        Ok(Self { stop, thread })
    }

    /// Keeps all for the last time; `false` if that failed.
    pub fn finish(self) -> bool {
        drop(self.stop);
        self.thread.join().unwrap_or(false)
    }
}

fn keep(ledger: &Ledger, state: &StateDirectory, complained: &mut Option<Instant>) -> bool {
    let done = ledger.changed().map_or(Ok(()), |used| state.keep(&used));
    ledger.kept(done.is_ok());
    match done {
        Ok(()) => {
            if complained.take().is_some() {
                tracing::info!("what keys use is kept again");
            }
            true
        }
        Err(error) => {
            if complained.is_none_or(|last| last.elapsed() > COMPLAIN_EVERY) {
                *complained = Some(Instant::now());
                let directory = state.path().display();
                tracing::error!(
                    %directory, %error,
                    "what keys have used cannot be kept: after half a minute keys with a quota are let in no more"
                );
            }
            false
        }
    }
}
