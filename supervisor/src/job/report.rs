//! What comes out of a job's result pipe: untrusted bytes, read to a limit. What they say is read by
//! [`cloister_protocol::report`], when the job is dead.

use std::io;
use std::sync::{Mutex, MutexGuard};

use cloister_protocol::report::{LARGEST_ERROR, LARGEST_NOTES, Report, cell_failure, exit_code, failure, notes, result, wait};
use cloister_protocol::{ErrorCode, Failure};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::job::calls::Calls;
use crate::link::event_loop::LARGE;

/// The byte by which an interpreter says that it is ready for its request.
const READY: u8 = b'P';

/// The byte by which it says that an import of the profile's failed; a message follows.
const IMPORT_FAILED: u8 = b'I';

/// The tag of a call.
pub(super) const CALL: u8 = b'C';

/// How many times a job may say what its end waits for.
const MOST_WAITS: usize = 64;

/// What a job said, as it came.
#[derive(Debug)]
pub enum Said {
    /// A result.
    Result(Vec<u8>),
    /// A result above the limit, of this many bytes.
    TooLarge(u64, u64),
    /// An error report.
    Error(Vec<u8>),
    /// An error report of a session's cell.
    CellError(Vec<u8>),
    /// The value of a cell has no form in JSON.
    NoForm,
    /// The code that a program exited with.
    Exited(u8),
    /// That its end is over, after a verdict that it gave [`Ahead`] of it.
    Over,
    /// Something that the runner would not write: the script did.
    Garbled,
    /// Nothing before every writer was gone.
    Nothing,
}

impl Said {
    /// Whether reading it takes long enough to be done beside the event loop.
    #[must_use]
    pub fn is_large(&self) -> bool {
        matches!(self, Self::Result(payload) | Self::Error(payload) | Self::CellError(payload) if payload.len() >= LARGE)
    }

    /// What it means.
    #[must_use]
    pub fn read(self) -> Report {
        match self {
            Self::Result(payload) => result(payload),
            Self::Error(payload) => failure(&payload),
            Self::CellError(payload) => cell_failure(&payload),
            Self::NoForm => result(b"null".to_vec()),
            Self::TooLarge(length, most) => Report::Failure(Failure::new(
                ErrorCode::ResultTooLarge,
                format!("the result is {length} bytes of JSON, above the profile's limit of {most}"),
            )),
            Self::Exited(_) | Self::Over | Self::Garbled | Self::Nothing => Report::Garbled,
        }
    }
}

/// What a job has said by now, while its end goes on: its verdict is told when that is over, or cut short.
#[derive(Debug, Default)]
pub struct Ahead(Mutex<Heard>);

/// What was heard of a job before it was over.
#[derive(Debug, Default)]
pub struct Heard {
    /// Its verdict; none if it had not come to its end.
    pub said: Option<Said>,
    /// What its end waits for, if it has said so.
    pub waits_for: String,
    /// What it wants to be told beside the verdict.
    pub notes: Vec<String>,
}

impl Ahead {
    /// All of it.
    #[must_use]
    pub fn into_heard(self) -> Heard {
        self.0.into_inner().expect("nothing panics while it holds this lock")
    }

    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().expect("nothing panics while it holds this lock")
    }
}

/// What hears of a job's calls.
#[derive(Clone, Copy)]
pub struct Hearing<'a> {
    /// Where they go.
    pub calls: &'a Calls,
    /// What is done in front of each: what was printed before it is taken before it.
    pub before: &'a (dyn Fn() + Sync),
}

/// Why a job's process never became ready.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    /// It told which step of its confinement failed.
    #[error("confine a job: {0}")]
    Refused(String),
    /// It told which step of its confinement failed for want of something that the host is short of.
    #[error("this node is short of something at the moment: {0}; try again shortly")]
    Short(String),
    /// It told which of the profile's imports failed, ahead of its request.
    #[error("{0}")]
    Import(String),
    /// It ended, or wrote something else.
    #[error("the interpreter ended before it was ready")]
    Ended,
}

/// Waits until a job's process is confined and its interpreter ready. What it says up to here comes
/// from our own code.
///
/// # Errors
/// [`NotReady`].
pub async fn wait_until_ready(pipe: &mut (impl AsyncRead + Unpin)) -> Result<(), NotReady> {
    match pipe.read_u8().await {
        Ok(READY) => Ok(()),
        Ok(cloister_sandbox::forker::FAILED) => Err(NotReady::Refused(message(pipe).await)),
        Ok(cloister_sandbox::forker::SHORT) => Err(NotReady::Short(message(pipe).await)),
        Ok(IMPORT_FAILED) => Err(NotReady::Import(message(pipe).await)),
        _ => Err(NotReady::Ended),
    }
}

/// A message with its length in front. Nobody is waited for who only holds the pipe open.
async fn message(pipe: &mut (impl AsyncRead + Unpin)) -> String {
    let length = pipe.read_u64().await.unwrap_or_default();
    let mut message = Vec::new();
    let _ = pipe.take(length.min(4096)).read_to_end(&mut message).await;
    String::from_utf8_lossy(&message).into_owned()
}

/// Reads reports until one ends the job, or every writer is gone. `R`, `E` and `X` do at once. In small letters they
/// are the verdict ahead of the end, of which `W` tells what it waits for, and `D` that it is over. Whatever else comes
/// after a verdict is taken for that, but for `C`, a call of a tool, which may come before and after it.
pub async fn read(pipe: &mut (impl AsyncRead + Unpin), result_bytes: u64, ahead: &Ahead, hearing: Hearing<'_>) -> Said {
    read_frames(pipe, result_bytes, ahead, hearing).await.unwrap_or(Said::Nothing)
}

async fn read_frames(
    pipe: &mut (impl AsyncRead + Unpin),
    result_bytes: u64,
    ahead: &Ahead,
    hearing: Hearing<'_>,
) -> io::Result<Said> {
    let tag = loop {
        match pipe.read_u8().await? {
            CALL if !read_call(pipe, hearing).await? => return Ok(Said::Garbled),
            CALL => {}
            tag => break tag,
        }
    };
    let verdict = read_verdict(tag, pipe, result_bytes).await?;
    match verdict {
        said @ (Said::Result(_) | Said::Error(_)) if tag.is_ascii_lowercase() => ahead.lock().said = Some(said),
        said => return Ok(said),
    }
    let mut waits = 0;
    while waits < MOST_WAITS {
        let tag = pipe.read_u8().await?;
        if tag == CALL {
            if !read_call(pipe, hearing).await? {
                break;
            }
            continue;
        }
        waits += 1;
        let length = pipe.read_u64().await?;
        match tag {
            b'W' if length <= LARGEST_NOTES => {
                let text = wait(&payload(pipe, length).await?);
                ahead.lock().waits_for = text;
            }
            b'D' if length <= LARGEST_NOTES => {
                let notes = notes(&payload(pipe, length).await?);
                ahead.lock().notes = notes;
                break;
            }
            _ => break,
        }
    }
    Ok(Said::Over)
}

/// Reads a call and passes it on; `false` for what is none.
pub(super) async fn read_call(pipe: &mut (impl AsyncRead + Unpin), hearing: Hearing<'_>) -> io::Result<bool> {
    let length = pipe.read_u64().await?;
    if !hearing.calls.may_be() || length > hearing.calls.longest() {
        return Ok(false);
    }
    let call = payload(pipe, length).await?;
    (hearing.before)();
    Ok(hearing.calls.hear(call).await)
}

async fn read_verdict(tag: u8, pipe: &mut (impl AsyncRead + Unpin), result_bytes: u64) -> io::Result<Said> {
    let length = pipe.read_u64().await?;
    match tag {
        b'R' | b'r' if length > result_bytes => Ok(Said::TooLarge(length, result_bytes)),
        b'R' | b'r' => Ok(Said::Result(payload(pipe, length).await?)),
        b'E' | b'e' if length <= LARGEST_ERROR => Ok(Said::Error(payload(pipe, length).await?)),
        b'X' if length <= 3 => Ok(exit_code(&payload(pipe, length).await?).map_or(Said::Garbled, Said::Exited)),
        _ => Ok(Said::Garbled),
    }
}

/// Reads `length` bytes, allocating as they come and not as they are announced.
pub(super) async fn payload(pipe: &mut (impl AsyncRead + Unpin), length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    pipe.take(length).read_to_end(&mut bytes).await?;
    if bytes.len() as u64 == length { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

#[cfg(test)]
mod tests;
