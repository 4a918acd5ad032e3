//! Limits of each process, `setrlimit(2)`.

use serde::{Deserialize, Serialize};

use crate::amount::Bytes;

/// Limits of each process; `u64::MAX` is what the supervisor itself has. A new one gets its field here and its bound
/// below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimits {
    /// Open files.
    pub open_files: u64,
    /// Largest file.
    pub file_size: Bytes,
    /// Stack of the main thread.
    pub stack: Bytes,
    /// Address space.
    pub address_space: Bytes,
    /// Heap and private mappings.
    pub data: Bytes,
    /// Processes and threads of the job's id.
    pub processes: u64,
    /// Queued signals and timers.
    pub pending_signals: u64,
    /// POSIX message queues.
    pub message_queues: Bytes,
}

/// A resource as the kernel knows it, and the most that a process may have of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The resource's name.
    pub name: &'static str,
    /// Its number.
    pub resource: u32,
    /// Soft and hard limit.
    pub most: u64,
}

impl Rlimits {
    /// Every bound that there is, those among them that are the same in every profile.
    #[must_use]
    pub fn bounds(&self) -> Vec<Bound> {
        let bound = |name, resource, most| Bound { name, resource, most };
        let bounds = [
            bound("RLIMIT_CORE", libc::RLIMIT_CORE, 0),
            bound("RLIMIT_MEMLOCK", libc::RLIMIT_MEMLOCK, 0),
            bound("RLIMIT_NICE", libc::RLIMIT_NICE, 0),
            bound("RLIMIT_RTPRIO", libc::RLIMIT_RTPRIO, 0),
            bound("RLIMIT_MSGQUEUE", libc::RLIMIT_MSGQUEUE, self.message_queues.0),
            // Beyond the job's own these count as those of the host's root, who made the user namespaces, and
            // who would be the one without: user_namespaces(7), sigqueue(3).
            bound("RLIMIT_SIGPENDING", libc::RLIMIT_SIGPENDING, self.pending_signals),
            bound("RLIMIT_NPROC", libc::RLIMIT_NPROC, self.processes),
            bound("RLIMIT_AS", libc::RLIMIT_AS, self.address_space.0),
            bound("RLIMIT_DATA", libc::RLIMIT_DATA, self.data.0),
            bound("RLIMIT_NOFILE", libc::RLIMIT_NOFILE, self.open_files),
            bound("RLIMIT_FSIZE", libc::RLIMIT_FSIZE, self.file_size.0),
            bound("RLIMIT_STACK", libc::RLIMIT_STACK, self.stack.0),
        ];
        // Without a bound a limit stays as it is: to raise one takes a privilege that is not given.
        bounds.into_iter().filter(|bound| bound.most != u64::MAX).collect()
    }
}
