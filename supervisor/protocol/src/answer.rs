//! What a request is answered with: the codes, their HTTP status, and the two shapes of a body.

use serde::de::value::{Error as ValueError, StrDeserializer};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::{Claim, JobId, OutputFile};

/// Every error code that a client can see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The request breaks the contract.
    InvalidRequest,
    /// No key, or one that is not known.
    Unauthorized,
    /// The key may not do this.
    Forbidden,
    /// No such path.
    NotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// The body or one of its parts is too large.
    TooLarge,
    /// The body is not declared as JSON.
    UnsupportedMediaType,
    /// The client took too long to send its request.
    RequestTimeout,
    /// No slot and no place in the queue, or none in time.
    Overloaded,
    /// The key sends faster than it may.
    RateLimited,
    /// The supervisor is away or restarting; nothing ran.
    Unavailable,
    /// The supervisor, launcher or zygote of a job went while it ran, or may have run.
    Lost,
    /// A bug of ours.
    Internal,
    /// The interpreter's compiler refuses the script.
    SyntaxError,
    /// No callable `main` at the script's top level.
    NoMain,
    /// An uncaught exception.
    Exception,
    /// An end without a result.
    Exit,
    /// What `main()` returned has no JSON form.
    ResultNotJson,
    /// The result is above the profile's limit.
    ResultTooLarge,
    /// Wall time used up.
    Timeout,
    /// CPU time used up.
    CpuLimit,
    /// Memory used up.
    MemoryLimit,
    /// Processes used up, and that ended the job.
    ProcessLimit,
    /// Ended by a signal.
    Killed,
}

impl ErrorCode {
    /// Every code there is.
    pub const ALL: [Self; 24] = [
        Self::InvalidRequest,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::RequestTimeout,
        Self::Overloaded,
        Self::RateLimited,
        Self::Unavailable,
        Self::Lost,
        Self::Internal,
        Self::SyntaxError,
        Self::NoMain,
        Self::Exception,
        Self::Exit,
        Self::ResultNotJson,
        Self::ResultTooLarge,
        Self::Timeout,
        Self::CpuLimit,
        Self::MemoryLimit,
        Self::ProcessLimit,
        Self::Killed,
    ];

    /// Reads a code's name back; anything else is `None`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::deserialize(StrDeserializer::<ValueError>::new(name)).ok()
    }

    /// The code's name, as answers have it.
    #[must_use]
    pub fn name(self) -> String {
        let quoted = serde_json::to_string(&self).expect("a code is a string");
        quoted.trim_matches('"').to_owned()
    }

    /// The HTTP status that goes with the code.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::InvalidRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::RequestTimeout => 408,
            Self::TooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::Overloaded | Self::RateLimited => 429,
            Self::Internal => 500,
            Self::Lost => 502,
            Self::Unavailable => 503,
            Self::SyntaxError
            | Self::NoMain
            | Self::Exception
            | Self::Exit
            | Self::ResultNotJson
            | Self::ResultTooLarge
            | Self::Timeout
            | Self::CpuLimit
            | Self::MemoryLimit
            | Self::ProcessLimit
            | Self::Killed => 422,
        }
    }
}

/// What a job used, as the kernel counted it.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Usage {
    /// From handing over the request to the verdict, in milliseconds.
    pub wall_ms: f64,
    /// CPU time of everything in the sandbox, user and system, in milliseconds.
    pub cpu_ms: f64,
    /// The most memory the sandbox held at once, in bytes.
    pub memory_peak_bytes: u64,
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

/// Something that the policy refused a job which then failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Denial {
    /// What refused it.
    pub layer: Layer,
    /// What was refused, such as `socket(AF_INET)`.
    pub what: String,
    /// The rule behind it, such as `profile 'default' has network = "none"`.
    pub hint: String,
}

/// A layer of the sandbox, as denials name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// The system call filter.
    Seccomp,
    /// The file systems that are read-only or not there, and Landlock behind them.
    Filesystem,
    /// The size or the number of files of `/tmp` or `/dev/shm`.
    Tmpfs,
    /// The control group's processes or memory.
    Cgroup,
    /// A resource limit of each process.
    Rlimit,
}

/// The `error` object of an answer.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// What kind of failure, for programs.
    pub code: ErrorCode,
    /// What happened and what to do, for people.
    pub message: String,
    /// What the policy refused on the way; bounded, each once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub denials: Vec<Denial>,
    /// Whether any line of the script ran, which a refusal tells; `None` if nobody can know.
    #[serde(skip)]
    pub ran: Option<bool>,
    /// Fields that only some codes have.
    #[serde(flatten)]
    pub details: Box<Details>,
    /// What a job tells of refusals, for the supervisor alone: no answer has it.
    #[serde(skip)]
    pub claims: Vec<Claim>,
    /// Whether a job tells that it could not start a process or thread; for the supervisor alone.
    #[serde(skip)]
    pub no_fork: bool,
}

/// What is further known of a failure. `code` and `message` are ours alone; much of this is a job's own word.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Details {
    /// The column in the line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u64>,
    /// The exception's type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exception: Option<String>,
    /// What the script's process ended with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i64>,
    /// What would have a form in JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The line in the script.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Where in the result something has no form in JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The signal that ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// The line's text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The script's own frames.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceback: Option<String>,
}

impl Failure {
    /// A failure without further fields.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let ran = if matches!(code, ErrorCode::Lost | ErrorCode::Internal) { None } else { Some(false) };
        let (denials, details, claims, no_fork) = (Vec::new(), Box::default(), Vec::new(), false);
        Self { code, message: message.into(), denials, ran, details, claims, no_fork }
    }

    /// The same of a job that may have begun: what would be there again in a moment if nothing had run is lost now.
    #[must_use]
    pub fn after_start(mut self) -> Self {
        if self.code == ErrorCode::Unavailable {
            self.code = ErrorCode::Lost;
        }
        self.ran = None;
        self
    }

    /// The same, of which this is further known.
    #[must_use]
    pub fn with(mut self, details: Details) -> Self {
        *self.details = details;
        self
    }
}

/// The body of a response, one for each of the contract's shapes.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer<'a> {
    /// 200: `main()` returned JSON.
    Returned {
        /// The job.
        id: JobId,
        /// What `main()` returned.
        result: &'a RawValue,
        /// What was printed.
        stdout: &'a str,
        /// What was printed to standard error.
        stderr: &'a str,
        /// What was not returned whole.
        truncated: &'a [Stream],
        /// What the script left in `out`.
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        files: &'a [OutputFile],
        /// What the job used.
        usage: Usage,
    },
    /// 422: the script's own failure.
    Failed {
        /// The job.
        id: JobId,
        /// What went wrong.
        error: &'a Failure,
        /// What was printed before.
        stdout: &'a str,
        /// What was printed to standard error before.
        stderr: &'a str,
        /// What was not returned whole.
        truncated: &'a [Stream],
        /// What the script left in `out`.
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        files: &'a [OutputFile],
        /// What the job used.
        usage: Usage,
    },
    /// Everything else: there is no verdict on a job.
    Refused {
        /// What went wrong, and whether the script ran.
        #[serde(serialize_with = "with_ran")]
        error: &'a Failure,
        /// The request.
        id: JobId,
    },
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
            Self::Returned { stdout, .. } | Self::Failed { stdout, .. } => stdout,
            Self::Refused { .. } => "",
        }
    }

    /// What was printed to standard error; nothing where no job ran.
    #[must_use]
    pub fn stderr(&self) -> &str {
        match self {
            Self::Returned { stderr, .. } | Self::Failed { stderr, .. } => stderr,
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
    use super::{Answer, ErrorCode, Failure};
    use crate::JobId;

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

    #[test]
    fn codes_are_read_back_by_their_names() {
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::parse(&code.name()), Some(code));
        }
        assert_eq!(ErrorCode::CpuLimit.name(), "cpu_limit");
        assert_eq!(ErrorCode::parse("returned"), None);
    }
}
