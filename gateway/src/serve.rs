//! `serve`: the start in its order, and the end.

use std::net::TcpListener;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;

use cloister_program::{Stop, log};
use tracing::level_filters::LevelFilter;

use crate::admission::body_budget::THREADS;
use crate::admission::caller::Admission;
use crate::admission::client_address::TrustedProxies;
use crate::admission::host_check::HostNames;
use crate::api::router::router;
use crate::args::Serve;
use crate::error::Error;
use crate::going::{Departure, Going};
use crate::keys::{Keyring, parent};
use crate::listen::activity::Pace;
use crate::listen::connections::Connections;
use crate::listen::http::Protocols;
use crate::listen::listeners::Listeners;
use crate::listen::timeouts::Timeouts;
use crate::listen::tls::Tls;
use crate::listen::{admin, socket};
use crate::metrics::Metrics;
use crate::privileges;
use crate::systemd::{credentials, notify, sockets};
use crate::upstream::supervisor::Supervisor;
use crate::usage::accounts::Accounts;
use crate::usage::sink;
use crate::watch::{self, Watched};

/// In this order: take the port, give up what that may have needed, and only then listen to anyone.
///
/// # Errors
/// What kept it from starting.
pub fn serve(mut arguments: Serve) -> Result<(), Error> {
    credentials::adopt(&mut arguments)?;
    // It tells of every message, and what is in some.
    log::start(arguments.log_format, |filter| filter.with_target("rmcp", LevelFilter::OFF))?;
    let open = arguments.no_auth || arguments.keys.is_some();
    let passed = sockets::listeners()?;
    let is_passed = passed.clients.is_some();
    let listener = match passed.clients {
        Some(passed) => socket::adopt(passed, open)?,
        None => socket::bind(arguments.listen, open)?,
    };
    let jupyter = arguments.jupyter_listen.map(|address| socket::bind(address, open)).transpose()?;
    let metrics = match passed.metrics {
        Some(passed) => Some(admin::adopt(passed, arguments.metrics_public)?),
        None => arguments.metrics.map(|address| admin::bind(address, arguments.metrics_public)).transpose()?,
    };
    socket::raise_open_files();
    let files = [&arguments.keys, &arguments.tls_certificate, &arguments.tls_key];
    let files: Vec<_> = files.into_iter().flatten().map(PathBuf::as_path).collect();
    privileges::give_up(arguments.user.as_deref(), &arguments.socket, &files, &written(&arguments))?;
    let address = listener.local_addr().map_err(Error::Listen)?;
    let (accounts, books) = Accounts::open(arguments.state.as_deref(), arguments.usage.as_deref(), address)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(THREADS)
        .on_thread_start(cloister_program::stand_behind)
        .build()
        .map_err(Error::EventLoop)?;
    let served = runtime.block_on(run(&arguments, ((listener, jupyter), is_passed), metrics, accounts));
    // With it goes what was cut off, which is counted too.
    drop(runtime);
    let closed = books.close();
    served.and(closed)
}

/// The directories in which files are written.
fn written(arguments: &Serve) -> Vec<PathBuf> {
    let events = arguments.usage.as_deref().filter(|file| !sink::is_output(file)).map(parent);
    arguments.state.clone().into_iter().chain(events).collect()
}

/// Serves until SIGTERM or SIGINT and for the notice, then lets running requests finish for a while.
async fn run(
    arguments: &Serve,
    (listeners, is_passed): ((TcpListener, Option<TcpListener>), bool),
    metrics: Option<TcpListener>,
    accounts: Accounts,
) -> Result<(), Error> {
    let listeners = Listeners::of(listeners).map_err(Error::Listen)?;
    let address = listeners.address().map_err(Error::Listen)?;
    let mut stop = Stop::new().map_err(Error::Signals)?;
    let departure = Departure::new();
    let counted = Arc::new(Metrics::new(arguments.metrics_by_key).map_err(Error::Metrics)?);
    let connections = connections(arguments, &counted, accounts, departure.heard())?;
    if let Some(listener) = metrics {
        let supervisor = Supervisor::new(&arguments.socket, arguments.hold, &counted);
        admin::serve(listener, counted, supervisor)?;
    }
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
    accept_until(stop.asked(), &connections, &listeners).await;
    let notice = arguments.drain_notice(address, is_passed);
    notify::stopping(notice + arguments.drain);
    if !notice.is_zero() {
        departure.give_notice();
        tracing::info!(connections = connections.count(), ?notice, "going: everything is still served");
        let over = async {
            tokio::select! {
                () = tokio::time::sleep(notice) => {}
                () = stop.asked() => tracing::info!("the notice is cut short"),
            }
        };
        accept_until(over, &connections, &listeners).await;
    }
    departure.close();
    if !is_passed {
        connections.serve_last(&listeners).await;
    }
    drop(listeners);
    tracing::info!(connections = connections.count(), "stopping: running requests may finish");
    tokio::select! {
        () = connections.ended() => tracing::info!("stopped"),
        () = tokio::time::sleep(arguments.drain) => tracing::warn!("stopped: requests that still ran were cut off"),
        () = stop.asked() => tracing::warn!("stopped at once: asked again"),
    }
    Ok(())
}

/// Serves whoever connects until this completes.
async fn accept_until(end: impl Future<Output = ()>, connections: &Connections, listeners: &Listeners) {
    let (mut end, mut watchdog) = (pin!(end), pin!(notify::feed_watchdog()));
    loop {
        tokio::select! {
            () = &mut end => return,
            never = &mut watchdog => match never {},
            come = connections.accept(listeners) => connections.serve(come),
        }
    }
}

/// What connections are served with, as the command line asks for it. The files that are named there are read here, and
/// again when they change.
fn connections(
    arguments: &Serve,
    metrics: &Arc<Metrics>,
    accounts: Accounts,
    going: Going,
) -> Result<Connections, Error> {
    let mut watched = Vec::new();
    let (keyring, tls) = (keys(arguments, &mut watched)?, certificate(arguments, &mut watched)?);
    watch::start(watched)?;
    let open = arguments.no_auth || keyring.is_some();
    let names = if open { HostNames::Any } else { HostNames::Loopback };
    let router = router(arguments, Admission::new(keyring), Arc::clone(metrics), (accounts, going.clone()));
    let pace = Pace { window: arguments.body_timeout, bytes: arguments.least_read.get() as u64 };
    let timeouts = Timeouts { header: arguments.header_timeout, idle: arguments.idle_timeout, pace };
    let proxies = TrustedProxies::new(arguments.trusted_proxy.clone());
    let protocols = Protocols::new(router, (proxies, names, arguments.node), pace, Arc::clone(metrics));
    Ok(Connections::new(arguments.max_connections, protocols, tls, timeouts, Arc::clone(metrics), going))
}

/// Reads the keys, if there are to be any.
fn keys(arguments: &Serve, watched: &mut Vec<Watched>) -> Result<Option<Arc<Keyring>>, Error> {
    let Some(path) = arguments.keys.clone() else { return Ok(None) };
    let keyring = Arc::new(Keyring::open(&path).map_err(Error::Keys)?);
    if let (None, Some(key)) = (&arguments.state, keyring.any_with_quota()) {
        return Err(Error::QuotaWithoutState(key));
    }
    let again = Arc::clone(&keyring);
    watched.push(Watched::new("keys", vec![path.clone()], move || again.reload(&path).map_err(Error::Keys)));
    Ok(Some(keyring))
}

/// Reads the certificate and its key, if there are to be any.
fn certificate(arguments: &Serve, watched: &mut Vec<Watched>) -> Result<Option<Arc<Tls>>, Error> {
    let pair = arguments.tls_certificate.clone().zip(arguments.tls_key.clone());
    let Some((certificate, key)) = pair else { return Ok(None) };
    let tls = Arc::new(Tls::open(&certificate, &key)?);
    let again = Arc::clone(&tls);
    watched.push(Watched::new("certificate", vec![certificate, key], move || again.reload()));
    Ok(Some(tls))
}
