//! Canaries: jobs that attempt what must fail. They gate the start, and `doctor` shows them all.

use std::collections::BTreeMap;

use cloister_protocol::{ErrorCode, ExecuteRequest};

use crate::job::Outcome;
use crate::service::Service;

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

/// Makes every attempt in every profile.
pub async fn all(service: &Service) -> Vec<Attempt> {
    let mut attempts = Vec::new();
    for profile in service.profiles() {
        attempts.extend(in_profile(service, profile).await);
    }
    attempts
}

/// Makes every attempt.
///
/// # Errors
/// A line for each that did not fail as it must.
pub async fn all_hold(service: &Service) -> Result<(), Vec<String>> {
    let broken: Vec<String> = all(service)
        .await
        .into_iter()
        .filter_map(|attempt| Some(format!("{} (profile {}): {}", attempt.what, attempt.profile, attempt.broken?)))
        .collect();
    if broken.is_empty() { Ok(()) } else { Err(broken) }
}

async fn in_profile(service: &Service, profile: &str) -> Vec<Attempt> {
    let attempt = |what: &str, broken| Attempt { profile: profile.to_owned(), what: what.to_owned(), broken };
    let loopback = if service.has_loopback(profile) { "True" } else { "False" };
    let script =
        ATTEMPTS.replace("HOSTNAME", &format!("{:?}", service.hostname(profile))).replace("LOOPBACK", loopback);
    let mut attempts = match run(service, profile, &script, None).await {
        Ok(Outcome { verdict: Ok(result), .. }) => {
            let told: BTreeMap<String, String> = serde_json::from_str(result.get()).unwrap_or_default();
            told.iter().map(|(what, said)| attempt(what, (said != "held").then(|| said.clone()))).collect()
        }
        Ok(Outcome { verdict: Err(failure), stderr, .. }) => {
            let trace = failure.details.get("traceback").map(ToString::to_string).unwrap_or_default();
            vec![attempt("interpreter: runs a script", Some(format!("{}: {trace} {stderr}", failure.message)))]
        }
        Err(message) => vec![attempt("sandbox: can be built", Some(message))],
    };
    if attempts.iter().all(|attempt| attempt.broken.is_none()) {
        let outlast = run(service, profile, OUTLAST, Some(300)).await;
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

async fn run(service: &Service, profile: &str, script: &str, timeout_ms: Option<u64>) -> Result<Outcome, String> {
    let request = ExecuteRequest {
        script: script.to_owned(),
        args: None,
        kwargs: None,
        stdin: None,
        profile: Some(profile.to_owned()),
        timeout_ms,
    };
    service.run(&request).await.map_err(|failure| failure.message)
}
