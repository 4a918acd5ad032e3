//! The numbers of a policy, and between which of them each lies. A file's reader has them from its keys, each with its words;
//! here they are once more, for whoever says that he has read one.

use std::ops::RangeInclusive;

use crate::amount::Bytes;
use crate::policy::{Profile, Supervisor};

/// Jobs at once, at most: each has a host id and a control group.
pub const MOST_SLOTS: u32 = 4096;

/// Sessions that are open, at most.
pub const MOST_SESSIONS: u32 = 4096;

/// Requests that wait, at most.
pub const MOST_WAITING: u32 = 1_000_000;

/// The largest size that a file may have.
const PIB: u64 = 1 << 50;

/// Ids, processes, open files, files of a request: no more of them than this.
const MANY: u64 = 65_536;

/// A key's last words, its number, and between what that has to be.
type Amount = (&'static str, u64, RangeInclusive<u64>);

/// The first of these that is beyond what may be.
pub(crate) fn beyond(amounts: impl IntoIterator<Item = Amount>) -> Option<&'static str> {
    amounts.into_iter().find(|(_, number, may)| !may.contains(number)).map(|(key, ..)| key)
}

/// Those that hold for all profiles together.
pub(crate) fn of_supervisor(supervisor: &Supervisor) -> [Amount; 7] {
    [
        ("slots", supervisor.slots.into(), 1..=u64::from(MOST_SLOTS)),
        ("queue", supervisor.queue.into(), 0..=u64::from(MOST_WAITING)),
        ("answers", supervisor.answers.0, 0..=PIB),
        ("sessions", supervisor.sessions.into(), 0..=MOST_SESSIONS.into()),
        ("sessions_memory", supervisor.sessions_memory.map_or(0, |memory| memory.0), 0..=PIB),
        ("uid_count", supervisor.uid_count.into(), 2..=MANY),
        ("landlock_min_abi", supervisor.landlock_min_abi.into(), 1..=10),
    ]
}

/// A profile's.
pub(crate) fn of_profile(profile: &Profile) -> impl Iterator<Item = Amount> {
    let size = |key, bytes: Bytes| (key, bytes.0, 0..=PIB);
    let (filesystem, rlimits) = (&profile.filesystem, &profile.rlimits);
    let sizes = [
        size("memory", profile.memory),
        size("swap", profile.swap),
        size("script_bytes", profile.script_bytes),
        size("result_bytes", profile.result_bytes),
        size("stdout_bytes", profile.stdout_bytes),
        size("stderr_bytes", profile.stderr_bytes),
        size("files_in_bytes", profile.files_in_bytes),
        size("files_out_bytes", profile.files_out_bytes),
        size("bytes", profile.tools.bytes),
        size("tmp", filesystem.tmp),
        size("shm", filesystem.shm),
        size("file_size", rlimits.file_size),
        size("stack", rlimits.stack),
    ];
    let others = [
        ("processes", profile.processes.into(), 1..=MANY),
        ("cpus", profile.cpus.0.into(), 10..=1_024_000),
        ("most", profile.tools.most.into(), 0..=100_000),
        ("most", profile.sessions.most.into(), 0..=MOST_SESSIONS.into()),
        ("cpu_weight", profile.cpu_weight.into(), 1..=10_000),
        ("files_in", profile.files_in, 0..=MANY),
        ("files_out", profile.files_out, 0..=4096),
        ("tmp_inodes", filesystem.tmp_inodes, 8..=100_000_000),
        ("shm_inodes", filesystem.shm_inodes, 8..=100_000_000),
        ("open_files", rlimits.open_files, 16..=MANY),
        // Both count as those of the host's root.
        ("pending_signals", rlimits.pending_signals, 0..=MANY),
        ("message_queues", rlimits.message_queues.0, 0..=800 << 10),
    ];
    let parked = profile.warm.as_ref().map(|warm| ("parked", warm.parked.into(), 1..=4096));
    sizes.into_iter().chain(others).chain(parked)
}
