//! Resource limits of each process, `setrlimit(2)`. Soft and hard alike, so none can be raised.

use nix::sys::resource::{Resource, setrlimit};

use crate::spec::Rlimits;
use crate::{Context, Result};

/// Applies the limits to this process; children inherit them.
///
/// # Errors
/// The limit that the kernel refused.
pub fn apply(limits: &Rlimits) -> Result<()> {
    let bounds = [
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_MEMLOCK, 0),
        (Resource::RLIMIT_NICE, 0),
        (Resource::RLIMIT_RTPRIO, 0),
        (Resource::RLIMIT_MSGQUEUE, limits.message_queues),
        // Beyond the job's own these count as those of the host's root, who made the user namespaces, and
        // who would be the one without: user_namespaces(7), sigqueue(3).
        (Resource::RLIMIT_SIGPENDING, limits.pending_signals),
        (Resource::RLIMIT_NPROC, limits.processes),
        (Resource::RLIMIT_AS, limits.address_space),
        (Resource::RLIMIT_DATA, limits.data),
        (Resource::RLIMIT_NOFILE, limits.open_files),
        (Resource::RLIMIT_FSIZE, limits.file_size),
        (Resource::RLIMIT_STACK, limits.stack),
        (Resource::RLIMIT_CPU, limits.cpu_seconds),
    ];
    // Without a bound a limit stays as it is: to raise one takes a privilege that is not given here.
    for (resource, bound) in bounds.into_iter().filter(|(_, bound)| *bound != u64::MAX) {
        setrlimit(resource, bound, bound).doing(|| format!("setrlimit {resource:?} to {bound}"))?;
    }
    Ok(())
}
