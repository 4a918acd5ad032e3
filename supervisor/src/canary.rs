//! Canaries: jobs that attempt what must fail. They gate the start and each reload, and `doctor` shows them all.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use cloister_protocol::{ErrorCode, ExecuteRequest};
use cloister_sandbox::root;
use cloister_sandbox::spec::Network;

use crate::host::Host;
use crate::job::Outcome;

/// The attempts that a script can make by itself.
const ATTEMPTS: &str = include_str!("canary.py");

/// A script that would run for ever, ignores every signal and leaves children behind.
const OUTLAST: &str = "\
import os, signal
def main():
    for number in range(1, 65):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    if os.fork() == 0:
        os.setsid()
        os.fork()
    while True:
        pass
";

/// What one attempt came to.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The profile in which it was made.
    pub profile: String,
    /// The layer and what was tried.
    pub what: String,
    /// `None` when the layer held; otherwise what happened.
    pub broken: Option<String>,
}

/// Makes every attempt in each of the profiles.
pub async fn all(hosts: impl IntoIterator<Item = &Arc<Host>>) -> Vec<Attempt> {
    let mut attempts = Vec::new();
    for host in hosts {
        attempts.extend(in_profile(host).await);
    }
    attempts
}

/// Makes every attempt.
///
/// # Errors
/// A line for each that did not fail as it must.
pub async fn all_hold(hosts: impl IntoIterator<Item = &Arc<Host>>) -> Result<(), Vec<String>> {
    let broken: Vec<String> = all(hosts)
        .await
        .into_iter()
        .filter_map(|attempt| Some(format!("{} (profile {}): {}", attempt.what, attempt.profile, attempt.broken?)))
        .collect();
    if broken.is_empty() { Ok(()) } else { Err(broken) }
}

async fn in_profile(host: &Arc<Host>) -> Vec<Attempt> {
    let attempt = |what: &str, broken| Attempt { profile: host.name.clone(), what: what.to_owned(), broken };
    let loopback = if host.spec.network == Network::Loopback { "True" } else { "False" };
    let mounts: Vec<_> = root::read_only_paths(&host.spec).into_iter().map(Path::to_string_lossy).collect();
    // A list of strings in JSON is one in Python.
    let mounts = serde_json::to_string(&mounts).expect("strings");
    let script = ATTEMPTS
        .replace("HOSTNAME", &format!("{:?}", host.spec.hostname))
        .replace("LOOPBACK", loopback)
        .replace("MOUNTS", &mounts);
    let mut attempts = match run(host, &script, None).await {
        Ok(Outcome { verdict: Ok(result), .. }) => {
            let told: BTreeMap<String, String> = serde_json::from_str(result.get()).unwrap_or_default();
            told.iter().map(|(what, said)| attempt(what, (said != "held").then(|| said.clone()))).collect()
        }
        Ok(Outcome { verdict: Err(failure), stderr, .. }) => {
            let trace = failure.details.traceback.unwrap_or_default();
            vec![attempt("interpreter: runs a script", Some(format!("{}: {trace} {stderr}", failure.message)))]
        }
        Err(message) => vec![attempt("sandbox: can be built", Some(message))],
    };
    if attempts.iter().all(|attempt| attempt.broken.is_none()) {
        let outlast = run(host, OUTLAST, Some(300)).await;
        let broken = match outlast.map(|outcome| outcome.verdict) {
            Ok(Err(failure))
                if matches!(failure.code, ErrorCode::Timeout | ErrorCode::CpuLimit | ErrorCode::ProcessLimit) =>
            {
                None
            }
            Ok(other) => Some(format!("ended with {other:?}")),
            Err(message) => Some(message),
        };
        attempts.push(attempt("time: a job that ignores signals and forks is dead at its deadline", broken));
    }
    attempts
}

/// Past the door, which is for requests: a canary neither waits for a place nor takes one from anybody.
async fn run(host: &Arc<Host>, script: &str, timeout_ms: Option<u64>) -> Result<Outcome, String> {
    let request = ExecuteRequest {
        script: script.to_owned(),
        args: None,
        kwargs: None,
        stdin: None,
        profile: Some(host.name.clone()),
        timeout_ms,
        files: Vec::new(),
    };
    Arc::clone(host).execute(&request).await.map_err(|error| error.to_string())
}
