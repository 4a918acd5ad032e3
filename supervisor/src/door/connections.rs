//! The connections to the supervisor's socket: how many, how long they may stand still, and who is told of it how often.
//!
//! One that only holds an answer which its reader has not taken does not count against those that ask: what answers
//! may hold is bounded where places are given out.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use nix::sys::socket::{MsgFlags, recv};
use std::os::fd::AsRawFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::UnixStream;
use tokio::time::Sleep;

pub use cloister_supervisor::open_files::SPARE;

/// How long a peer may take nothing of what it is sent. The gateway has a shorter patience with its clients.
const WRITE_TIME: Duration = Duration::from_secs(120);

/// How often the same complaint is logged.
const COMPLAIN_EVERY: Duration = Duration::from_secs(1);

/// All connections.
#[derive(Debug, Default)]
pub struct Connections {
    asking: AtomicUsize,
    strangers: Complaint,
    refused: Complaint,
}

/// Something to complain of, which a peer can bring about as often as it likes.
#[derive(Debug, Default)]
pub struct Complaint(Mutex<(Option<Instant>, u64)>);

impl Complaint {
    /// How often it has come about since it was last told; `None` if that was just now.
    pub fn told(&self) -> Option<u64> {
        let mut state = self.0.lock().expect("nothing panics while it holds this lock");
        state.1 += 1;
        if state.0.is_some_and(|last| last.elapsed() < COMPLAIN_EVERY) {
            return None;
        }
        state.0 = Some(Instant::now());
        Some(std::mem::take(&mut state.1))
    }
}

impl Connections {
    /// Takes a connection that was accepted, unless there are `most` already that ask.
    pub fn take(self: &Arc<Self>, stream: UnixStream, most: usize) -> Result<Arc<Connection>, UnixStream> {
        if self.asking.load(Ordering::Relaxed) >= most {
            if let Some(times) = self.refused.told() {
                tracing::warn!(most, times, "as many connections as may be; more were refused");
            }
            return Err(stream);
        }
        self.asking.fetch_add(1, Ordering::Relaxed);
        Ok(Arc::new(Connection { all: Arc::clone(self), stream: Arc::new(stream), answers: AtomicBool::new(false) }))
    }

    /// Tells of a peer that may not be here.
    pub fn complain_of_stranger(&self, peer: u32) {
        if let Some(times) = self.strangers.told() {
            tracing::warn!(peer, times, "strangers connected to the socket; closed");
        }
    }
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    all: Arc<Connections>,
    stream: Arc<UnixStream>,
    answers: AtomicBool,
}

impl Connection {
    /// What is read from and written to.
    #[must_use]
    pub fn stream(&self) -> TimedStream {
        TimedStream { stream: Arc::clone(&self.stream), stalled: None }
    }

    /// Completes when the peer has left. Only for a time in which it has nothing to send: it waits to be asked.
    pub async fn left(&self) {
        let peek = || {
            let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
            recv(self.stream.as_raw_fd(), &mut [0], flags).map_err(io::Error::from)
        };
        while self.stream.readable().await.is_ok() {
            match self.stream.try_io(Interest::READABLE, peek) {
                // One that does not wait is read when it is its turn, and until then nobody can tell that it has left.
                Ok(1..) => std::future::pending().await,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(0) | Err(_) => return,
            }
        }
    }

    /// From now on, and until the answer is dropped, it holds an answer and asks nothing.
    pub fn answer<B>(self: &Arc<Self>, body: B) -> Answering<B> {
        if !self.answers.swap(true, Ordering::Relaxed) {
            self.all.asking.fetch_sub(1, Ordering::Relaxed);
        }
        Answering { body, connection: Arc::clone(self) }
    }

    fn ask(&self) {
        if self.answers.swap(false, Ordering::Relaxed) {
            self.all.asking.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.ask();
        self.all.asking.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The body of an answer, which its connection holds.
#[derive(Debug)]
pub struct Answering<B> {
    body: B,
    connection: Arc<Connection>,
}

impl<B> Drop for Answering<B> {
    fn drop(&mut self) {
        self.connection.ask();
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Answering<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection's stream, with no more than so much patience for a peer who takes nothing.
#[derive(Debug)]
pub struct TimedStream {
    stream: Arc<UnixStream>,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl TimedStream {
    fn poll_write_with(
        &mut self,
        cx: &mut Context<'_>,
        write: impl Fn(&UnixStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            if self.stream.poll_write_ready(cx)?.is_pending() {
                let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(WRITE_TIME)));
                ready!(stalled.as_mut().poll(cx));
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            match write(&self.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => {
                    self.stalled = None;
                    return Poll::Ready(done);
                }
            }
        }
    }
}

impl AsyncRead for TimedStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            match self.stream.try_read(buffer.initialize_unfilled()) {
                Ok(read) => {
                    buffer.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for TimedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_with(cx, |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_with(cx, |stream| stream.try_write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = shut_down(&self.stream);
        Poll::Ready(done)
    }
}

/// Ends the sending side, `shutdown(2)`.
fn shut_down(stream: &UnixStream) -> io::Result<()> {
    nix::sys::socket::shutdown(stream.as_raw_fd(), nix::sys::socket::Shutdown::Write).map_err(io::Error::from)
}
