//! Resource limits of each process, `setrlimit(2)`. A job's are soft and hard alike, so none can be raised.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::error::{Context, Result};
use crate::spec::Spec;
use crate::sys;
use crate::wire::Span;

/// Applies the limits to this process, but for that of open files; children inherit them.
///
/// # Errors
/// The limit that the kernel refused.
pub fn apply(spec: &Spec, span: Span) -> Result<()> {
    apply_those(spec, |resource| resource != libc::RLIMIT_NOFILE)?;
    if span == Span::Session {
        return Ok(());
    }
    let seconds = spec.cpu_seconds;
    sys::limit(libc::RLIMIT_CPU, seconds).doing(|| format!("setrlimit RLIMIT_CPU to {seconds}"))
}

/// Applies the limit of open files. It bounds the numbers that files get, so that a process which still has descriptors of whoever forked
/// it could open no more, however few those will be that it keeps.
///
/// # Errors
/// The kernel's refusal.
pub fn apply_to_files(spec: &Spec) -> Result<()> {
    apply_those(spec, |resource| resource == libc::RLIMIT_NOFILE)
}

fn apply_those(spec: &Spec, applies: impl Fn(libc::__rlimit_resource_t) -> bool) -> Result<()> {
    spec.rlimits.bounds().into_iter().filter(|bound| applies(bound.resource)).try_for_each(|bound| {
        sys::limit(bound.resource, bound.most).doing(|| format!("setrlimit {} to {}", bound.name, bound.most))
    })
}

/// What programs ask for when they start, and libraries when they are loaded, and remember: how many files they may open
/// (`multiprocessing.util.MAXFD`), how large the stacks of threads become (`pthread_create(3)`).
/// Each with the least that a zygote itself takes: its arguments are its programs, and `execve(2)` gives them a quarter
/// of the stack.
const ASKED_AHEAD: [(Resource, u64); 2] = [(Resource::RLIMIT_NOFILE, 0), (Resource::RLIMIT_STACK, 1 << 20)];

/// Gives this process, and what it runs, a job's limits where programs ask ahead. They can be raised again.
///
/// # Errors
/// The limit that the kernel refused.
pub fn anticipate(spec: &Spec) -> Result<()> {
    for (resource, least) in ASKED_AHEAD {
        let of_job =
            spec.rlimits.bounds().into_iter().find(|bound| bound.resource == resource as libc::__rlimit_resource_t);
        if let Some(of_job) = of_job {
            let (_, most) = getrlimit(resource).doing(|| format!("getrlimit {}", of_job.name))?;
            setrlimit(resource, of_job.most.max(least).min(most), most)
                .doing(|| format!("setrlimit {} to {}", of_job.name, of_job.most))?;
        }
    }
    Ok(())
}

/// What may be mapped and never written, which is counted all the same.
const UNWRITTEN: u64 = 64 << 20;

/// Has this process take no more memory than it has now and so many bytes: `RLIMIT_DATA`, of which what it has by
/// `proc_pid_status(5)`.
///
/// # Errors
/// The kernel's refusal.
pub fn bound_growth(bytes: u64) -> Result<()> {
    let told = std::fs::read_to_string("/proc/self/status").doing(|| "read /proc/self/status")?;
    let kib =
        told.lines().find_map(|line| line.strip_prefix("VmData:")?.split_whitespace().next()?.parse::<u64>().ok());
    let (_, most) = getrlimit(Resource::RLIMIT_DATA).doing(|| "getrlimit RLIMIT_DATA")?;
    let now = kib.unwrap_or(0).saturating_mul(1024);
    let bound = now.saturating_add(bytes).saturating_add(UNWRITTEN).min(most);
    setrlimit(Resource::RLIMIT_DATA, bound, most).doing(|| format!("setrlimit RLIMIT_DATA to {bound}"))
}

/// Lets it have what it takes again.
///
/// # Errors
/// The kernel's refusal.
pub fn allow_growth() -> Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_DATA).doing(|| "getrlimit RLIMIT_DATA")?;
    setrlimit(Resource::RLIMIT_DATA, most, most).doing(|| format!("setrlimit RLIMIT_DATA to {most}"))
}

/// Lets this process have as many open files as it may, for who forks jobs holds descriptors of all of them.
///
/// # Errors
/// The kernel's refusal.
pub fn allow_files() -> Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).doing(|| "getrlimit RLIMIT_NOFILE")?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most).doing(|| format!("setrlimit RLIMIT_NOFILE to {most}"))
}
