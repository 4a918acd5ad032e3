//! A client's socket that gives up on a peer who does not get on with it.
//!
//! hyper has one timeout for the time before a request and for its header; here the two differ, and
//! a peer who takes next to nothing of its response is given up on too. Reading a body has its own bound
//! where bodies are read. Must never give up on a client that waits for its job.

use std::future::Future;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::listen::activity::{Activity, Pace, Phase};

/// How long, and how much, is read and dropped after an early answer.
const LINGER: (Duration, usize) = (Duration::from_secs(2), 64 * 1024 * 1024);

/// How long a peer may keep us waiting.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For a whole header.
    pub header: Duration,
    /// Between requests.
    pub idle: Duration,
    /// For what it takes of a response that waits for it.
    pub pace: Pace,
}

/// A socket whose peer has its time, and no more than that.
#[derive(Debug)]
pub struct TimedSocket<S> {
    stream: S,
    activity: Activity,
    timeouts: Timeouts,
    reading: Alarm,
    writing: Alarm,
    /// What was taken since that alarm was set.
    taken: u64,
    lingering: Option<usize>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> TimedSocket<S> {
    /// Wraps a connection that was just accepted.
    pub fn new(stream: S, activity: Activity, timeouts: Timeouts) -> Self {
        Self {
            stream,
            activity,
            timeouts,
            reading: Alarm::default(),
            writing: Alarm::default(),
            taken: 0,
            lingering: None,
        }
    }

    /// Nothing came: is that still all right?
    fn poll_timeout(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (phase, since) = self.activity.phase();
        let limit = match phase {
            Phase::Busy => {
                // Whoever reads may not ask again until bytes come; the time until then must run.
                self.activity.wake_at_next_phase(cx.waker());
                return Poll::Pending;
            }
            Phase::Idle => self.timeouts.idle,
            Phase::Header => self.timeouts.header,
        };
        ready!(self.reading.poll(cx, since + limit));
        Poll::Ready(Err(ErrorKind::TimedOut.into()))
    }

    /// A write moved on, or waits for a peer who has had so long to take more.
    fn poll_progress(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let Pace { window, bytes } = self.timeouts.pace;
        if let Poll::Ready(written) = written {
            self.taken += written.as_ref().map_or(0, |written| *written as u64);
            if self.taken >= bytes {
                self.rest();
            }
            return Poll::Ready(written);
        }
        let deadline = self.writing.deadline().unwrap_or_else(|| {
            self.taken = 0;
            Instant::now() + window
        });
        ready!(self.writing.poll(cx, deadline));
        Poll::Ready(Err(ErrorKind::TimedOut.into()))
    }

    /// Nothing waits to be taken, or enough was: the next that waits has its own time.
    fn rest(&mut self) {
        self.writing.stop();
        self.taken = 0;
    }

    /// Reads and drops what the peer still sends. Closing at once would reset the connection, and a
    /// client that sends its whole body before it looks would lose the answer (RFC 9112, 9.6).
    fn poll_linger(&mut self, cx: &mut Context<'_>, dropped: usize) -> Poll<()> {
        let mut dropped = dropped;
        let mut scratch = [0; 16 * 1024];
        while dropped < LINGER.1 {
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => dropped += buffer.filled().len(),
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => {
                    self.lingering = Some(dropped);
                    let deadline = self.reading.deadline().unwrap_or_else(Instant::now);
                    return self.reading.poll(cx, deadline);
                }
            }
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TimedSocket<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let Poll::Ready(result) = Pin::new(&mut self.stream).poll_read(cx, buffer) else {
            return self.poll_timeout(cx);
        };
        if buffer.filled().len() > before {
            self.activity.arrive();
        }
        Poll::Ready(result)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TimedSocket<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.poll_progress(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.poll_progress(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What is written to here is flushed once all of it was.
        self.rest();
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let dropped = match self.lingering {
            Some(dropped) => dropped,
            None => {
                ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
                if !self.activity.has_unread() {
                    return Poll::Ready(Ok(()));
                }
                self.reading.set(Instant::now() + LINGER.0);
                0
            }
        };
        self.poll_linger(cx, dropped).map(Ok)
    }
}

/// A timer that is made when it is first needed and moved when its deadline has.
#[derive(Debug, Default)]
struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
    running: bool,
}

impl Alarm {
    fn deadline(&self) -> Option<Instant> {
        self.sleep.as_ref().filter(|_| self.running).map(|sleep| sleep.deadline())
    }

    fn set(&mut self, deadline: Instant) {
        self.running = true;
        match &mut self.sleep {
            Some(sleep) if sleep.deadline() == deadline => {}
            Some(sleep) => sleep.as_mut().reset(deadline),
            None => self.sleep = Some(Box::pin(sleep_until(deadline))),
        }
    }

    fn stop(&mut self) {
        self.running = false;
    }

    /// Ready once the deadline has passed.
    fn poll(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        self.set(deadline);
        self.sleep.as_mut().map_or(Poll::Pending, |sleep| sleep.as_mut().poll(cx))
    }
}
