//! `serve`: the daemon, from an empty host to an empty host.

use std::process::ExitCode;
use std::sync::Arc;

use cloister_policy::Policy;
use tokio::signal::unix::{SignalKind, signal};

use crate::activation;
use crate::args::Serve;
use crate::canary;
use crate::confine;
use crate::log;
use crate::notify;
use crate::server::{self, Server};
use crate::service::{Service, load_policy};

/// Serves until SIGTERM or SIGINT; then lets running jobs finish within their limits.
///
/// # Errors
/// What kept it from starting, for a person.
pub fn serve(arguments: &Serve) -> Result<ExitCode, String> {
    log::start(arguments.log_format)?;
    require_root()?;
    let policy = load_policy(&arguments.common.policy)?;
    confine::confine()?;
    runtime()?.block_on(run(arguments, &policy))
}

async fn run(arguments: &Serve, policy: &Policy) -> Result<ExitCode, String> {
    let failed = |error| format!("listen on {}: {error}", arguments.socket.display());
    let passed = activation::listener().map_err(failed)?;
    let owns_socket = passed.is_none();
    let listener =
        passed.map_or_else(|| server::listen(&arguments.socket, &arguments.gateway_uid), Ok).map_err(failed)?;
    let service = Service::start(policy, &arguments.cgroup, &[]).await.map_err(|error| error.to_string())?;
    let service = Arc::new(service);
    let server = Arc::new(Server::new(Arc::clone(&service), arguments.gateway_uid.clone()));
    let stop = stop_signal()?;
    let serving = tokio::spawn(Arc::clone(&server).serve(listener, stop));

    if let Err(broken) = canary::all_hold(&service).await {
        let broken = broken.join("\n  ");
        return Err(format!(
            "the sandbox does not hold on this host, so nothing is served:\n  {broken}\n`cloister-supervisor doctor` shows every layer"
        ));
    }
    server.set_ready();
    notify::ready();
    let reporting = tokio::spawn(notify::report(Arc::downgrade(&service)));
    tracing::info!(
        socket = %arguments.socket.display(),
        policy = &policy.digest[..12],
        slots = policy.supervisor.slots,
        cgroup = %service.cgroup_version(),
        "ready"
    );
    serving.await.map_err(|error| format!("serve: {error}"))?;
    drop(server);
    reporting.abort();
    let _ = reporting.await;
    if let Ok(mut service) = Arc::try_unwrap(service) {
        service.drain().await;
    }
    if owns_socket {
        let _ = std::fs::remove_file(&arguments.socket);
    }
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Completes at the first request to stop.
fn stop_signal() -> Result<impl Future<Output = ()>, String> {
    let of = |kind| signal(kind).map_err(|error| format!("listen for signals: {error}"));
    let (mut terminate, mut interrupt) = (of(SignalKind::terminate())?, of(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        notify::stopping();
        tracing::info!("stopping: running jobs may finish, new ones are refused");
    })
}

/// One thread does all: it only waits and passes bytes on, and launchers die with the thread that
/// started them (`PR_SET_PDEATHSIG`), which must therefore be the one that lives longest.
pub fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("start the event loop: {error}"))
}

/// Sandboxes need root to begin with.
pub fn require_root() -> Result<(), String> {
    if nix::unistd::geteuid().is_root() {
        Ok(())
    } else {
        Err("this needs root, to map ids and to make control groups: run it with sudo".to_owned())
    }
}
