//! What is enforced on a job from outside of its sandbox.

use std::time::Duration;

use cloister_protocol::ExecuteRequest;
use cloister_terms::{SessionLimits, ToolLimits};

use crate::job::interpreter::Language;

/// Bounds of one job that are enforced from outside the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Time from request to verdict.
    pub wall: Duration,
    /// CPU time of all processes.
    pub cpu: Duration,
    /// How fast CPU time can be used up: thousandths of a CPU.
    pub millicpus: u32,
    /// Largest script.
    pub script_bytes: u64,
    /// Largest result.
    pub result_bytes: u64,
    /// Standard output kept.
    pub stdout_bytes: u64,
    /// Standard error kept.
    pub stderr_bytes: u64,
    /// Files that a request may bring.
    pub files_in: u64,
    /// What is in them together.
    pub files_in_bytes: u64,
    /// Files that are returned.
    pub files_out: u64,
    /// What is in them together.
    pub files_out_bytes: u64,
    /// Its calls of tools of the client's.
    pub tools: ToolLimits,
    /// How many sessions there may be, and for how long.
    pub sessions: SessionLimits,
    /// Whether a request may lower its wall time.
    pub may_lower_timeout: bool,
    /// What its script is spoken of in.
    pub language: &'static Language,
}

impl Bounds {
    /// How long what this request asks for may take: it may lower its wall time, and never raise it.
    #[must_use]
    pub fn wall_of(&self, request: &ExecuteRequest) -> Duration {
        request.timeout_ms.map_or(self.wall, |asked| self.wall.min(Duration::from_millis(asked)))
    }
}
