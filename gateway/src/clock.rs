//! What one connection is doing and since when, so that its patience can be measured.
//!
//! The connection's socket and its requests share it: the socket sees bytes arrive, the requests
//! know when they begin and when the last byte of their answer has been handed over.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;
use std::time::Duration;

use cloister_protocol::JobId;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

/// Requests of one HTTP/2 connection that its client may give up before their answer, beyond those
/// that it lets end. Opening and resetting streams costs a client nothing (CVE-2023-44487).
const MOST_ABANDONED: u32 = 100;

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
    requests: usize,
    unread: bool,
    waiting: Option<Waker>,
}

/// What only HTTP/2 has: requests side by side, which the socket cannot tell apart.
#[derive(Debug, Default)]
struct Streams {
    /// When each answer that is on its way last moved on, but for those that wait for more to come.
    answers: HashMap<JobId, Instant>,
    ended: u32,
    abandoned: u32,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    streams: OnceLock<Mutex<Streams>>,
    abused: Notify,
}

/// One connection's clock; clones are the same clock.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Shared>);

impl Clock {
    /// The clock of a connection that was just accepted. Its first header is due at once: one who
    /// connects to say nothing is not given the patience of one who was served.
    pub fn start() -> Self {
        let (phase, since) = (Phase::Header, Instant::now());
        let state = State { phase, since, requests: 0, unread: false, waiting: None };
        Self(Arc::new(Shared { state: Mutex::new(state), streams: OnceLock::new(), abused: Notify::new() }))
    }

    /// From now on requests come side by side.
    pub fn multiplex(&self) {
        let _ = self.0.streams.set(Mutex::default());
    }

    /// Whether requests come side by side.
    pub fn is_multiplexed(&self) -> bool {
        self.0.streams.get().is_some()
    }

    /// Bytes came. Between requests they are a header's first; on HTTP/2 they may be anything, so
    /// that there the patience between requests runs on until one has come whole.
    pub fn arrive(&self) {
        if self.phase().0 == Phase::Idle && !self.is_multiplexed() {
            self.begin(Phase::Header);
        }
    }

    /// A request has come.
    pub fn enter(&self) {
        self.lock().requests += 1;
        self.begin(Phase::Busy);
    }

    /// A request has ended: answered whole, or given up by its client.
    pub fn leave(&self, id: JobId, whole: bool) {
        let mut state = self.lock();
        state.requests -= 1;
        let idle = state.requests == 0;
        drop(state);
        if idle {
            self.begin(Phase::Idle);
        }
        let Some(mut streams) = self.streams() else { return };
        streams.answers.remove(&id);
        if whole {
            streams.ended = streams.ended.saturating_add(1);
            return;
        }
        streams.abandoned = streams.abandoned.saturating_add(1);
        if streams.abandoned > streams.ended.saturating_add(MOST_ABANDONED) {
            self.0.abused.notify_one();
        }
    }

    /// An answer begins, or more of it was taken.
    pub fn move_on(&self, id: JobId) {
        if let Some(mut streams) = self.streams() {
            streams.answers.insert(id, Instant::now());
        }
    }

    /// More of an answer will come and has not: its peer has nothing to take.
    pub fn rest(&self, id: JobId) {
        if let Some(mut streams) = self.streams() {
            streams.answers.remove(&id);
        }
    }

    /// Completes when an HTTP/2 connection should end: a peer has taken nothing of an answer for
    /// `stall` (twice that at the most), as one does who grants no window, or gives up too many.
    pub async fn overstrained(&self, stall: Duration) -> &'static str {
        let stalled = async {
            loop {
                let oldest = self.streams().and_then(|streams| streams.answers.values().min().copied());
                match oldest {
                    Some(since) if since.elapsed() >= stall => return "its peer takes nothing of an answer",
                    Some(since) => sleep_until(since + stall).await,
                    None => sleep(stall).await,
                }
            }
        };
        tokio::select! {
            reason = stalled => reason,
            () = self.0.abused.notified() => "its peer gives up too many requests",
        }
    }

    fn begin(&self, phase: Phase) {
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

    fn streams(&self) -> Option<MutexGuard<'_, Streams>> {
        Some(self.0.streams.get()?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is a few plain values, whole whatever happened to the last holder.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
