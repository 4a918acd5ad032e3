//! What the contract says of the bodies that clients get, for programs: schemas, which are all that these types are for.
//!
//! What a job's answer is made of is borrowed where it is written; the schemas here have the same
//! fields, which a test compares.

#![allow(clippy::disallowed_types, reason = "schemas are made of our own types")]

use cloister_protocol::{Denial, ErrorCode, Stream, Usage};
use serde_json::Value;
use utoipa::ToSchema;

/// 200: `main()` returned JSON.
#[derive(ToSchema)]
#[allow(dead_code, reason = "a schema alone")]
pub struct Returned {
    /// The job.
    #[schema(pattern = "^[0-9a-f]{32}$")]
    id: String,
    /// What `main()` returned.
    result: Value,
    /// What was printed.
    stdout: String,
    /// What was printed to standard error.
    stderr: String,
    /// What was not returned whole.
    truncated: Vec<Stream>,
    /// What the script left in `out`; not there if that is nothing.
    #[schema(nullable = false)]
    files: Option<Vec<ReturnedFile>>,
    /// What the job used.
    usage: Usage,
}

/// 422: the script's own failure.
#[derive(ToSchema)]
#[allow(dead_code, reason = "a schema alone")]
pub struct Failed {
    /// The job.
    #[schema(pattern = "^[0-9a-f]{32}$")]
    id: String,
    /// What went wrong.
    error: JobError,
    /// What was printed before.
    stdout: String,
    /// What was printed to standard error before.
    stderr: String,
    /// What was not returned whole.
    truncated: Vec<Stream>,
    /// What the script left in `out`; not there if that is nothing.
    #[schema(nullable = false)]
    files: Option<Vec<ReturnedFile>>,
    /// What the job used.
    usage: Usage,
}

/// A file that a script left in `out`: with its content, or with the reason why that is left out.
#[derive(ToSchema)]
#[allow(dead_code, reason = "a schema alone")]
pub struct ReturnedFile {
    /// Its name below `out`, with slashes.
    #[schema(example = "plot.png")]
    name: String,
    /// Its size in bytes.
    size: u64,
    /// What it is, by its name.
    #[schema(example = "image/png")]
    media_type: String,
    /// What is in it, in base64 (RFC 4648, section 4).
    #[schema(nullable = false, content_encoding = "base64")]
    content_base64: Option<String>,
    /// Why its content is not here.
    #[schema(nullable = false)]
    omitted: Option<String>,
}

/// What went wrong with a script; other fields than the first two are there where they make sense.
#[derive(ToSchema)]
#[allow(dead_code, reason = "a schema alone")]
pub struct JobError {
    /// For programs.
    code: ErrorCode,
    /// For people.
    message: String,
    /// What the policy refused the job on the way, each once.
    denials: Option<Vec<Denial>>,
    /// The exception's type.
    exception: Option<String>,
    /// The script's own frames.
    traceback: Option<String>,
    /// The line in the script.
    line: Option<u64>,
    /// The column in the line.
    column: Option<u64>,
    /// The line's text.
    text: Option<String>,
    /// Where in the result something has no JSON form.
    path: Option<String>,
    /// What would have one.
    hint: Option<String>,
    /// What the script's process ended with.
    exit_code: Option<i64>,
    /// The signal that ended it.
    signal: Option<String>,
}

/// Everything else: there is no verdict on a job.
#[derive(ToSchema)]
#[allow(dead_code, reason = "a schema alone")]
pub struct Refused {
    /// What went wrong.
    error: Refusal,
    /// The request.
    #[schema(pattern = "^[0-9a-f]{32}$")]
    id: String,
}

/// Why there is none.
#[derive(ToSchema)]
#[allow(dead_code, reason = "a schema alone")]
pub struct Refusal {
    /// For programs.
    code: ErrorCode,
    /// For people.
    message: String,
    /// Whether any line of the script ran; `null` if nobody can know.
    #[schema(required = true)]
    ran: Option<bool>,
}

/// `/healthz`.
#[derive(ToSchema)]
#[allow(dead_code, reason = "a schema alone")]
pub struct Status {
    /// `ok`.
    status: String,
}

/// `/readyz`.
#[derive(ToSchema)]
#[allow(dead_code, reason = "a schema alone")]
pub struct Readiness {
    /// `ok`.
    status: String,
    /// The first digits of the digest of the policy in force.
    #[schema(pattern = "^[0-9a-f]{12}$")]
    policy: String,
    /// What became of the last change of the policy, unless it is in force as a whole.
    reload: Option<Reload>,
}

/// A change of the policy that did not go through, or not wholly.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[allow(dead_code, reason = "a schema alone")]
pub enum Reload {
    /// The file was refused, and why; the policy before it is in force.
    Refused(String),
    /// It is in force but for these settings.
    NeedsRestart(Vec<String>),
}
