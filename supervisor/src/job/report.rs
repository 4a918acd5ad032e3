//! What comes out of a job's result pipe: untrusted bytes, read to a limit. What they say is read by
//! [`cloister_protocol::report`], when the job is dead.

use std::io;

use cloister_protocol::report::{LARGEST_ERROR, Report, failure, result};
use cloister_protocol::{ErrorCode, Failure};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::link::event_loop::LARGE;

/// The byte by which an interpreter says that it is ready for its request.
const READY: u8 = b'P';

/// The byte by which it says that an import of the profile's failed; a message follows.
const IMPORT_FAILED: u8 = b'I';

/// What a job said at its end, as it came.
#[derive(Debug)]
pub enum Said {
    /// A result.
    Result(Vec<u8>),
    /// A result above the limit, of this many bytes.
    TooLarge(u64, u64),
    /// An error report.
    Error(Vec<u8>),
    /// Something that the runner would not write: the script did.
    Garbled,
    /// Nothing before every writer was gone.
    Nothing,
}

impl Said {
    /// Whether reading it takes long enough to be done beside the event loop.
    #[must_use]
    pub fn is_large(&self) -> bool {
        matches!(self, Self::Result(payload) | Self::Error(payload) if payload.len() >= LARGE)
    }

    /// What it means.
    #[must_use]
    pub fn read(self) -> Report {
        match self {
            Self::Result(payload) => result(payload),
            Self::Error(payload) => failure(&payload),
            Self::TooLarge(length, most) => Report::Failure(Failure::new(
                ErrorCode::ResultTooLarge,
                format!("the result is {length} bytes of JSON, above the profile's limit of {most}"),
            )),
            Self::Garbled | Self::Nothing => Report::Garbled,
        }
    }
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

/// Reads one report. Ends as soon as it is complete, or when every writer is gone.
pub async fn read(pipe: &mut (impl AsyncRead + Unpin), result_bytes: u64) -> Said {
    read_frame(pipe, result_bytes).await.unwrap_or(Said::Nothing)
}

async fn read_frame(pipe: &mut (impl AsyncRead + Unpin), result_bytes: u64) -> io::Result<Said> {
    let tag = pipe.read_u8().await?;
    let length = pipe.read_u64().await?;
    match tag {
        b'R' if length > result_bytes => Ok(Said::TooLarge(length, result_bytes)),
        b'R' => Ok(Said::Result(payload(pipe, length).await?)),
        b'E' if length <= LARGEST_ERROR => Ok(Said::Error(payload(pipe, length).await?)),
        _ => Ok(Said::Garbled),
    }
}

/// Reads `length` bytes, allocating as they come and not as they are announced.
async fn payload(pipe: &mut (impl AsyncRead + Unpin), length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    pipe.take(length).read_to_end(&mut bytes).await?;
    if bytes.len() as u64 == length { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

#[cfg(test)]
mod tests {
    use cloister_protocol::report::Report;

    use super::{NotReady, Said, read, wait_until_ready};

    fn frame(tag: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![tag];
        frame.extend((payload.len() as u64).to_be_bytes());
        frame.extend(payload);
        frame
    }

    #[tokio::test]
    async fn forged_reports_are_nothing_and_never_a_verdict_of_ours() {
        for forged in [
            b"".to_vec(),
            b"junk".to_vec(),
            frame(b'R', b"{\"a\": "),
            frame(b'E', b"[]"),
            frame(b'E', br#"{"code": "timeout", "message": "x"}"#),
            frame(b'E', br#"{"code": "internal", "message": "x"}"#),
            frame(b'E', br#"{"code": "exception", "message": 7}"#),
            frame(b'F', b"setup failed"),
            [&b"E"[..], &u64::MAX.to_be_bytes()].concat(),
            frame(b'R', b"[1, 2]")[..12].to_vec(),
        ] {
            let said = read(&mut forged.as_slice(), 1000).await;
            assert!(matches!(said.read(), Report::Garbled), "{forged:?}");
        }
        assert!(matches!(read(&mut frame(b'R', b"[1, 2]")[..12].as_ref(), 1000).await, Said::Nothing));
    }

    #[tokio::test]
    async fn a_result_above_the_limit_is_refused_by_its_announced_length() {
        let announced = [&b"R"[..], &u64::MAX.to_be_bytes()].concat();
        assert!(matches!(read(&mut announced.as_slice(), 1000).await.read(), Report::Failure(_)));
        let whole = frame(b'R', b"[1, 2]");
        let said = read(&mut whole.as_slice(), 6).await;
        assert!(matches!(said.read(), Report::Result(json) if json.get() == "[1, 2]"));
    }

    #[tokio::test]
    async fn a_failed_confinement_says_which_step() {
        let said = frame(b'F', b"mount proc: EPERM");
        let refused = wait_until_ready(&mut said.as_slice()).await;
        assert!(matches!(refused, Err(NotReady::Refused(why)) if why == "mount proc: EPERM"));
        let said = frame(b'S', b"unshare CLONE_NEWUSER: ENOSPC");
        let short = wait_until_ready(&mut said.as_slice()).await;
        assert!(matches!(short, Err(NotReady::Short(why)) if why == "unshare CLONE_NEWUSER: ENOSPC"));
        let mut pipe = frame(b'I', b"import numpy: ImportError: none");
        // Whatever comes behind the message, from whoever holds the pipe too.
        pipe.extend(b"more");
        let refused = wait_until_ready(&mut pipe.as_slice()).await;
        assert!(matches!(refused, Err(NotReady::Import(why)) if why == "import numpy: ImportError: none"));
    }
}
