//! What a job came to.

use std::time::Duration;

use cloister_protocol::{Answer, Beside, Calls, CellGiven, Failure, Given, JobId, MimeBundle, Stream, Usage};
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
    /// What there is besides if it was a cell of a session.
    pub of_cell: Option<OfCell>,
}

/// What there is of a cell of a session, beside what there is of any job.
#[derive(Debug)]
pub struct OfCell {
    /// The session.
    pub session: JobId,
    /// The cell's number in it.
    pub number: u64,
    /// The value of the last expression, as text and as it may be shown.
    pub value: Option<(Option<String>, MimeBundle)>,
    /// Whether that has no form in JSON.
    pub no_form: bool,
    /// What was displayed.
    pub display: Vec<MimeBundle>,
    /// Whether the session goes on as it was before, of a cell that cost it its process.
    pub restored: Option<bool>,
    /// What was not brought back.
    pub not_kept: Vec<String>,
}

impl OfCell {
    fn given(&self) -> CellGiven<'_> {
        let value = self.value.as_ref();
        CellGiven {
            session: self.session,
            cell: self.number,
            text: value.and_then(|(text, _)| text.as_deref()),
            data: value.map(|(_, bundle)| bundle),
            display: &self.display,
            restored: self.restored,
            not_kept: &self.not_kept,
        }
    }
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
            cell: self.of_cell.as_ref().map(OfCell::given),
        };
        let no_form = self.of_cell.as_ref().is_some_and(|cell| cell.no_form);
        match &self.verdict {
            Ok(result) => Answer::Returned { id, result: Some(&**result).filter(|_| !no_form), exit_code: *exit_code, given },
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
