//! Connections: how many, how long, and how they end.
//!
//! At the bound no more are accepted until one ends: newcomers wait in the kernel's queue, and since
//! every connection's patience is bounded, places come free. What hyper answers by itself to what is
//! not HTTP (400, 431, 414) has no body and no id, because there was no request to give one to.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::activation;
use crate::args::Serve;
use crate::clock::Clock;
use crate::exchange::Exchange;
use crate::patience::{Limits, Patient};
use crate::routes;

/// A request's line and header: more is answered 431.
const LARGEST_HEADER: usize = 16 * 1024;

/// Header lines a request may have: more is answered 431.
const MOST_HEADERS: usize = 64;

/// What a connection may hold of bytes not yet dealt with, in each direction.
const BUFFER: usize = 64 * 1024;

/// How long to wait after a failure to accept, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until SIGTERM or SIGINT, then lets running requests finish for a while.
///
/// # Errors
/// What kept it from starting.
pub async fn run(arguments: &Serve, listener: TcpListener) -> Result<(), String> {
    let listener = tokio::net::TcpListener::from_std(listener).map_err(|error| format!("listen: {error}"))?;
    let address = listener.local_addr().map_err(|error| format!("listen: {error}"))?;
    let mut stop = Stop::new()?;
    let mut watchdog = std::pin::pin!(activation::feed_watchdog());
    let server = Server::new(arguments);
    let places = Arc::new(Semaphore::new(arguments.max_connections.get()));
    let connections = GracefulShutdown::new();
    activation::ready();
    tracing::info!(%address, socket = %arguments.socket.display(), "listening");
    loop {
        tokio::select! {
            () = stop.asked() => break,
            never = &mut watchdog => match never {},
            (stream, peer, place) = accept(&listener, &places) => server.serve(stream, peer, place, &connections),
        }
    }
    drop(listener);
    activation::stopping();
    tracing::info!(connections = connections.count(), "stopping: running requests may finish");
    tokio::select! {
        () = connections.shutdown() => tracing::info!("stopped"),
        () = tokio::time::sleep(arguments.drain) => tracing::warn!("stopped: requests that still ran were cut off"),
        () = stop.asked() => tracing::warn!("stopped at once: asked twice"),
    }
    Ok(())
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &tokio::net::TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    let place = Arc::clone(places).acquire_owned().await.expect("the semaphore is never closed");
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, place),
            // The client's doing, not ours.
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(%error, "accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// What every connection is served with.
struct Server {
    protocol: http1::Builder,
    router: TowerToHyperService<Router>,
    limits: Limits,
}

impl Server {
    fn new(arguments: &Serve) -> Self {
        let mut protocol = http1::Builder::new();
        // Times are kept by the socket itself. A client that closes even its sending side has left:
        // without half_close its request is dropped, and with it the job.
        protocol
            .header_read_timeout(None)
            .half_close(false)
            .max_headers(MOST_HEADERS)
            .max_header_size(LARGEST_HEADER)
            .max_buf_size(BUFFER);
        let limits =
            Limits { header: arguments.header_timeout, idle: arguments.idle_timeout, stall: arguments.body_timeout };
        Self { protocol, router: TowerToHyperService::new(routes::router(arguments)), limits }
    }

    fn serve(&self, stream: TcpStream, peer: SocketAddr, place: OwnedSemaphorePermit, connections: &GracefulShutdown) {
        // An answer is written whole; waiting for more to send would only delay it.
        let _ = stream.set_nodelay(true);
        let (clock, router) = (Clock::start(), self.router.clone());
        let io = TokioIo::new(Patient::new(stream, clock.clone(), self.limits));
        let service = service_fn(move |mut request: Request<Incoming>| {
            let exchange = Exchange::begin(peer, &clock, &request);
            request.extensions_mut().insert(exchange.id);
            let answer = router.call(request);
            async move { answer.await.map(|response| exchange.answer(response)) as Result<_, Infallible> }
        });
        let connection = connections.watch(self.protocol.serve_connection(io, service));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%peer, %error, "a connection ended early");
            }
            drop(place);
        });
    }
}

/// The signals that ask for an end.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn new() -> Result<Self, String> {
        let of = |kind| signal(kind).map_err(|error| format!("listen for signals: {error}"));
        Ok(Self { terminate: of(SignalKind::terminate())?, interrupt: of(SignalKind::interrupt())? })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
