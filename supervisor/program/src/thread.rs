//! The threads beside an event loop: they do what is large, and takes its time anyway.

/// How far they stand behind the loop, where processors are few.
const NICENESS: i32 = 10;

/// Puts the calling thread behind the others of this process: on Linux a thread has a niceness of its own,
/// setpriority(2).
pub fn stand_behind() {
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::warn!(%error, "a thread beside the event loop could not be put behind it");
    }
}
