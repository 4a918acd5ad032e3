//! `serve`: the daemon, from an empty host to an empty host.

use std::process::ExitCode;
use std::sync::Arc;

use cloister_policy::Policy;
use cloister_program::log;
use cloister_sandbox::devices::Devices;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::activation;
use crate::args::Serve;
use crate::canary;
use crate::claim::{Claim, ClaimError};
use crate::confine;
use crate::connections::SPARE;
use crate::devices;
use crate::notify;
use crate::places::MOST_UNREAD;
use crate::reload;
use crate::server::{self, Server};
use crate::service::{Service, has_loopback, id_range, load_policy, slot_count};

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
    let runtime = runtime()?;
    // First of all: until they are listened for, signals end the process, and leave what it has begun.
    let (hangup, stop) = {
        let _inside = runtime.enter();
        (listen_for(SignalKind::hangup())?, stop_signal()?)
    };
    let devices = devices::make(&policy, &arguments.cgroup)?;
    confine::confine(has_loopback(&policy))?;
    runtime.block_on(run(arguments, &policy, devices, hangup, stop))
}

async fn run(
    arguments: &Serve,
    policy: &Policy,
    devices: Option<Devices>,
    hangup: Signal,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<ExitCode, String> {
    let mut stop = Box::pin(stop);
    let failed = |error| format!("listen on {}: {error}", arguments.socket.display());
    let passed = activation::listener().map_err(failed)?;
    let owns_socket = passed.is_none();
    let listener =
        passed.map_or_else(|| server::listen(&arguments.socket, &arguments.gateway_uid), Ok).map_err(failed)?;
    let claim = claim(arguments, policy).map_err(|error| error.to_string())?;
    let start = Service::start(policy, claim, &arguments.cgroup, devices, &[]);
    let service = tokio::select! {
        started = notify::while_starting(start) => started.map_err(|error| error.to_string())?,
        // What was started so far ends with it.
        () = &mut stop => return Ok(ExitCode::SUCCESS),
    };
    service.bound_memory().map_err(|error| error.to_string())?;
    let service = Arc::new(service);
    let server = Arc::new(Server::new(Arc::clone(&service), arguments.gateway_uid.clone()));
    let serving = tokio::spawn(Arc::clone(&server).serve(listener, stop));

    if let Err(broken) = notify::while_starting(canary::all_hold(&service.hosts())).await {
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
    let policy_file = arguments.common.policy.clone();
    let reloads = tokio::spawn(reload::at_each(hangup, Arc::clone(&service), Arc::clone(&server), policy_file));
    serving.await.map_err(|error| format!("serve: {error}"))?;
    // One that is under way is given up; what it has started goes with it.
    reloads.abort();
    let _ = reloads.await;
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

/// The policy's ids, or the first behind them that nobody has where this supervisor is to live beside others.
fn claim(arguments: &Serve, policy: &Policy) -> Result<Claim, ClaimError> {
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

/// Threads beside the event loop, for what would hold it up: parsing, writing, reading and freeing files.
const THREADS: usize = 16;

/// One thread does all else: it only waits and passes bytes on, and launchers die with the thread that
/// started them (`PR_SET_PDEATHSIG`), which must therefore be the one that lives longest.
pub fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(THREADS)
        .on_thread_start(cloister_program::stand_behind)
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

/// What a slot takes at most: ten files of its cgroup, seven of a job in it, the job's file system, and its connection.
const FILES_A_SLOT: u64 = 19;

/// What everything else takes: launchers, zygotes, the event loop, connections whose answers are not read yet, and spare ones.
const FILES_BESIDE: u64 = 512 + MOST_UNREAD as u64 + SPARE as u64;

/// How many open files so many slots take at most, and all that is beside them.
#[must_use]
pub fn open_files(slots: u32, queue: u32) -> u64 {
    u64::from(slots) * FILES_A_SLOT + u64::from(queue) + FILES_BESIDE
}

/// Allows as many open files as all slots together may take, and where that can be had as many again,
/// which a reload needs for a while. Root may raise even the hard limit, up to the kernel's own,
/// `fs.nr_open`.
fn allow_open_files(policy: &Policy) -> Result<(), String> {
    let (slots, queue) = (slot_count(policy), policy.supervisor.queue);
    let needed = open_files(slots, queue);
    let (_, hard) =
        getrlimit(Resource::RLIMIT_NOFILE).map_err(|error| format!("read the limit on open files: {error}"))?;
    let allow = |limit| setrlimit(Resource::RLIMIT_NOFILE, limit, limit);
    if allow(open_files(2 * slots, queue).max(hard)).is_ok() {
        return Ok(());
    }
    allow(needed.max(hard)).map_err(|error| {
        format!("the policy's slots need {needed} open files and this process may have {hard}: lower slots, or raise fs.nr_open and the unit's LimitNOFILE ({error})")
    })
}
