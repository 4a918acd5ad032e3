//! The life of the daemon, from an empty host to an empty host.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use cloister_program::log::{self, NoJournal};
use cloister_program::{Stop, open_policy};
use cloister_sandbox::devices::Devices;
use cloister_terms::Policy;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinError;

use crate::daemon::args::Serve;
use crate::daemon::claim::{Claim, ClaimError};
use crate::daemon::confine::{self, NotConfined, NotRoot, require_root};
use crate::daemon::needs::{has_loopback, id_range};
use crate::daemon::open_files::{TooFewFiles, allow_open_files};
use crate::daemon::reader::{NoPolicy, Reader};
use crate::daemon::reload::{Reasons, Source};
use crate::daemon::start::{self, StartError};
use crate::daemon::watched::Watched;
use crate::daemon::{canary, devices, notify, reload};
use crate::door::server::Server;
use crate::door::socket;
use crate::link::event_loop::{NoEventLoop, runtime};
use crate::link::launcher::Guard;

/// What kept the daemon from starting, or ended it: each is a sentence for a person.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// There is no log.
    #[error(transparent)]
    Log(#[from] NoJournal),
    /// It takes root.
    #[error(transparent)]
    NotRoot(#[from] NotRoot),
    /// There is no policy.
    #[error(transparent)]
    Policy(#[from] NoPolicy),
    /// It may not have as many open files as it needs.
    #[error(transparent)]
    Files(#[from] TooFewFiles),
    /// There is no event loop.
    #[error(transparent)]
    EventLoop(#[from] NoEventLoop),
    /// Signals do not reach it.
    #[error("listen for signals: {0}")]
    Signals(io::Error),
    /// It is not confined.
    #[error(transparent)]
    NotConfined(#[from] NotConfined),
    /// A step of the sandbox failed.
    #[error(transparent)]
    Sandbox(#[from] cloister_sandbox::Error),
    /// The policy's directory cannot be watched.
    #[error("watch the directory of {path} for changes (--reload-on-change): {1}", path = .0.display())]
    Watch(PathBuf, io::Error),
    /// The socket cannot be listened on.
    #[error("listen on {path}: {1}", path = .0.display())]
    Socket(PathBuf, io::Error),
    /// Others have its ids.
    #[error(transparent)]
    Claim(#[from] ClaimError),
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
}

/// Serves until SIGTERM or SIGINT and for the notice; then lets running jobs finish within their limits.
///
/// # Errors
/// What kept it from starting.
pub fn serve(arguments: &Serve) -> Result<ExitCode, ServeError> {
    log::start(arguments.log_format, |filter| filter)?;
    require_root()?;
    let (reader, path) = (Reader::find()?, &arguments.common.policy);
    // Outlives the event loop, and so all that runs with these ids: nobody else has them before.
    let mut claim = None;
    let runtime = runtime()?;
    // On this thread: one that was there before the confinement would be outside of it.
    let file = open_policy(path).map_err(NoPolicy::from)?;
    let policy = runtime.block_on(reader.read(file, path))?.policy()?;
    allow_open_files(&policy)?;
    cloister_sandbox::sys::give_back_large_blocks();
    // First of all: until they are listened for, signals end the process, and leave what it has begun.
    let (reasons, stop) = {
        let _inside = runtime.enter();
        let failed = ServeError::Signals;
        let watched = arguments.reload_on_change.then(|| Watched::directory_of(path)).transpose();
        let watched = watched.map_err(|error| ServeError::Watch(path.clone(), error))?;
        (Reasons { hangup: signal(SignalKind::hangup()).map_err(failed)?, watched }, Stop::new().map_err(failed)?)
    };
    let devices = devices::make(&policy, &arguments.cgroup)?;
    confine::confine(has_loopback(&policy))?;
    runtime.block_on(run(arguments, &policy, reader, &mut claim, devices, (reasons, stop)))
}

async fn run(
    arguments: &Serve,
    policy: &Policy,
    reader: Reader,
    claim: &mut Option<Claim>,
    devices: Option<Devices>,
    (reasons, mut stop): (Reasons, Stop),
) -> Result<ExitCode, ServeError> {
    let failed = |error| ServeError::Socket(arguments.socket.clone(), error);
    let passed = socket::passed().map_err(failed)?;
    let owns_socket = passed.is_none();
    let listener =
        passed.map_or_else(|| socket::listen(&arguments.socket, &arguments.gateway_uid), Ok).map_err(failed)?;
    let claim = claim.insert(take_claim(arguments, policy)?);
    let start = start::start(policy, claim, &arguments.cgroup, devices, Guard::default());
    let engine = tokio::select! {
        started = notify::while_starting(start) => started?,
        // What was started so far ends with it.
        () = stop.asked() => return Ok(ExitCode::SUCCESS),
    };
    engine.bound_memory()?;
    let engine = Arc::new(engine);
    let server = Arc::new(Server::new(Arc::clone(&engine), arguments.gateway_uid.clone()));
    let notice = arguments.drain_notice(!owns_socket);
    let serving = tokio::spawn(Arc::clone(&server).serve(listener, until_over(stop, Arc::clone(&server), notice)));

    if let Err(broken) = notify::while_starting(canary::all_hold(&engine.pools())).await {
        return Err(ServeError::Broken(broken));
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
    let source = Source { path: arguments.common.policy.clone(), reader };
    let reloads = tokio::spawn(reload::at_each(reasons, Arc::clone(&engine), Arc::clone(&server), source));
    serving.await?;
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

/// Completes when no more jobs are taken: after the notice, which begins with the first signal to stop and ends with the second.
/// A server that takes none yet has nobody to tell.
async fn until_over(mut stop: Stop, server: Arc<Server>, notice: Duration) {
    stop.asked().await;
    notify::stopping();
    if !notice.is_zero() && server.is_ready() {
        server.set_going();
        tracing::info!(?notice, "going: jobs are still taken");
        let _ = tokio::time::timeout(notice, stop.asked()).await;
    }
    tracing::info!("stopping: running jobs may finish, new ones are refused");
}
