//! What became of a request, as the log, metrics and usage events name it.

use cloister_protocol::{ErrorCode, RETURNED};

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A job's `main()` returned.
    Returned,
    /// It asked for something else than a job, and got it.
    Served,
    /// It was answered with this code.
    Failed(ErrorCode),
    /// Its client left before there was an answer.
    Abandoned,
}

impl Outcome {
    /// The code of a failure.
    pub fn code(self) -> Option<ErrorCode> {
        match self {
            Self::Failed(code) => Some(code),
            _ => None,
        }
    }

    /// What the supervisor says became of a job.
    pub fn parse(text: &str) -> Option<Self> {
        if text == RETURNED { Some(Self::Returned) } else { ErrorCode::parse(text).map(Self::Failed) }
    }

    /// Its name, as metrics and events have it.
    pub fn name(self) -> String {
        match self {
            Self::Returned => RETURNED.to_owned(),
            Self::Served => "served".to_owned(),
            Self::Abandoned => "abandoned".to_owned(),
            Self::Failed(code) => code.name(),
        }
    }
}
