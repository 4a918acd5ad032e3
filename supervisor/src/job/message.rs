//! What a job is handed through its standard input: the runner's message first, then the content of the files, one
//! behind the other, and the script's own input.

use std::iter::once;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use cloister_protocol::{Entry, ExecuteRequest, InputFile, Nan};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;

use crate::job::bounds::Bounds;
use crate::job::frames::framed;

#[derive(Serialize)]
struct Message<'a> {
    script: &'a str,
    #[serde(skip_serializing_if = "Entry::is_main")]
    entry: Entry,
    /// What of the runner serves sessions, for one of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    parts: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kwargs: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    argv: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    nan: Option<Nan>,
    result_bytes: u64,
    #[serde(flatten)]
    calls: MayCall<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<(PathBuf, usize)>,
}

/// What a script, or a cell, may call of whoever sent it; nothing if that is nothing.
#[derive(Serialize)]
pub struct MayCall<'a> {
    /// JSON as text, for a runner reads it when a script first asks for a tool, and most never do; the largest arguments of a call, in bytes;
    /// and how many it may make.
    #[serde(skip_serializing_if = "Option::is_none")]
    tools: Option<(&'a str, u64, u32)>,
}

impl<'a> MayCall<'a> {
    /// What a request names, and how much of it these bounds let be.
    #[must_use]
    pub fn of(request: &'a ExecuteRequest, bounds: &Bounds) -> Self {
        Self { tools: request.tools.text().map(|tools| (tools, bounds.tools.bytes.0, bounds.tools.most)) }
    }
}

/// The runner's message, with its length in front. Files are put below `directory`.
#[must_use]
pub fn encode(request: &ExecuteRequest, bounds: &Bounds, directory: &Path) -> Vec<u8> {
    framed(&Message {
        script: &request.script,
        entry: request.entry,
        parts: (request.entry == Entry::Session).then_some(bounds.language.parts),
        args: request.args.as_deref(),
        kwargs: request.kwargs.as_deref(),
        argv: &request.argv,
        nan: request.nan,
        result_bytes: bounds.result_bytes,
        calls: MayCall::of(request, bounds),
        files: request.files.iter().map(|file| (directory.join(file.path()), file.bytes().len())).collect(),
    })
}

/// Writes all of it, and closes the pipe, which does not block. In most cases there is room for it, and the event loop need not hear of it.
pub async fn feed(stdin: OwnedFd, message: &[u8], request: &ExecuteRequest) {
    let mut parts = parts(message, request);
    let rest = parts.find_map(|part| Some(written_at_once(&stdin, part)).filter(|rest| !rest.is_empty()));
    let Some(rest) = rest else { return };
    match pipe::Sender::from_owned_fd_unchecked(stdin) {
        // A script need not read its input; the pipe breaking then is no failure.
        Ok(mut stdin) => write(&mut stdin, once(rest).chain(parts)).await,
        Err(error) => tracing::error!(%error, "a job is not handed all of its request"),
    }
}

/// Writes all of it.
pub async fn feed_all(stdin: &mut pipe::Sender, message: &[u8], request: &ExecuteRequest) {
    write(stdin, parts(message, request)).await;
}

fn parts<'a>(message: &'a [u8], request: &'a ExecuteRequest) -> impl Iterator<Item = &'a [u8]> {
    let input = request.stdin.as_deref().unwrap_or_default().as_bytes();
    once(message).chain(request.files.iter().map(InputFile::bytes)).chain(once(input))
}

async fn write(stdin: &mut pipe::Sender, parts: impl Iterator<Item = &[u8]>) {
    for part in parts {
        let _ = stdin.write_all(part).await;
    }
}

/// What is left of it once the pipe takes no more.
fn written_at_once<'a>(stdin: &OwnedFd, mut part: &'a [u8]) -> &'a [u8] {
    while !part.is_empty()
        && let Ok(written) = rustix::io::write(stdin, part)
    {
        part = &part[written..];
    }
    part
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use cloister_protocol::{ExecuteRequest, Writer};
    use cloister_terms::{Bytes, Runner, Runtime, SessionLimits, ToolLimits};

    use super::{Bounds, encode};
    use crate::job::interpreter::language;

    fn message(body: &str) -> String {
        let request = ExecuteRequest::parse_from(Writer::Gateway, body.as_bytes()).expect("valid");
        let message = encode(&request, &bounds(), Path::new("/tmp"));
        let (length, body) = message.split_at(8);
        assert_eq!(u64::from_be_bytes(length.try_into().expect("eight")), body.len() as u64);
        String::from_utf8(body.to_vec()).expect("UTF-8")
    }

    fn bounds() -> Bounds {
        let runtime = Runtime {
            interpreter: "/usr/bin/it".into(),
            runner: Runner::Python,
            mounts: Vec::new(),
            links: Vec::new(),
            environment: std::collections::BTreeMap::new(),
            python: None,
            packages: Vec::new(),
            modules: Vec::new(),
        };
        Bounds {
            wall: Duration::ZERO,
            cpu: Duration::ZERO,
            millicpus: 0,
            script_bytes: 0,
            result_bytes: 7,
            stdout_bytes: 0,
            stderr_bytes: 0,
            files_in: 0,
            files_in_bytes: 0,
            files_out: 0,
            files_out_bytes: 0,
            tools: ToolLimits { wait: Duration::ZERO, total: Duration::ZERO, most: 0, bytes: Bytes(9) },
            sessions: SessionLimits {
                most: 0,
                idle: Duration::ZERO,
                lifetime: Duration::ZERO,
                interrupt_wait: Duration::ZERO,
            },
            may_lower_timeout: false,
            language: language(&runtime),
        }
    }

    #[test]
    fn the_runner_is_told_how_a_script_is_run_and_nothing_that_goes_without_saying() {
        for (body, expected) in [
            (r#"{"script": "x"}"#, r#"{"script":"x","result_bytes":7}"#),
            (r#"{"script": "x", "entry": "main", "argv": []}"#, r#"{"script":"x","result_bytes":7}"#),
            (
                r#"{"script": "x", "entry": "program", "argv": ["-n", "\u00e9"], "nan": "null"}"#,
                r#"{"script":"x","entry":"program","argv":["-n","é"],"nan":"null","result_bytes":7}"#,
            ),
            (
                r#"{"script": "x", "entry": "auto", "args": [1.50]}"#,
                r#"{"script":"x","entry":"auto","args":[1.50],"result_bytes":7}"#,
            ),
            (
                r#"{"script": "x", "tools": [{"name": "a", "description": "d", "parameters": {"type": 1}}]}"#,
                r#"{"script":"x","result_bytes":7,"tools":["[{\"name\": \"a\", \"description\": \"d\", \"parameters\": {\"type\": 1}}]",9,0]}"#,
            ),
        ] {
            assert_eq!(message(body), expected);
        }
    }
}
