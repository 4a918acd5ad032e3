//! What the log is told of requests.

use std::time::Instant;

use cloister_protocol::{Answer, DEFAULT_PROFILE, ErrorCode, ExecuteRequest, JobId};

/// One line a job: what became of it, never what it was.
pub fn log(id: JobId, request: Option<&ExecuteRequest>, answer: &Answer<'_>, started: Instant) {
    let profile = request.map(|request| request.profile.as_deref().unwrap_or(DEFAULT_PROFILE));
    let milliseconds = started.elapsed().as_millis();
    match answer {
        Answer::Returned { given, .. } => {
            tracing::info!(%id, profile, outcome = "returned", cpu_ms = given.usage.cpu_ms, milliseconds, "a job returned");
        }
        Answer::Failed { error, given, .. } => {
            tracing::info!(%id, profile, outcome = ?error.code, cpu_ms = given.usage.cpu_ms, milliseconds, "a job failed");
        }
        Answer::Refused { error, .. } if error.code == ErrorCode::Internal => {
            tracing::error!(%id, profile, cause = error.message, milliseconds, "a bug of ours");
        }
        Answer::Refused { error, .. } => {
            tracing::info!(%id, profile, outcome = ?error.code, cause = error.message, milliseconds, "a request was refused");
        }
    }
}
