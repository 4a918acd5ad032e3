//! What a request is answered with: the shapes of a body, and what they are made of.

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::calls::Calls;
use crate::cell::CellGiven;
use crate::failure::Failure;
use crate::file::{LeftFile, OutputFile};
use crate::id::JobId;

/// What a job used, as the kernel counted it.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Usage {
    /// From handing over the request to the verdict, in milliseconds, but for what it waited for its calls of tools.
    pub wall_ms: f64,
    /// CPU time of everything in the sandbox, user and system, in milliseconds.
    pub cpu_ms: f64,
    /// The most memory the sandbox held at once, in bytes.
    pub memory_peak_bytes: u64,
    /// What its calls of tools came to; not there if the request named none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, nullable = false))]
    pub calls: Option<Calls>,
}

/// A part of what a job gave that was not returned whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// What it left in `out`.
    Files,
}

impl Stream {
    /// The stream's name, as answers and events have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Files => "files",
        }
    }
}

/// What is told beside the verdict on a job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// What a program exited with.
    pub exit_code: Option<u8>,
    /// What had not ended.
    pub unfinished: Option<String>,
    /// What there is to know.
    pub notes: Vec<String>,
}

/// What there is of a job that was run, whatever its verdict.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Given<'a> {
    /// What was printed.
    pub stdout: &'a str,
    /// What was printed to standard error.
    pub stderr: &'a str,
    /// What was not returned whole.
    pub truncated: &'a [Stream],
    /// What the script left in `out` and what `files_out` named; not there if that is nothing.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub files: &'a [OutputFile],
    /// What `files_out` named and nothing is; not there if that is nothing.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub files_missing: &'a [String],
    /// Files that were left in the working directory and not asked for, a few of them if there are many; not there
    /// if none was.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub files_left: &'a [LeftFile],
    /// How many more there are; not there if none.
    #[serde(skip_serializing_if = "is_zero")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub files_left_more: u64,
    /// What had not ended when the job was ended, and by what; not there if all had.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false, nullable = false))]
    pub unfinished: Option<&'a str>,
    /// What is to be known beside it; not there if nothing is.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub notes: &'a [String],
    /// What the job used.
    pub usage: Usage,
    /// What there is of a cell beside that.
    #[serde(flatten)]
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub cell: Option<CellGiven<'a>>,
}

/// The body of a response, one for each of the contract's shapes.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum Answer<'a> {
    /// 200: `main()` returned JSON.
    Returned {
        /// The job.
        #[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^[0-9a-f]{32}$"))]
        id: JobId,
        /// What `main()` returned. Of a cell the value of its last expression; not there if that has no form in JSON.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(value_type = serde_json::Value, required = true))]
        result: Option<&'a RawValue>,
        /// With `entry` `program`: the exit code; the result is `null` then.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(required = false, nullable = false))]
        exit_code: Option<u8>,
        /// All else that the job gave.
        #[serde(flatten)]
        given: Given<'a>,
    },
    /// 422: the script's own failure.
    Failed {
        /// The job.
        #[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^[0-9a-f]{32}$"))]
        id: JobId,
        /// What went wrong.
        #[cfg_attr(feature = "openapi", schema(value_type = crate::schemas::error::JobError))]
        error: &'a Failure,
        /// All else that the job gave.
        #[serde(flatten)]
        given: Given<'a>,
    },
    /// Everything else: there is no verdict on a job.
    Refused {
        /// What went wrong, and whether the script ran.
        #[serde(serialize_with = "with_ran")]
        #[cfg_attr(feature = "openapi", schema(value_type = crate::schemas::error::Refusal))]
        error: &'a Failure,
        /// The request.
        #[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^[0-9a-f]{32}$"))]
        id: JobId,
    },
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

fn with_ran<S: Serializer>(error: &Failure, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Refusal<'a> {
        #[serde(flatten)]
        error: &'a Failure,
        ran: Option<bool>,
    }
    Refusal { error, ran: error.ran }.serialize(serializer)
}

impl Answer<'_> {
    /// The HTTP status of this answer.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Returned { .. } => 200,
            Self::Failed { error, .. } | Self::Refused { error, .. } => error.code.status(),
        }
    }

    /// What was printed; nothing where no job ran.
    #[must_use]
    pub fn stdout(&self) -> &str {
        match self {
            Self::Returned { given, .. } | Self::Failed { given, .. } => given.stdout,
            Self::Refused { .. } => "",
        }
    }

    /// What was printed to standard error; nothing where no job ran.
    #[must_use]
    pub fn stderr(&self) -> &str {
        match self {
            Self::Returned { given, .. } | Self::Failed { given, .. } => given.stderr,
            Self::Refused { .. } => "",
        }
    }

    /// The answer as a response body.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an answer holds only strings, numbers and JSON that was parsed")
    }
}

#[cfg(test)]
mod tests {
    use super::Answer;
    use crate::code::ErrorCode;
    use crate::failure::Failure;
    use crate::id::JobId;

    #[test]
    fn a_refusal_says_whether_the_script_ran() {
        let id = JobId::random();
        let told = |error: &Failure| String::from_utf8(Answer::Refused { error, id }.to_json()).expect("UTF-8");
        let away = Failure::new(ErrorCode::Unavailable, "away");
        let rest = format!("\"id\":\"{id}\"}}");
        assert_eq!(told(&away), format!(r#"{{"error":{{"code":"unavailable","message":"away","ran":false}},{rest}"#));
        let lost = away.after_start();
        assert_eq!(told(&lost), format!(r#"{{"error":{{"code":"lost","message":"away","ran":null}},{rest}"#));
        assert_eq!(lost.code.status(), 502);
    }
}
