//! HTTP/1.1 and HTTP/2 on a connection: how large, how many, and that each request has its id, its client's address and
//! its line in the log.
//!
//! What hyper answers by itself to what is not HTTP (400, 431, 414) has no body and no id, because there was no request to
//! give one to.

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use hyper::Request;
use hyper::body::Incoming;
use hyper::rt::bounds::Http2ServerConnExec;
use hyper::server::conn::{http1, http2};
use hyper::service::{HttpService, Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::admission::client_address::{ClientAddress, TrustedProxies};
use crate::admission::host_check::HostNames;
use crate::api::connect;
use crate::api::jupyter;
use crate::api::refusal::refuse_unread;
use crate::going::Going;
use crate::listen::access_log::{Access, LoggedBody};
use crate::listen::activity::{Activity, Pace};
use crate::listen::conversations;
use crate::listen::listeners::Door;
use crate::metrics::Metrics;

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

/// What every request is served with, and how it is read.
pub struct Protocols {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    router: TowerToHyperService<Router>,
    proxies: TrustedProxies,
    metrics: Arc<Metrics>,
    names: HostNames,
    pace: Pace,
    node: Option<u8>,
}

impl Protocols {
    /// Every request goes to `router`.
    pub fn new(
        router: Router,
        (proxies, names, node): (TrustedProxies, HostNames, Option<u8>),
        pace: Pace,
        metrics: Arc<Metrics>,
    ) -> Self {
        let router = TowerToHyperService::new(router);
        Self { http1: http1(), http2: http2(), router, proxies, metrics, names, pace, node }
    }

    /// Serves a connection until it ends.
    pub async fn speak_http1<S>(&self, stream: S, come: (SocketAddr, Door), activity: Activity, going: Going)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = self.service(come, activity.clone(), going.clone());
        let connection = self.http1.serve_connection(TokioIo::new(stream), service).with_upgrades();
        // Each answer from the notice on is the connection's last; what is left then are those that ask nothing.
        let leave = async {
            going.closing().await;
            activity.last_chance().await;
        };
        finish(come.0, connection, leave).await;
        // What it has become goes on.
        activity.at_rest().await;
    }

    /// Serves a connection until it ends, or its peer has it do too much for nothing.
    pub async fn speak_http2<S>(&self, stream: S, come: (SocketAddr, Door), activity: Activity, going: Going)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = self.service(come, activity.clone(), going.clone());
        let connection = self.http2.serve_connection(TokioIo::new(stream), service);
        // GOAWAY, which loses no request: those that are on their way are still taken, and the client knows which.
        let leave = async {
            if !going.is_told() {
                return going.told().await;
            }
            // A client that comes now knows no better: one who is sent away before it has asked would only come again.
            tokio::select! {
                () = activity.first_request() => {}
                () = going.closing() => activity.last_chance().await,
            }
        };
        tokio::select! {
            () = finish(come.0, connection, leave) => {}
            reason = activity.overstrained(self.pace) => tracing::info!(peer = %come.0, reason, "a connection is cut off"),
        }
    }

    fn service(
        &self,
        (peer, door): (SocketAddr, Door),
        activity: Activity,
        going: Going,
    ) -> impl Service<Request<Incoming>, Response = Response<LoggedBody>, Error = Infallible, Future: Send + 'static> + use<>
    {
        let (router, proxies, metrics) = (self.router.clone(), self.proxies.clone(), Arc::clone(&self.metrics));
        let (names, node) = (self.names, self.node);
        service_fn(move |mut request: Request<Incoming>| {
            *request.uri_mut() = door.target(std::mem::take(request.uri_mut()));
            let access = Access::begin(peer, &proxies, (&activity, &going, node), &metrics, &request);
            request.extensions_mut().insert(access.id);
            request.extensions_mut().insert(ClientAddress(access.origin.client));
            let path = request.uri().path();
            if path == connect::PATH || jupyter::is_channels(path) {
                request.extensions_mut().insert(conversations::arrival(&access.origin));
            }
            let checked = names.check(&request);
            let answer = router.call(request);
            async move {
                let response = match checked {
                    Ok(()) => answer.await?,
                    Err((code, message)) => refuse_unread(access.id, code, message),
                };
                Ok::<_, Infallible>(access.answer(response))
            }
        })
    }
}

/// A connection that can be asked to end.
trait Leave: Future<Output = hyper::Result<()>> {
    /// Has it end once the requests that run have been answered.
    fn leave(self: Pin<&mut Self>);
}

impl<S, T> Leave for http1::UpgradeableConnection<TokioIo<S>, T>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: HttpService<Incoming, ResBody = LoggedBody, Error: Into<Box<dyn Error + Send + Sync>>>,
{
    fn leave(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<S, T> Leave for http2::Connection<TokioIo<S>, T, TokioExecutor>
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: HttpService<Incoming, ResBody = LoggedBody, Error: Into<Box<dyn Error + Send + Sync>>>,
    TokioExecutor: Http2ServerConnExec<T::Future, LoggedBody>,
{
    fn leave(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Serves a connection to its end, which is after the requests that run once it is to leave.
async fn finish(peer: SocketAddr, connection: impl Leave, leave: impl Future<Output = ()>) {
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        // What has come is read before anything is closed.
        biased;
        ended = connection.as_mut() => ended,
        () = leave => {
            connection.as_mut().leave();
            connection.await
        }
    };
    if let Err(error) = ended {
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
        .enable_connect_protocol()
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(LARGEST_HEADER)
        .initial_stream_window_size(BUFFER)
        .initial_connection_window_size(WINDOW)
        .max_send_buf_size(BUFFER as usize)
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(RESETS);
    builder
}
