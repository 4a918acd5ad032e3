//! Connections: how many, how they begin, and that each is served.
//!
//! At the bound no more are accepted until one ends: newcomers wait in the kernel's queue, and since
//! no connection may do nothing for long, places come free.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout_at};

use crate::api::jupyter;
use crate::going::Going;
use crate::listen::activity::Activity;
use crate::listen::http::Protocols;
use crate::listen::listeners::{Door, Listeners};
use crate::listen::timeouts::{TimedSocket, Timeouts};
use crate::listen::tls::{HTTP2, Tls};
use crate::metrics::Metrics;

/// What the kernel may hold of what a client has not taken, in bytes; it takes twice that with its own. Less than it
/// would by itself, for a slow client's connection is told of progress in thirds of it.
const SEND_BUFFER: usize = 128 * 1024;

/// How long to wait after a failure to accept, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How many of those who have connected and wait are still let in when the listener is about to be closed, and how long the next
/// of them may take to show.
const LAST: (usize, Duration) = (4096, Duration::from_millis(20));

/// How long that may take in all, however many come.
const LAST_OF_ALL: Duration = Duration::from_secs(1);

/// What every connection is served with.
pub struct Connections {
    places: Arc<Semaphore>,
    protocols: Arc<Protocols>,
    tls: Option<Arc<Tls>>,
    timeouts: Timeouts,
    metrics: Arc<Metrics>,
    going: Going,
    open: watch::Sender<()>,
}

/// A connection that was accepted, with its place.
#[derive(Debug)]
pub struct Come {
    stream: TcpStream,
    peer: SocketAddr,
    door: Door,
    place: OwnedSemaphorePermit,
}

impl Connections {
    /// None yet, and never more than `most` at once.
    pub fn new(
        most: NonZeroUsize,
        protocols: Protocols,
        tls: Option<Arc<Tls>>,
        timeouts: Timeouts,
        metrics: Arc<Metrics>,
        going: Going,
    ) -> Self {
        let (places, protocols) = (Arc::new(Semaphore::new(most.get())), Arc::new(protocols));
        Self { places, protocols, tls, timeouts, metrics, going, open: watch::Sender::new(()) }
    }

    /// The next connection, once there is a place for it.
    pub async fn accept(&self, listeners: &Listeners) -> Come {
        let place = Arc::clone(&self.places).acquire_owned().await.expect("the semaphore is never closed");
        loop {
            match listeners.accept(jupyter::PATH).await {
                Ok((stream, peer, door)) => return Come { stream, peer, door, place },
                // The client's doing, not ours.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    tracing::warn!(%error, "accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Serves one, in a task of its own, until it ends.
    pub fn serve(&self, Come { stream, peer, door, place }: Come) {
        // An answer is written whole; waiting for more to send would only delay it.
        let _ = stream.set_nodelay(true);
        let _ = setsockopt(&stream, sockopt::SndBuf, &SEND_BUFFER);
        let (activity, going, is_open) = (Activity::start(), self.going.clone(), self.open.subscribe());
        let stream = TimedSocket::new(stream, activity.clone(), self.timeouts);
        let open = self.metrics.open();
        let (protocols, acceptor) = (Arc::clone(&self.protocols), self.tls.as_ref().map(|tls| tls.acceptor()));
        tokio::spawn(async move {
            match acceptor {
                None => protocols.speak_http1(stream, (peer, door), activity, going).await,
                Some(acceptor) => match acceptor.accept(stream).await {
                    Ok(stream) if stream.get_ref().1.alpn_protocol() == Some(HTTP2) => {
                        activity.multiplex();
                        protocols.speak_http2(stream, (peer, door), activity, going).await;
                    }
                    Ok(stream) => protocols.speak_http1(stream, (peer, door), activity, going).await,
                    Err(error) => tracing::debug!(%peer, %error, "no TLS"),
                },
            }
            drop((open, place, is_open));
        });
    }

    /// Serves those who have connected already and were not let in yet: with their listener they would be cut off.
    pub async fn serve_last(&self, listeners: &Listeners) {
        let (most, pause) = LAST;
        let end = Instant::now() + LAST_OF_ALL;
        for _ in 0..most {
            let until = end.min(Instant::now() + pause);
            let Ok(come) = timeout_at(until, self.accept(listeners)).await else { return };
            self.serve(come);
        }
    }

    /// How many are open.
    pub fn count(&self) -> usize {
        self.open.receiver_count()
    }

    /// Completes when the last has ended.
    pub async fn ended(&self) {
        self.open.closed().await;
    }
}
