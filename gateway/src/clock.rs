//! What one connection is doing and since when, so that its patience can be measured.
//!
//! The connection's socket and its requests share it: the socket sees bytes arrive, the requests
//! know when they begin and when the last byte of their answer has been handed over.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use tokio::time::Instant;

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing: the next request has not begun to arrive.
    Idle,
    /// A request's header is arriving.
    Header,
    /// A request is being read, run or answered.
    Busy,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    since: Instant,
    unread: bool,
    waiting: Option<Waker>,
}

/// One connection's clock; clones are the same clock.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Mutex<State>>);

impl Clock {
    /// The clock of a connection that was just accepted. Its first header is due at once: one who
    /// connects to say nothing is not given the patience of one who was served.
    pub fn start() -> Self {
        Self(Arc::new(Mutex::new(State { phase: Phase::Header, since: Instant::now(), unread: false, waiting: None })))
    }

    /// Begins a phase, and tells whoever waits for that.
    pub fn begin(&self, phase: Phase) {
        let mut state = self.lock();
        state.phase = phase;
        state.since = Instant::now();
        let waiting = state.waiting.take();
        drop(state);
        if let Some(waker) = waiting {
            waker.wake();
        }
    }

    /// Asks to be woken when the next phase begins.
    pub fn wake_at_next_phase(&self, waker: &Waker) {
        self.lock().waiting = Some(waker.clone());
    }

    /// The phase and its beginning.
    pub fn phase(&self) -> (Phase, Instant) {
        let state = self.lock();
        (state.phase, state.since)
    }

    /// Notes that a request was answered before it was read whole, so more of it may be on its way.
    pub fn leave_unread(&self) {
        self.lock().unread = true;
    }

    /// Whether bytes that nobody will read may be on their way.
    pub fn has_unread(&self) -> bool {
        let state = self.lock();
        state.unread || state.phase == Phase::Header
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is a few plain values, whole whatever happened to the last holder.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
