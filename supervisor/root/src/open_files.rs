//! How many files this process may have open, and how many it needs.

use cloister_terms::Policy;
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::needs::{slot_count, slots_beside, slots_of_sessions};

/// Connections beside those of requests that run or wait: kept ones, and questions.
pub const SPARE: usize = 256;

/// How many answers may be unread at once while there is room in bytes: each has a connection.
pub const MOST_UNREAD: u32 = 1024;

/// Why this process may not have as many open files as it needs.
#[derive(Debug, thiserror::Error)]
pub enum TooFewFiles {
    /// How many it may have is not known.
    #[error("read the limit on open files: {0}")]
    Unread(Errno),
    /// The kernel gives no more.
    #[error(
        "the policy's slots need {needed} open files and this process may have {hard}: lower slots, or raise fs.nr_open and the unit's LimitNOFILE ({error})"
    )]
    Refused {
        /// For all slots together.
        needed: u64,
        /// The limit as it is.
        hard: u64,
        /// What the kernel said.
        error: Errno,
    },
}

/// What a slot takes at most: eleven files of its cgroup, the file system of what is in it, and seven of a job and its connection.
const FILES_A_SLOT: u64 = 19;

/// The same with a session in it: sixteen in place of the seven, of which five are a branch's once more.
const FILES_A_SESSION: u64 = 28;

/// What everything else takes: launchers, zygotes, the event loop, connections whose answers are not read yet, and spare ones.
const FILES_BESIDE: u64 = 512 + MOST_UNREAD as u64 + SPARE as u64;

/// How many open files are taken at most where so many slots have jobs: by these, by the policy's sessions, and by all that is beside.
#[must_use]
pub fn open_files(slots: u32, policy: &Policy) -> u64 {
    let of_sessions = u64::from(slots_of_sessions(policy)) * FILES_A_SESSION;
    u64::from(slots) * FILES_A_SLOT + of_sessions + u64::from(policy.supervisor.queue) + FILES_BESIDE
}

/// Allows as many open files as all slots together may take, and where that can be had as many again,
/// which a reload needs for a while. Root may raise even the hard limit, up to the kernel's own,
/// `fs.nr_open`.
///
/// # Errors
/// When that is more than the kernel gives.
pub fn allow_open_files(policy: &Policy) -> Result<(), TooFewFiles> {
    let slots = slot_count(policy) + slots_beside(policy);
    let needed = open_files(slots, policy);
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(TooFewFiles::Unread)?;
    let allow = |limit| setrlimit(Resource::RLIMIT_NOFILE, limit, limit);
    if allow((2 * needed).max(hard)).is_ok() {
        return Ok(());
    }
    allow(needed.max(hard)).map_err(|error| TooFewFiles::Refused { needed, hard, error })
}

/// Allows as many processes as can be had: by what the kernel counts, all jobs are below this process's account, which is none's
/// that it spares. Jobs are bounded one by one.
pub fn allow_processes() {
    let all = setrlimit(Resource::RLIMIT_NPROC, libc::RLIM_INFINITY, libc::RLIM_INFINITY);
    if let (Err(_), Ok((_, hard))) = (all, getrlimit(Resource::RLIMIT_NPROC)) {
        let _ = setrlimit(Resource::RLIMIT_NPROC, hard, hard);
        if hard != libc::RLIM_INFINITY {
            tracing::warn!(
                hard,
                "all jobs together may have so many processes: raise LimitNPROC of the unit, or the limit of whoever starts this"
            );
        }
    }
}
