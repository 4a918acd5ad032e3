//! What a job is handed through its standard input: the runner's message first, then the content of the files, one
//! behind the other, and the script's own input.

use std::iter::once;
use std::path::{Path, PathBuf};

use cloister_protocol::{ExecuteRequest, InputFile};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;

use crate::job::bounds::Bounds;

#[derive(Serialize)]
struct Message<'a> {
    script: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kwargs: Option<&'a RawValue>,
    result_bytes: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<(PathBuf, usize)>,
}

/// The runner's message, with its length in front. Files are put below `directory`.
#[must_use]
pub fn encode(request: &ExecuteRequest, bounds: &Bounds, directory: &Path) -> Vec<u8> {
    let body = serde_json::to_vec(&Message {
        script: &request.script,
        args: request.args.as_deref(),
        kwargs: request.kwargs.as_deref(),
        result_bytes: bounds.result_bytes,
        files: request.files.iter().map(|file| (directory.join(file.path()), file.bytes().len())).collect(),
    })
    .expect("strings and JSON that was parsed");
    let mut message = (body.len() as u64).to_be_bytes().to_vec();
    message.extend(body);
    message
}

/// Writes all of it, and closes the pipe.
pub async fn feed(mut stdin: pipe::Sender, message: &[u8], request: &ExecuteRequest) {
    // A script need not read its input; the pipe breaking then is no failure.
    let input = request.stdin.as_deref().unwrap_or_default().as_bytes();
    for part in once(message).chain(request.files.iter().map(InputFile::bytes)).chain(once(input)) {
        let _ = stdin.write_all(part).await;
    }
}
