//! What a job came to.

use std::time::Duration;

use cloister_protocol::{Answer, Beside, Calls, Failure, Given, JobId, Stream, Usage};
use cloister_sandbox::cgroup;
use serde_json::value::RawValue;

use crate::job::output_files::Left;

/// What a job came to.
#[derive(Debug)]
pub struct Outcome {
    /// The result's JSON, or why there is none.
    pub verdict: Result<Box<RawValue>, Failure>,
    /// What was printed.
    pub stdout: String,
    /// What was printed to standard error.
    pub stderr: String,
    /// What is not here whole.
    pub truncated: Vec<Stream>,
    /// The files that the job left.
    pub left: Left,
    /// What is told beside the verdict.
    pub beside: Beside,
    /// What was used.
    pub usage: Usage,
    /// What the kernel counted.
    pub used: cgroup::Usage,
    /// CPU time that was used for it before its request came.
    pub ahead: Duration,
}

impl Outcome {
    /// The answer that tells it.
    #[must_use]
    pub fn answer(&self, id: JobId) -> Answer<'_> {
        let Left { files, missing, unasked, unasked_more, .. } = &self.left;
        let Beside { exit_code, unfinished, notes } = &self.beside;
        let given = Given {
            stdout: &self.stdout,
            stderr: &self.stderr,
            truncated: &self.truncated,
            files,
            files_missing: missing,
            files_left: unasked,
            files_left_more: *unasked_more,
            unfinished: unfinished.as_deref(),
            notes,
            usage: self.usage,
        };
        match &self.verdict {
            Ok(result) => Answer::Returned { id, result, exit_code: *exit_code, given },
            Err(error) => Answer::Failed { id, error, given },
        }
    }
}

/// What a job that ran for so long has used, as its answer tells it.
#[must_use]
pub fn usage(wall: Duration, used: &cgroup::Usage, calls: Option<Calls>) -> Usage {
    let milliseconds = |duration: Duration| (duration.as_secs_f64() * 1e6).round() / 1e3;
    let (wall_ms, cpu_ms) = (milliseconds(wall), milliseconds(used.cpu));
    Usage { wall_ms, cpu_ms, memory_peak_bytes: used.memory_peak.0, calls }
}
