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
use axum::response::Response;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::admission::caller::Admission;
use crate::admission::client_address::{Client, Proxies};
use crate::admission::host_check::Names;
use crate::api::refusal::refuse_unread;
use crate::api::routes;
use crate::args::Serve;
use crate::keys::Keyring;
use crate::listen::access_log::{Exchange, Followed};
use crate::listen::activity::{Clock, Pace};
use crate::listen::admin;
use crate::listen::timeouts::{Limits, Patient};
use crate::listen::tls::{HTTP2, Tls};
use crate::metrics::Metrics;
use crate::systemd::notify;
use crate::upstream::supervisor::Upstream;
use crate::watch::{self, Watched};

/// A request's line and header: more is answered 431.
const LARGEST_HEADER: u32 = 16 * 1024;

/// Header lines a request may have: more is answered 431.
const MOST_HEADERS: usize = 64;

/// What a connection may hold of bytes not yet dealt with, in each direction; on HTTP/2, a stream.
const BUFFER: u32 = 64 * 1024;

/// Requests side by side on one HTTP/2 connection; RFC 9113, 6.5.2, asks for no fewer.
const STREAMS: u32 = 100;

/// What an HTTP/2 connection may hold of all its streams' bytes not yet dealt with.
const WINDOW: u32 = 256 * 1024;

/// Streams that a peer may reset before they were looked at, and that it may have us reset by
/// breaking the rules; then the connection is closed (CVE-2023-44487, CVE-2025-8671).
const RESETS: usize = 20;

/// What the kernel may hold of what a client has not taken, in bytes; it takes twice that with its own. Less than it
/// would by itself, for a slow client's connection is told of progress in thirds of it.
const SEND_BUFFER: usize = 128 * 1024;

/// How long to wait after a failure to accept, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until SIGTERM or SIGINT, then lets running requests finish for a while.
///
/// # Errors
/// What kept it from starting.
pub async fn run(arguments: &Serve, listener: TcpListener, metrics: Option<TcpListener>) -> Result<(), String> {
    let listener = tokio::net::TcpListener::from_std(listener).map_err(|error| format!("listen: {error}"))?;
    let address = listener.local_addr().map_err(|error| format!("listen: {error}"))?;
    let mut stop = Stop::new()?;
    let mut watchdog = std::pin::pin!(notify::feed_watchdog());
    let server = Server::new(arguments)?;
    if let Some(listener) = metrics {
        admin::serve(listener, Arc::clone(&server.protocols.metrics), Upstream::new(&arguments.socket))?;
    }
    let places = Arc::new(Semaphore::new(arguments.max_connections.get()));
    let connections = GracefulShutdown::new();
    if arguments.keys.is_some()
        && arguments.tls_key.is_none()
        && arguments.trusted_proxy.is_empty()
        && !address.ip().is_loopback()
    {
        tracing::warn!(
            "keys come in the clear: pass --tls-certificate and --tls-key, or --trusted-proxy if a load balancer does TLS"
        );
    }
    notify::ready();
    tracing::info!(%address, tls = arguments.tls_key.is_some(), keys = arguments.keys.is_some(), socket = %arguments.socket.display(), "listening");
    loop {
        tokio::select! {
            () = stop.asked() => break,
            never = &mut watchdog => match never {},
            (stream, peer, place) = accept(&listener, &places) => server.serve(stream, peer, place, &connections),
        }
    }
    drop(listener);
    notify::stopping();
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
    protocols: Arc<Protocols>,
    tls: Option<Arc<Tls>>,
    limits: Limits,
}

/// What every request is served with, and how it is read.
struct Protocols {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    router: TowerToHyperService<Router>,
    proxies: Proxies,
    metrics: Arc<Metrics>,
    names: Names,
    pace: Pace,
}

impl Server {
    /// Reads the files that are read again later, too.
    fn new(arguments: &Serve) -> Result<Self, String> {
        let mut watched = Vec::new();
        let keyring = arguments.keys.as_deref().map(Keyring::open).transpose()?.map(Arc::new);
        if let (Some(keyring), Some(path)) = (keyring.clone(), arguments.keys.clone()) {
            watched.push(Watched::new("keys", vec![path.clone()], move || keyring.reload(&path)));
        }
        let pair = arguments.tls_certificate.clone().zip(arguments.tls_key.clone());
        let tls = pair.as_ref().map(|(certificate, key)| Tls::open(certificate, key)).transpose()?.map(Arc::new);
        if let (Some(tls), Some((certificate, key))) = (tls.clone(), pair) {
            watched.push(Watched::new("certificate", vec![certificate, key], move || tls.reload()));
        }
        watch::start(watched)?;
        let metrics = Arc::new(Metrics::new().map_err(|error| format!("prepare the metrics: {error}"))?);
        let open = arguments.no_auth || keyring.is_some();
        let names = if open { Names::Any } else { Names::Loopback };
        let router = routes::router(arguments, Admission::new(keyring), Arc::clone(&metrics));
        let pace = Pace { window: arguments.body_timeout, bytes: arguments.least_read.get() as u64 };
        let limits = Limits { header: arguments.header_timeout, idle: arguments.idle_timeout, pace };
        let protocols = Protocols {
            http1: http1(),
            http2: http2(),
            router: TowerToHyperService::new(router),
            proxies: Proxies::new(arguments.trusted_proxy.clone()),
            metrics,
            names,
            pace,
        };
        Ok(Self { protocols: Arc::new(protocols), tls, limits })
    }

    fn serve(&self, stream: TcpStream, peer: SocketAddr, place: OwnedSemaphorePermit, connections: &GracefulShutdown) {
        // An answer is written whole; waiting for more to send would only delay it.
        let _ = stream.set_nodelay(true);
        let _ = setsockopt(&stream, sockopt::SndBuf, &SEND_BUFFER);
        let (clock, connections) = (Clock::start(), connections.watcher());
        let stream = Patient::new(stream, clock.clone(), self.limits);
        let open = self.protocols.metrics.open();
        let (protocols, acceptor) = (Arc::clone(&self.protocols), self.tls.as_ref().map(|tls| tls.acceptor()));
        tokio::spawn(async move {
            match acceptor {
                None => protocols.speak_http1(stream, peer, clock, connections).await,
                Some(acceptor) => match acceptor.accept(stream).await {
                    Ok(stream) if stream.get_ref().1.alpn_protocol() == Some(HTTP2) => {
                        clock.multiplex();
                        protocols.speak_http2(stream, peer, clock, connections).await;
                    }
                    Ok(stream) => protocols.speak_http1(stream, peer, clock, connections).await,
                    Err(error) => tracing::debug!(%peer, %error, "no TLS"),
                },
            }
            drop((open, place));
        });
    }
}

impl Protocols {
    async fn speak_http1<S>(&self, stream: S, peer: SocketAddr, clock: Clock, connections: Watcher)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let connection = self.http1.serve_connection(TokioIo::new(stream), self.service(peer, clock));
        finish(peer, connections.watch(connection)).await;
    }

    async fn speak_http2<S>(&self, stream: S, peer: SocketAddr, clock: Clock, connections: Watcher)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let connection = self.http2.serve_connection(TokioIo::new(stream), self.service(peer, clock.clone()));
        tokio::select! {
            () = finish(peer, connections.watch(connection)) => {}
            reason = clock.overstrained(self.pace) => tracing::info!(%peer, reason, "a connection is cut off"),
        }
    }

    fn service(
        &self,
        peer: SocketAddr,
        clock: Clock,
    ) -> impl Service<Request<Incoming>, Response = Response<Followed>, Error = Infallible, Future: Send + 'static> + use<>
    {
        let (router, proxies, metrics) = (self.router.clone(), self.proxies.clone(), Arc::clone(&self.metrics));
        let names = self.names;
        service_fn(move |mut request: Request<Incoming>| {
            let exchange = Exchange::begin(peer, &proxies, &clock, &metrics, &request);
            request.extensions_mut().insert(exchange.id);
            request.extensions_mut().insert(Client(exchange.client));
            let checked = names.check(&request);
            let answer = router.call(request);
            async move {
                let response = match checked {
                    Ok(()) => answer.await?,
                    Err((code, message)) => refuse_unread(exchange.id, code, message),
                };
                Ok::<_, Infallible>(exchange.answer(response))
            }
        })
    }
}

async fn finish<C>(peer: SocketAddr, connection: C)
where
    C: Future<Output = Result<(), hyper::Error>>,
{
    if let Err(error) = connection.await {
        tracing::debug!(%peer, %error, "a connection ended early");
    }
}

/// Times are kept by the socket itself. A client that closes even its sending side has left:
/// without `half_close` its request is dropped, and with it the job.
fn http1() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .header_read_timeout(None)
        .half_close(false)
        .max_headers(MOST_HEADERS)
        .max_header_size(LARGEST_HEADER as usize)
        .max_buf_size(BUFFER as usize);
    builder
}

fn http2() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(LARGEST_HEADER)
        .initial_stream_window_size(BUFFER)
        .initial_connection_window_size(WINDOW)
        .max_send_buf_size(BUFFER as usize)
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(RESETS);
    builder
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
