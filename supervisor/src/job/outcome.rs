//! What a job came to.

use std::time::Duration;

use cloister_protocol::{Answer, Beside, Failure, JobId, LeftFile, OutputFile, Stream, Usage};
use cloister_sandbox::cgroup;
use serde_json::value::RawValue;

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
    /// What the job left in `out` and where it was asked for.
    pub files: Vec<OutputFile>,
    /// What was asked for and is not there.
    pub files_missing: Vec<String>,
    /// What it left elsewhere, or some of that.
    pub files_left: Vec<LeftFile>,
    /// How many more files that is.
    pub files_left_more: u64,
    /// What is told beside the verdict.
    pub beside: Beside,
    /// What was used.
    pub usage: Usage,
    /// What the kernel counted.
    pub used: cgroup::Usage,
}

impl Outcome {
    /// The answer that tells it.
    #[must_use]
    pub fn answer(&self, id: JobId) -> Answer<'_> {
        let Self { stdout, stderr, truncated, files, files_missing, files_left, files_left_more, usage, .. } = self;
        let (files_left_more, usage) = (*files_left_more, *usage);
        let Beside { exit_code, unfinished, notes } = &self.beside;
        let (exit_code, unfinished) = (*exit_code, unfinished.as_deref());
        match &self.verdict {
            Ok(result) => Answer::Returned {
                id,
                result,
                exit_code,
                stdout,
                stderr,
                truncated,
                files,
                files_missing,
                files_left,
                files_left_more,
                unfinished,
                notes,
                usage,
            },
            Err(error) => Answer::Failed {
                id,
                error,
                stdout,
                stderr,
                truncated,
                files,
                files_missing,
                files_left,
                files_left_more,
                unfinished,
                notes,
                usage,
            },
        }
    }
}

/// What a job that took so long has used, as its answer tells it.
#[must_use]
pub fn usage(wall: Duration, used: &cgroup::Usage) -> Usage {
    let milliseconds = |duration: Duration| (duration.as_secs_f64() * 1e6).round() / 1e3;
    Usage { wall_ms: milliseconds(wall), cpu_ms: milliseconds(used.cpu), memory_peak_bytes: used.memory_peak.0 }
}
