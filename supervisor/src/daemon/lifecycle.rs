//! The life of the daemon, from an empty host to an empty host.

use std::process::ExitCode;
use std::sync::Arc;

use cloister_policy::Policy;
use cloister_program::log;
use cloister_sandbox::devices::Devices;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::daemon::args::Serve;
use crate::daemon::claim::{Claim, ClaimError};
use crate::daemon::confine::{self, require_root};
use crate::daemon::needs::{has_loopback, id_range, load_policy};
use crate::daemon::open_files::allow_open_files;
use crate::daemon::{canary, devices, notify, reload, start};
use crate::door::server::Server;
use crate::door::socket;
use crate::link::event_loop::runtime;
use crate::link::launcher::Guard;

/// Serves until SIGTERM or SIGINT; then lets running jobs finish within their limits.
///
/// # Errors
/// What kept it from starting, for a person.
pub fn serve(arguments: &Serve) -> Result<ExitCode, String> {
    log::start(arguments.log_format, [])?;
    require_root()?;
    let policy = load_policy(&arguments.common.policy)?;
    allow_open_files(&policy)?;
    cloister_sandbox::sys::give_back_large_blocks();
    // Outlives the event loop, and so all that runs with these ids: nobody else has them before.
    let mut claim = None;
    let runtime = runtime()?;
    // First of all: until they are listened for, signals end the process, and leave what it has begun.
    let (hangup, stop) = {
        let _inside = runtime.enter();
        (listen_for(SignalKind::hangup())?, stop_signal()?)
    };
    let devices = devices::make(&policy, &arguments.cgroup)?;
    confine::confine(has_loopback(&policy))?;
    runtime.block_on(run(arguments, &policy, &mut claim, devices, hangup, stop))
}

async fn run(
    arguments: &Serve,
    policy: &Policy,
    claim: &mut Option<Claim>,
    devices: Option<Devices>,
    hangup: Signal,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<ExitCode, String> {
    let mut stop = Box::pin(stop);
    let failed = |error| format!("listen on {}: {error}", arguments.socket.display());
    let passed = socket::passed().map_err(failed)?;
    let owns_socket = passed.is_none();
    let listener =
        passed.map_or_else(|| socket::listen(&arguments.socket, &arguments.gateway_uid), Ok).map_err(failed)?;
    let claim = claim.insert(take_claim(arguments, policy).map_err(|error| error.to_string())?);
    let start = start::start(policy, claim, &arguments.cgroup, devices, Guard::default());
    let engine = tokio::select! {
        started = notify::while_starting(start) => started.map_err(|error| error.to_string())?,
        // What was started so far ends with it.
        () = &mut stop => return Ok(ExitCode::SUCCESS),
    };
    engine.bound_memory().map_err(|error| error.to_string())?;
    let engine = Arc::new(engine);
    let server = Arc::new(Server::new(Arc::clone(&engine), arguments.gateway_uid.clone()));
    let serving = tokio::spawn(Arc::clone(&server).serve(listener, stop));

    if let Err(broken) = notify::while_starting(canary::all_hold(&engine.pools())).await {
        let broken = broken.join("\n  ");
        return Err(format!(
            "the sandbox does not hold on this host, so nothing is served:\n  {broken}\n`cloister doctor` shows every layer"
        ));
    }
    server.set_ready();
    notify::ready();
    let reporting = tokio::spawn(notify::report(Arc::downgrade(&engine)));
    tracing::info!(
        socket = %arguments.socket.display(),
        policy = &policy.digest[..12],
        slots = policy.supervisor.slots,
        cgroup = %engine.cgroup_version(),
        "ready"
    );
    let policy_file = arguments.common.policy.clone();
    let reloads = tokio::spawn(reload::at_each(hangup, Arc::clone(&engine), Arc::clone(&server), policy_file));
    serving.await.map_err(|error| format!("serve: {error}"))?;
    // One that is under way is given up; what it has started goes with it.
    reloads.abort();
    let _ = reloads.await;
    drop(server);
    reporting.abort();
    let _ = reporting.await;
    if let Ok(mut engine) = Arc::try_unwrap(engine) {
        engine.drain().await;
    }
    if owns_socket {
        let _ = std::fs::remove_file(&arguments.socket);
    }
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// The policy's ids, or the first behind them that nobody has where this supervisor is to live beside others.
fn take_claim(arguments: &Serve, policy: &Policy) -> Result<Claim, ClaimError> {
    let ids = id_range(policy);
    if arguments.beside { Claim::first_free(ids.base.0, ids.count) } else { Claim::take(ids) }
}

/// Completes at the first request to stop.
fn stop_signal() -> Result<impl Future<Output = ()>, String> {
    let (mut terminate, mut interrupt) = (listen_for(SignalKind::terminate())?, listen_for(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        notify::stopping();
        tracing::info!("stopping: running jobs may finish, new ones are refused");
    })
}

fn listen_for(kind: SignalKind) -> Result<Signal, String> {
    signal(kind).map_err(|error| format!("listen for signals: {error}"))
}
