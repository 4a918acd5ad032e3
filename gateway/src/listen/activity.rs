//! What one connection is doing and since when, so that it is given no more time than it may take.
//!
//! The connection's socket and its requests share it: the socket sees bytes arrive, the requests
//! know when they begin and when the last byte of their answer has been handed over.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;
use std::time::Duration;

use cloister_protocol::JobId;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// Requests of one HTTP/2 connection that its client may give up before their answer, beyond those
/// that it lets end. Opening and resetting streams costs a client nothing (CVE-2023-44487).
const MOST_ABANDONED: u32 = 100;

/// How long a connection that has begun to ask, or was just made to do so, is waited for when all others are closed.
const LAST_CHANCE: Duration = Duration::from_secs(1);

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

/// How slowly a peer may take an answer that waits for it.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// In this time ...
    pub window: Duration,
    /// ... at least so many bytes.
    pub bytes: u64,
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
    /// Of each answer that is on its way, but for those that wait for more to come: since when, and what was taken then.
    answers: HashMap<JobId, (Instant, u64)>,
    ended: u32,
    abandoned: u32,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    streams: OnceLock<Mutex<Streams>>,
    abused: Notify,
    first_request: Notify,
    rest: Notify,
}

/// One connection's activity; clones are the same activity.
#[derive(Clone, Debug)]
pub struct Activity(Arc<Shared>);

impl Activity {
    /// The activity of a connection that was just accepted. Its first header is due at once: one who
    /// connects to say nothing is not given the time of one who was served.
    pub fn start() -> Self {
        let (phase, since) = (Phase::Header, Instant::now());
        let state = State { phase, since, requests: 0, unread: false, waiting: None };
        let (state, streams) = (Mutex::new(state), OnceLock::new());
        Self(Arc::new(Shared {
            state,
            streams,
            abused: Notify::new(),
            first_request: Notify::new(),
            rest: Notify::new(),
        }))
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
    /// that there the time between requests runs on until one has come whole.
    pub fn arrive(&self) {
        if self.phase().0 == Phase::Idle && !self.is_multiplexed() {
            self.begin(Phase::Header);
        }
    }

    /// A request has come.
    pub fn enter(&self) {
        self.hold();
        self.0.first_request.notify_one();
    }

    /// What a request has become goes on.
    pub fn hold(&self) {
        self.lock().requests += 1;
        self.begin(Phase::Busy);
    }

    /// That has ended.
    pub fn release(&self) {
        let mut state = self.lock();
        state.requests -= 1;
        let idle = state.requests == 0;
        drop(state);
        if idle {
            self.begin(Phase::Idle);
            self.0.rest.notify_waiters();
        }
    }

    /// A request has ended: answered whole, or given up by its client.
    pub fn leave(&self, id: JobId, whole: bool) {
        self.release();
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

    /// An answer begins, or so much more of it was taken.
    pub fn move_on(&self, id: JobId, bytes: u64) {
        if let Some(mut streams) = self.streams() {
            streams.answers.entry(id).or_insert_with(|| (Instant::now(), 0)).1 += bytes;
        }
    }

    /// More of an answer will come and has not: its peer has nothing to take.
    pub fn rest(&self, id: JobId) {
        if let Some(mut streams) = self.streams() {
            streams.answers.remove(&id);
        }
    }

    /// Completes when an HTTP/2 connection should end: of an answer that waits for it a peer has taken less than it
    /// must in a window (two at the most), as one does who grants none, or it gives up too many.
    pub async fn overstrained(&self, pace: Pace) -> &'static str {
        let stalled = async {
            loop {
                match self.next_window(pace) {
                    Ok(end) => sleep_until(end).await,
                    Err(()) => return "its peer takes next to nothing of an answer",
                }
            }
        };
        tokio::select! {
            reason = stalled => reason,
            () = self.0.abused.notified() => "its peer gives up too many requests",
        }
    }

    /// When the next window of any answer ends, after those that have ended well have begun anew.
    fn next_window(&self, pace: Pace) -> Result<Instant, ()> {
        let now = Instant::now();
        let mut next = now + pace.window;
        let Some(mut streams) = self.streams() else { return Ok(next) };
        for (since, taken) in streams.answers.values_mut() {
            if now >= *since + pace.window {
                if *taken < pace.bytes {
                    return Err(());
                }
                (*since, *taken) = (now, 0);
            }
            next = next.min(*since + pace.window);
        }
        Ok(next)
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

    /// Completes when no request is being dealt with, and nothing that has come of one.
    pub async fn at_rest(&self) {
        loop {
            let mut rest = pin!(self.0.rest.notified());
            rest.as_mut().enable();
            if self.lock().requests == 0 {
                return;
            }
            rest.await;
        }
    }

    /// Completes when a request has come, now or before.
    pub async fn first_request(&self) {
        self.0.first_request.notified().await;
    }

    /// Completes when the connection may be closed: at once, unless a request is about to come.
    pub async fn last_chance(&self) {
        let (phase, since) = self.phase();
        if phase == Phase::Header {
            sleep_until(since + LAST_CHANCE).await;
        }
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
