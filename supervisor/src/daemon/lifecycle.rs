//! The life of the daemon, from what was made for it to its end.

use std::io;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use cloister_program::Stop;
use cloister_program::log::{self, NoJournal};
use cloister_supervisor::args::Serve;
use cloister_supervisor::{Begin, NotBegun};
use nix::sys::prctl;
use nix::sys::signal::SigSet;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinError;

use crate::daemon::notify::Manager;
use crate::daemon::reload::Reasons;
use crate::daemon::start::{self, StartError};
use crate::daemon::watched::Watched;
use crate::daemon::{canary, reload};
use crate::door::engine::Engine;
use crate::door::server::Server;
use crate::link::event_loop::{NoEventLoop, runtime, watch};
use crate::link::launcher::Guard;

/// What kept the daemon from starting, or ended it: each is a sentence for a person.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Nothing was made for it.
    #[error(transparent)]
    NotBegun(#[from] NotBegun),
    /// There is no log.
    #[error(transparent)]
    Log(#[from] NoJournal),
    /// There is no event loop.
    #[error(transparent)]
    EventLoop(#[from] NoEventLoop),
    /// Signals do not reach it, or something else that it waits for.
    #[error("wait for signals, requests and the monitor: {0}")]
    Deaf(#[from] io::Error),
    /// A step of the sandbox failed.
    #[error(transparent)]
    Sandbox(#[from] cloister_sandbox::Error),
    /// What serves jobs could not be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// An attempt that must fail did not.
    #[error(
        "the sandbox does not hold on this host, so nothing is served:\n  {}\n`cloister doctor` shows every layer",
        .0.join("\n  ")
    )]
    Broken(Vec<String>),
    /// What serves has ended by itself.
    #[error("serve: {0}")]
    Ended(#[from] JoinError),
    /// What does what takes root is gone.
    #[error("the monitor, which does what takes root, has ended: nothing is served without it")]
    Alone,
}

/// Serves until SIGTERM or SIGINT and for the notice; then lets running jobs finish within their limits.
///
/// # Errors
/// What kept it from starting.
pub fn serve(arguments: &Serve) -> Result<ExitCode, ServeError> {
    let begin = Begin::take()?;
    // Started by a descriptor, it has the number of that for a name: execveat(2).
    prctl::set_name(c"cloister-engine").map_err(io::Error::from)?;
    log::start_as("cloister-supervisor", arguments.log_format, |filter| filter)?;
    cloister_sandbox::sys::give_back_large_blocks();
    let runtime = runtime()?;
    // First of all: until they are listened for, they are held back.
    let (hangup, stop) = {
        let _inside = runtime.enter();
        (signal(SignalKind::hangup())?, Stop::new()?)
    };
    SigSet::empty().thread_set_mask().map_err(io::Error::from)?;
    runtime.block_on(async move {
        let watched = begin.watched.map(Watched::new).transpose()?;
        let reasons = Reasons { hangup, watched };
        begin.listener.set_nonblocking(true)?;
        let listener = UnixListener::from_std(begin.listener)?;
        let start = start::start(&begin.policy, begin.host, Guard::default());
        let manager = Arc::new(Manager::new(begin.manager));
        let at = Listening { listener, owns_socket: begin.owns_socket, manager };
        tokio::select! {
            served = run(arguments, start, at, (reasons, stop)) => served,
            () = ended(begin.life) => Err(ServeError::Alone),
        }
    })
}

/// Completes when nobody has the other end of a pipe any more.
async fn ended(life: OwnedFd) {
    if let Ok(life) = watch(life) {
        let _ = life.readable().await;
    }
}

/// Where it is served.
struct Listening {
    listener: UnixListener,
    /// Whether nobody else holds that for the next life.
    owns_socket: bool,
    manager: Arc<Manager>,
}

async fn run(
    arguments: &Serve,
    start: impl Future<Output = Result<Engine, StartError>>,
    Listening { listener, owns_socket, manager }: Listening,
    (reasons, mut stop): (Reasons, Stop),
) -> Result<ExitCode, ServeError> {
    let engine = tokio::select! {
        started = manager.while_starting(start) => started?,
        // What was started so far ends with it.
        () = stop.asked() => return Ok(ExitCode::SUCCESS),
    };
    engine.bound_memory()?;
    let engine = Arc::new(engine);
    let server = Arc::new(Server::new(Arc::clone(&engine), arguments.gateway_uid.clone()));
    let notice = arguments.drain_notice(!owns_socket);
    let until = until_over(stop, Arc::clone(&server), notice, Arc::clone(&manager));
    let serving = tokio::spawn(Arc::clone(&server).serve(listener, until));

    if let Err(broken) = manager.while_starting(canary::all_hold(&engine.pools())).await {
        return Err(ServeError::Broken(broken));
    }
    server.set_ready();
    manager.ready();
    let reporting = tokio::spawn(manager.report(Arc::downgrade(&engine)));
    let in_force = engine.in_force();
    tracing::info!(
        socket = %arguments.socket.display(),
        policy = &in_force.digest()[..12],
        slots = in_force.supervisor().slots,
        cgroup = %engine.cgroup_version(),
        "ready"
    );
    drop(in_force);
    let path = arguments.common.policy.clone();
    let reloads = tokio::spawn(reload::at_each(reasons, Arc::clone(&engine), Arc::clone(&server), path));
    serving.await?;
    // One that is under way is given up; what it has started goes with it.
    reloads.abort();
    let _ = reloads.await;
    drop(server);
    reporting.abort();
    let _ = reporting.await;
    let powers = Arc::clone(&engine.ground().powers);
    if let Ok(mut engine) = Arc::try_unwrap(engine) {
        engine.drain().await;
    }
    // A policy that is being read holds on to them.
    powers.end();
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Completes when no more jobs are taken: after the notice, which begins with the first signal to stop and ends with the second.
/// A server that takes none yet has nobody to tell.
async fn until_over(mut stop: Stop, server: Arc<Server>, notice: Duration, manager: Arc<Manager>) {
    stop.asked().await;
    manager.stopping();
    if !notice.is_zero() && server.is_ready() {
        server.set_going();
        tracing::info!(?notice, "going: jobs are still taken");
        let _ = tokio::time::timeout(notice, stop.asked()).await;
    }
    tracing::info!("stopping: running jobs may finish, new ones are refused");
}
