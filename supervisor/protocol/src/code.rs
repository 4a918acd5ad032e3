//! The codes of errors, and the HTTP status that goes with each.

use serde::de::value::{Error as ValueError, StrDeserializer};
use serde::{Deserialize, Serialize};

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
    /// The key has used up what it may use today.
    QuotaExceeded,
    /// The supervisor is away or restarting; nothing ran.
    Unavailable,
    /// The supervisor, launcher or zygote of a job went while it ran, or may have run.
    Lost,
    /// A bug of ours.
    Internal,
    /// What the script says that it needs is in no profile that it may run under; nothing ran.
    MissingPackages,
    /// What the script needs is being installed, and it may be sent again; nothing ran. Kept for nodes that make runtimes on
    /// demand, which this one does not.
    RuntimeBuilding,
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
    /// A cell was interrupted, and did not catch that.
    Interrupted,
    /// A session that is over.
    SessionEnded,
    /// A cell runs in the session, and the request would not wait for its end.
    SessionBusy,
}

impl ErrorCode {
    /// Every code there is.
    pub const ALL: [Self; 30] = [
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
        Self::QuotaExceeded,
        Self::Unavailable,
        Self::Lost,
        Self::Internal,
        Self::MissingPackages,
        Self::RuntimeBuilding,
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
        Self::Interrupted,
        Self::SessionEnded,
        Self::SessionBusy,
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
            Self::SessionBusy => 409,
            Self::SessionEnded => 410,
            Self::TooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::Overloaded | Self::RateLimited | Self::QuotaExceeded => 429,
            Self::Internal => 500,
            Self::Lost => 502,
            Self::Unavailable | Self::RuntimeBuilding => 503,
            Self::MissingPackages
            | Self::SyntaxError
            | Self::NoMain
            | Self::Exception
            | Self::Exit
            | Self::ResultNotJson
            | Self::ResultTooLarge
            | Self::Timeout
            | Self::CpuLimit
            | Self::MemoryLimit
            | Self::ProcessLimit
            | Self::Killed
            | Self::Interrupted => 422,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ErrorCode;

    #[test]
    fn codes_are_read_back_by_their_names() {
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::parse(&code.name()), Some(code));
        }
        assert_eq!(ErrorCode::CpuLimit.name(), "cpu_limit");
        assert_eq!(ErrorCode::parse("returned"), None);
    }
}
