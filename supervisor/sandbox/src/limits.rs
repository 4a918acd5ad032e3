//! Resource limits of each process, `setrlimit(2)`. Soft and hard alike, so none can be raised.

use nix::sys::resource::{Resource, setrlimit};

use crate::spec::Rlimits;
use crate::{Context, Result};

/// Signals queued and timers made at once. Beyond the job's own they count as those of the host's root,
/// who made the user namespaces, and who would be the one without: `user_namespaces(7)`, `sigqueue(3)`.
const PENDING_SIGNALS: u64 = 256;

/// Applies the limits to this process; children inherit them.
///
/// # Errors
/// The limit that the kernel refused.
pub fn apply(limits: &Rlimits) -> Result<()> {
    let bounds = [
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_MEMLOCK, 0),
        (Resource::RLIMIT_MSGQUEUE, 0),
        (Resource::RLIMIT_SIGPENDING, PENDING_SIGNALS),
        (Resource::RLIMIT_NOFILE, limits.open_files),
        (Resource::RLIMIT_FSIZE, limits.file_size),
        (Resource::RLIMIT_STACK, limits.stack),
        (Resource::RLIMIT_CPU, limits.cpu_seconds),
    ];
    for (resource, bound) in bounds {
        setrlimit(resource, bound, bound).doing(|| format!("setrlimit {resource:?} to {bound}"))?;
    }
    Ok(())
}
