//! What is told of the supervisor where it does not answer.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use axum::response::Response;
use cloister_protocol::Taken;
use serde::Deserialize;

use crate::upstream::expect_continue::Continue;

/// How long the supervisor may take to say whether it is ready. A job has its own limits, there.
pub const READY_TIMEOUT: Duration = Duration::from_secs(5);

/// The supervisor did not answer.
#[derive(Debug)]
pub enum Away {
    /// It could not be reached, or went away before it had asked for the request's body.
    Gone(hyper_util::client::legacy::Error),
    /// It went away when it had the request: its job may have run.
    Lost(hyper_util::client::legacy::Error),
    /// It is only starting, and says so with this answer.
    Starting(Box<Response>),
    /// It did not say in time whether it is ready.
    Silent,
    /// It has as many connections as it takes.
    Full,
}

/// What became of what calls came to.
#[derive(Debug)]
pub enum HandedOn {
    /// The job has some of it, or has none of these calls.
    To(Taken),
    /// This tenant has no such job.
    NoJob,
    /// Nothing of it was taken, for this.
    Refused(String),
}

impl Away {
    /// Whether no line of the request's script can have run, and the next supervisor may be asked.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Gone(_) | Self::Starting(_))
    }

    /// What kept a request from an answer, whose body was asked for or not.
    pub fn of(error: hyper_util::client::legacy::Error, asked: &Continue) -> Self {
        if asked.was_heard() {
            return Self::Lost(error);
        }
        // Its queue of connections is full: connect(2).
        let mut source = error.source();
        while let Some(cause) = source {
            if cause.downcast_ref::<io::Error>().is_some_and(|cause| cause.kind() == io::ErrorKind::WouldBlock) {
                return Self::Full;
            }
            source = cause.source();
        }
        Self::Gone(error)
    }
}

impl fmt::Display for Away {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = match self {
            Self::Gone(error) | Self::Lost(error) => error,
            Self::Starting(_) => return f.write_str("it is only starting"),
            Self::Silent => return write!(f, "no answer within {} seconds", READY_TIMEOUT.as_secs()),
            Self::Full => return f.write_str("it has as many connections as it takes"),
        };
        write!(f, "{error}")?;
        let mut source = error.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

impl HandedOn {
    /// Of an answer that is a refusal: what it says.
    pub fn refused(body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Refusal {
            error: Told,
        }
        #[derive(Deserialize)]
        struct Told {
            message: String,
        }
        let told = serde_json::from_slice(body).ok().map(|Refusal { error: Told { message } }| message);
        Self::Refused(told.unwrap_or_else(|| "it was not taken; return to the calls again shortly".to_owned()))
    }
}
