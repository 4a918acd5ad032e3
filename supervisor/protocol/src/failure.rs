//! What went wrong with a request or its job: the `error` object of an answer, and what the policy refused on the way.

use serde::de::value::{Error as ValueError, StrDeserializer};
use serde::{Deserialize, Serialize};

use crate::claim::Claim;
use crate::code::ErrorCode;
use crate::packages::MissingPackages;
use crate::quota::SpentQuota;
use crate::session::SessionEnd;

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

/// Why a script failed, where the sandbox or the contract is the reason, for programs; `hint` says it for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// A module that the profile's runtime does not have, or a name that a module does not have.
    MissingModule,
    /// A library of the system that the runtime does not have.
    MissingLibrary,
    /// A program that is not there; in most profiles Python is the only one.
    MissingProgram,
    /// There is no shell.
    NoShell,
    /// A file that cannot be executed, such as any that a job writes.
    NotExecutable,
    /// A file or folder that is not there.
    MissingPath,
    /// A variable of the environment that is not there.
    MissingVariable,
    /// A locale that is not there.
    MissingLocale,
    /// There is no terminal.
    NoTerminal,
    /// `main()` does not take the request's `args` and `kwargs`.
    Arguments,
    /// The request's `stdin` is empty, or has been read to its end.
    StdinAtEnd,
    /// Calls are nested too deeply.
    Recursion,
    /// The time that all calls of tools may be waited for is used up.
    ToolsTimeout,
    /// The request's own `timeout_ms` is used up.
    RequestTimeout,
    /// The profile's limit of wall time is used up, which `timeout_ms` cannot raise.
    ProfileTimeout,
    /// The memory of the node is used up by all that runs on it; the profile would have allowed more.
    NodeMemory,
    /// A fence of Markdown in the source.
    Markdown,
    /// A line of a notebook in the source, such as `%matplotlib inline`.
    NotebookLine,
    /// A line for a shell in the source, such as `pip install`.
    ShellLine,
    /// A prompt of an interactive session in the source.
    Prompt,
    /// `return`, `await` or `yield` at the top level of the source.
    OutsideFunction,
    /// The source was escaped once too often.
    EscapedText,
    /// All of the source is indented.
    Indented,
    /// A NUL in the source.
    NullBytes,
}

impl Reason {
    /// Reads a reason's name back; anything else is `None`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::deserialize(StrDeserializer::<ValueError>::new(name)).ok()
    }
}

/// The `error` object of an answer.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Failure {
    /// What kind of failure, for programs.
    pub code: ErrorCode,
    /// What happened and what to do, for people.
    pub message: String,
    /// What the policy refused on the way; bounded, each once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub denials: Vec<Denial>,
    /// The quota that is used up, of a refusal for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub quota: Option<Box<SpentQuota>>,
    /// What ended the session, of a refusal for that.
    #[serde(rename = "reason", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub session_end: Option<SessionEnd>,
    /// What is missing, where it is that.
    #[serde(flatten)]
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub missing: Option<Box<MissingPackages>>,
    /// Whether any line of the script ran, which a refusal tells; `None` if nobody can know.
    #[serde(skip)]
    pub ran: Option<bool>,
    /// Fields that only some codes have.
    #[serde(flatten)]
    #[cfg_attr(feature = "openapi", schema(ignore))]
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
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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
    /// What to do about it: what would have a form in JSON, or what is there in place of what is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The line in the script.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Where in the result something has no form in JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Why, in a word for programs; not there where the script itself is the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub reason: Option<Reason>,
    /// The signal that ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// The line's text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The frames that are not the runner's, as Python prints them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceback: Option<String>,
}

impl Failure {
    /// A failure without further fields.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let ran = if matches!(code, ErrorCode::Lost | ErrorCode::Internal) { None } else { Some(false) };
        let (denials, details, claims, no_fork) = (Vec::new(), Box::default(), Vec::new(), false);
        let (message, quota, session_end, missing) = (message.into(), None, None, None);
        Self { code, message, denials, quota, session_end, missing, ran, details, claims, no_fork }
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

    /// The session is over, and that is why.
    #[must_use]
    pub fn session_ended(end: SessionEnd, message: impl Into<String>) -> Self {
        Self { session_end: Some(end), ..Self::new(ErrorCode::SessionEnded, message) }
    }

    /// The same, of which this is further known.
    #[must_use]
    pub fn with(mut self, details: Details) -> Self {
        *self.details = details;
        self
    }
}
