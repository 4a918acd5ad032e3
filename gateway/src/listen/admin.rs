//! The operator's own listener: metrics, never beside what strangers see, and on a loopback address unless the operator has
//! said in words that others may read them.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::TEXT_FORMAT;
use tokio::sync::Semaphore;

use crate::error::Error;
use crate::listen::socket;
use crate::metrics::Metrics;
use crate::upstream::supervisor::Supervisor;

/// Connections at once; one who scrapes needs one.
const CONNECTIONS: usize = 16;

/// How long one may take from accepting it to its end.
const TIME: Duration = Duration::from_secs(10);

/// Takes the address; `public` says whether strangers may reach it.
///
/// # Errors
/// It can be reached from outside, or is taken.
pub fn bind(address: SocketAddr, public: bool) -> Result<TcpListener, Error> {
    refuse_strangers(address, public)?;
    socket::bind(address, public)
}

/// Takes a socket that listens already.
///
/// # Errors
/// It can be reached from outside.
pub fn adopt(listener: TcpListener, public: bool) -> Result<TcpListener, Error> {
    let address = listener.local_addr().map_err(Error::UsePassed)?;
    refuse_strangers(address, public)?;
    socket::adopt(listener, public)
}

fn refuse_strangers(address: SocketAddr, public: bool) -> Result<(), Error> {
    if address.ip().is_loopback() || public {
        return Ok(());
    }
    Err(Error::MetricsOpenToStrangers(address))
}

/// Serves until the process ends.
///
/// # Errors
/// The listener cannot be used.
pub fn serve(listener: TcpListener, metrics: Arc<Metrics>, supervisor: Supervisor) -> Result<(), Error> {
    let listener = tokio::net::TcpListener::from_std(listener).map_err(Error::ListenForMetrics)?;
    let address = listener.local_addr().map_err(Error::ListenForMetrics)?;
    tracing::info!(%address, "serving metrics");
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    tokio::spawn(async move {
        loop {
            let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let (metrics, supervisor) = (Arc::clone(&metrics), supervisor.clone());
            let service = service_fn(move |request| {
                let (metrics, supervisor) = (Arc::clone(&metrics), supervisor.clone());
                async move { Ok::<_, Infallible>(answer(&request, &metrics, &supervisor).await) }
            });
            tokio::spawn(async move {
                let mut protocol = http1::Builder::new();
                protocol.timer(TokioTimer::new()).keep_alive(false);
                let _ = tokio::time::timeout(TIME, protocol.serve_connection(TokioIo::new(stream), service)).await;
                drop(place);
            });
        }
    });
    Ok(())
}

async fn answer(request: &Request<Incoming>, metrics: &Metrics, supervisor: &Supervisor) -> Response<Full<Bytes>> {
    let (status, text) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => match metrics.text(supervisor.stats().await.as_ref()) {
            Ok(text) => (StatusCode::OK, text),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        },
        _ => (StatusCode::NOT_FOUND, "there is GET /metrics here\n".to_owned()),
    };
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    let kind = if status == StatusCode::OK { TEXT_FORMAT } else { "text/plain" };
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
