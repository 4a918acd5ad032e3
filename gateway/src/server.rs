//! The listener and its connections: how many, how long, and how they end.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;

use crate::args::Serve;
use crate::routes;

/// A connection's read buffer, which a request's line and header must fit.
const LARGEST_HEADER: usize = 16 * 1024;

/// How long to wait after a failure to accept, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Takes the address, while this process may still have the privilege to.
///
/// # Errors
/// A sentence that says what to do.
pub fn bind(arguments: &Serve) -> Result<TcpListener, String> {
    let address = arguments.listen;
    if !address.ip().is_loopback() && !arguments.no_auth {
        return Err(format!(
            "{address} can be reached from outside and no keys are configured: listen on a loopback address such as \
             127.0.0.1:8080, or pass --no-auth to run scripts for whoever can connect"
        ));
    }
    let listener = TcpListener::bind(address).map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            format!("listen on {address}: the port is taken: end who has it, or choose another with CLOISTER_LISTEN")
        }
        _ => format!("listen on {address}: {error}"),
    })?;
    listener.set_nonblocking(true).map_err(|error| format!("listen on {address}: {error}"))?;
    Ok(listener)
}

/// Serves until SIGTERM or SIGINT, then lets running requests finish for a while.
///
/// # Errors
/// What kept it from starting.
pub async fn run(arguments: &Serve, listener: TcpListener) -> Result<(), String> {
    raise_open_files();
    let listener = tokio::net::TcpListener::from_std(listener).map_err(|error| format!("listen: {error}"))?;
    let service = TowerToHyperService::new(routes::router(arguments));
    let mut protocol = http1::Builder::new();
    protocol.timer(TokioTimer::new()).header_read_timeout(arguments.header_timeout).max_buf_size(LARGEST_HEADER);
    let places = Arc::new(Semaphore::new(arguments.max_connections));
    let connections = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop_signal()?);
    tracing::info!(address = %arguments.listen, socket = %arguments.socket.display(), "listening");
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
            listener.accept().await.map(|(stream, _)| (stream, place))
        };
        let (stream, place) = tokio::select! {
            () = &mut stop => break,
            accepted = accepted => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        let _ = stream.set_nodelay(true);
        let connection = protocol.serve_connection(TokioIo::new(stream), service.clone());
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(place);
        });
    }
    drop(listener);
    tracing::info!("stopping: running requests may finish");
    let _ = tokio::time::timeout(arguments.drain, connections.shutdown()).await;
    Ok(())
}

fn stop_signal() -> Result<impl Future<Output = ()>, String> {
    let of = |kind| signal(kind).map_err(|error| format!("listen for signals: {error}"));
    let (mut terminate, mut interrupt) = (of(SignalKind::terminate())?, of(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Each connection takes up to two descriptors; the soft limit is often far below what is allowed.
fn raise_open_files() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}
