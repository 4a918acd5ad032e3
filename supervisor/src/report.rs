//! What comes out of a job's result pipe: untrusted bytes, read to a limit and checked.

use std::io;

use cloister_protocol::{ErrorCode, Failure, NotJson, check_result};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The byte by which an interpreter says that it is ready for its request.
const READY: u8 = b'P';

/// The byte by which it says that an import of the profile's failed; a message follows.
const IMPORT_FAILED: u8 = b'I';

/// The largest error report; the runner keeps to half of it.
const LARGEST_ERROR: u64 = 512 * 1024;

/// Fields of an error report that are passed on, all text or numbers.
const DETAILS: [&str; 9] =
    ["exception", "traceback", "line", "column", "text", "exit_code", "path", "hint", "errno_hint"];

/// The field in which a job tells what it was refused. It is never passed on: [`take_claims`].
const REFUSALS: &str = "refusals";

/// How many refusals a job may tell of.
const MOST_CLAIMS: usize = 16;

/// A refusal that a job tells of. Nothing in it is believed: it says where to look in the policy.
#[derive(Debug, Deserialize)]
pub struct Claim {
    /// The error's name, such as `EPERM`.
    pub errno: String,
    /// The call, such as `socket`.
    pub call: Option<String>,
    /// Its first arguments, as far as they are known.
    #[serde(default)]
    pub arguments: Vec<Option<u64>>,
    /// The absolute path that was to be used.
    pub path: Option<String>,
    /// What seems to be used up, such as `tmp_bytes`.
    pub full: Option<String>,
}

/// Takes the refusals that a job told of out of its failure.
pub fn take_claims(failure: &mut Failure) -> Vec<Claim> {
    let Some(Value::Array(claims)) = failure.details.remove(REFUSALS) else { return Vec::new() };
    claims.into_iter().take(MOST_CLAIMS).filter_map(|claim| serde_json::from_value(claim).ok()).collect()
}

/// The codes that a job may claim of itself; all others are the supervisor's to give.
const CLAIMABLE: [ErrorCode; 7] = [
    ErrorCode::SyntaxError,
    ErrorCode::NoMain,
    ErrorCode::Exception,
    ErrorCode::Exit,
    ErrorCode::ResultNotJson,
    ErrorCode::ResultTooLarge,
    ErrorCode::MemoryLimit,
];

/// What a job said at its end.
#[derive(Debug)]
pub enum Report {
    /// JSON that `main()` returned.
    Result(Box<RawValue>),
    /// What went wrong inside.
    Failure(Failure),
    /// Something that the runner would not write: the script did.
    Garbled,
    /// Nothing before every writer was gone.
    Nothing,
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
pub async fn read(pipe: &mut (impl AsyncRead + Unpin), result_bytes: u64) -> Report {
    read_frame(pipe, result_bytes).await.unwrap_or(Report::Nothing)
}

async fn read_frame(pipe: &mut (impl AsyncRead + Unpin), result_bytes: u64) -> io::Result<Report> {
    let tag = pipe.read_u8().await?;
    let length = pipe.read_u64().await?;
    match tag {
        b'R' if length > result_bytes => Ok(Report::Failure(Failure::new(
            ErrorCode::ResultTooLarge,
            format!("the result is {length} bytes of JSON, above the profile's limit of {result_bytes}"),
        ))),
        b'R' => Ok(result(&payload(pipe, length).await?)),
        b'E' if length <= LARGEST_ERROR => Ok(failure(&payload(pipe, length).await?)),
        _ => Ok(Report::Garbled),
    }
}

/// Reads `length` bytes, allocating as they come and not as they are announced.
async fn payload(pipe: &mut (impl AsyncRead + Unpin), length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    pipe.take(length).read_to_end(&mut bytes).await?;
    if bytes.len() as u64 == length { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn result(bytes: &[u8]) -> Report {
    match check_result(bytes) {
        Ok(value) => Report::Result(value.to_owned()),
        Err(NotJson::Syntax(_)) => Report::Garbled,
        Err(error @ (NotJson::TooDeep | NotJson::LoneSurrogate)) => Report::Failure(Failure::new(
            ErrorCode::ResultNotJson,
            format!("the result is not accepted as JSON: {error}"),
        )),
    }
}

fn failure(bytes: &[u8]) -> Report {
    let Ok(mut fields) = serde_json::from_slice::<Map<String, Value>>(bytes) else { return Report::Garbled };
    let code = fields.get("code").and_then(Value::as_str);
    let Some(code) = CLAIMABLE.into_iter().find(|known| code == Some(known.name().as_str())) else {
        return Report::Garbled;
    };
    let Some(Value::String(message)) = fields.remove("message") else { return Report::Garbled };
    let mut failure = Failure::new(code, message);
    failure.details = fields
        .into_iter()
        .filter(|(field, value)| match value {
            Value::String(_) | Value::Number(_) => DETAILS.contains(&field.as_str()),
            Value::Array(_) => field == REFUSALS,
            _ => false,
        })
        .collect();
    Report::Failure(failure)
}

#[cfg(test)]
mod tests {
    use super::{NotReady, Report, read, wait_until_ready};

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
            let report = read(&mut forged.as_slice(), 1000).await;
            assert!(matches!(report, Report::Nothing | Report::Garbled), "{forged:?} gave {report:?}");
        }
    }

    #[tokio::test]
    async fn a_result_above_the_limit_is_refused_by_its_announced_length() {
        let announced = [&b"R"[..], &u64::MAX.to_be_bytes()].concat();
        assert!(matches!(read(&mut announced.as_slice(), 1000).await, Report::Failure(_)));
        let whole = frame(b'R', b"[1, 2]");
        assert!(matches!(read(&mut whole.as_slice(), 6).await, Report::Result(json) if json.get() == "[1, 2]"));
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
