//! Canaries: jobs that attempt what must fail. They gate the start and each reload, and `doctor` shows them all.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cloister_protocol::{ErrorCode, ExecuteRequest};
use cloister_sandbox::root;
use cloister_sandbox::spec::{Action, Network, Spec};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::daemon::canary::judgement::judge;
use crate::job::bounds::Bounds;
use crate::job::outcome::Outcome;
use crate::job::prepare_error::PrepareError;
use crate::pool::Pool;

mod judgement;

/// What is tried last, when all others hold.
const DEADLINE: &str = "time: a job that ignores signals and forks is dead at its deadline";

/// When that job is to be dead, one after the other until it was at it by then.
const DEADLINES_MS: [u64; 6] = [30, 120, 480, 1_920, 7_680, 30_720];

/// What it prints when it is at it: it ignores signals, and has started another.
const BEGUN: &str = "begun";

/// The namespaces of which each sandbox has its own, as `/proc/PID/ns` names them.
const NAMESPACES: [&str; 7] = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"];

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
pub async fn all(pools: impl IntoIterator<Item = &Arc<Pool>>) -> Vec<Attempt> {
    let mut attempts = Vec::new();
    for pool in pools {
        attempts.extend(in_profile(pool).await);
    }
    attempts
}

/// Makes every attempt.
///
/// # Errors
/// A line for each that did not fail as it must.
pub async fn all_hold(pools: impl IntoIterator<Item = &Arc<Pool>>) -> Result<(), Vec<String>> {
    let broken: Vec<String> = all(pools)
        .await
        .into_iter()
        .filter_map(|attempt| Some(format!("{} (profile {}): {}", attempt.what, attempt.profile, attempt.broken?)))
        .collect();
    if broken.is_empty() { Ok(()) } else { Err(broken) }
}

async fn in_profile(pool: &Arc<Pool>) -> Vec<Attempt> {
    let attempt = |what: &str, broken| Attempt { profile: pool.name.clone(), what: what.to_owned(), broken };
    let loopback = pool.spec().network == Network::Loopback;
    let mut attempts = match run(pool, pool.bounds.language.attempts, Some(arguments(pool.spec())), None).await {
        Ok(Outcome { verdict: Ok(result), .. }) => {
            let (judged, interpreter) = judge(result.get(), loopback);
            if let Some(interpreter) = interpreter {
                pool.set_interpreter(interpreter);
            }
            judged.into_iter().map(|(what, broken)| attempt(&what, broken)).collect()
        }
        Ok(Outcome { verdict: Err(failure), stderr, .. }) => {
            let trace = failure.details.traceback.unwrap_or_default();
            vec![attempt("interpreter: runs a script", Some(format!("{}: {trace} {stderr}", failure.message)))]
        }
        Err(error) => vec![attempt("sandbox: can be built", Some(error.to_string()))],
    };
    if attempts.iter().all(|attempt| attempt.broken.is_none()) {
        attempts.push(attempt(DEADLINE, outlast(pool).await.err()));
    }
    attempts
}

/// Has a job run into its deadline that only force ends, or be refused its first child. One that was not at it by then, on a machine
/// that starts much, has a later deadline.
///
/// # Errors
/// What happened instead.
async fn outlast(pool: &Arc<Pool>) -> Result<(), String> {
    let mut complained = String::new();
    for deadline_ms in DEADLINES_MS {
        let outcome = run(pool, pool.bounds.language.outlast, None, Some(deadline_ms)).await;
        let Outcome { verdict, stdout, stderr, .. } = outcome.map_err(|error| error.to_string())?;
        let has_begun = stdout.contains(BEGUN);
        match verdict.as_ref().map_err(|failure| failure.code) {
            Err(ErrorCode::ProcessLimit) => return Ok(()),
            Err(ErrorCode::Timeout | ErrorCode::CpuLimit) if has_begun => return Ok(()),
            Err(ErrorCode::Timeout) => complained = stderr,
            _ => return Err(format!("ended with {verdict:?}: {stderr}")),
        }
    }
    Err(format!(
        "it has not printed {BEGUN:?} by its deadline, when it ignores signals and has started another: {complained}"
    ))
}

/// What the attempts have to know, as keyword arguments in JSON.
fn arguments(spec: &Spec) -> Box<RawValue> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    // What a link in the root leads to is the profile's own doing too.
    let links = spec.links.iter().map(|(name, _)| format!("/{name}"));
    let shown: Vec<_> = root::read_only_files(spec).into_iter().map(text).chain(links).collect();
    // Of two with one name an interpreter takes the first.
    let pairs = spec.environment.iter().rev().filter_map(|pair| pair.split_once('='));
    let environment: BTreeMap<_, _> = pairs.collect();
    let namespaces: BTreeMap<_, _> = NAMESPACES
        .iter()
        .filter_map(|kind| Some((*kind, std::fs::metadata(format!("/proc/self/ns/{kind}")).ok()?.ino())))
        .collect();
    let mut rules: BTreeMap<i64, Vec<u16>> = BTreeMap::new();
    for rule in &spec.call_rules {
        match rule.action {
            Action::Errno(errno) => rules.entry(rule.number).or_default().push(errno),
            Action::Kill => rules.entry(rule.number).or_default().push(0),
            Action::Allow | Action::Log => {}
        }
    }
    let all = Arguments {
        hostname: &spec.hostname,
        loopback: spec.network == Network::Loopback,
        shown,
        environment,
        namespaces,
        filters: own_filters(),
        rules,
        directory: spec.own_directory.as_deref(),
    };
    serde_json::value::to_raw_value(&all).expect("texts and numbers have a form in JSON")
}

/// How many filters this process is under, which its jobs inherit: proc_pid_status(5). More than any if that is not told.
fn own_filters() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let told = status.lines().find_map(|line| line.strip_prefix("Seccomp_filters:"));
    told.and_then(|count| count.trim().parse().ok()).unwrap_or(u32::MAX)
}

/// See `main` in `canary.py`.
#[derive(Serialize)]
struct Arguments<'a> {
    hostname: &'a str,
    loopback: bool,
    shown: Vec<String>,
    environment: BTreeMap<&'a str, &'a str>,
    namespaces: BTreeMap<&'a str, u64>,
    filters: u32,
    rules: BTreeMap<i64, Vec<u16>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    directory: Option<&'a Path>,
}

/// Past the places, which are for requests: a canary neither waits for a place nor takes one from anybody.
async fn run(
    pool: &Arc<Pool>,
    script: &str,
    kwargs: Option<Box<RawValue>>,
    timeout_ms: Option<u64>,
) -> Result<Outcome, PrepareError> {
    let request = ExecuteRequest {
        script: script.to_owned(),
        kwargs,
        profile: Some(pool.name.clone()),
        timeout_ms,
        ..ExecuteRequest::default()
    };
    // Room to report, whatever little a profile leaves its own jobs, and however busy the machine is that this starts on.
    let most = |own: Duration| own.max(Duration::from_secs(45));
    let Bounds { wall, cpu, result_bytes, stdout_bytes, .. } = pool.bounds;
    let (result_bytes, stdout_bytes) = (result_bytes.max(64 << 10), stdout_bytes.max(1 << 10));
    let bounds = Bounds { wall: most(wall), cpu: most(cpu), result_bytes, stdout_bytes, ..pool.bounds };
    Arc::clone(pool).execute(&request, &bounds).await
}

#[cfg(test)]
mod tests {
    use super::BEGUN;

    #[test]
    fn the_last_job_says_that_it_is_at_it() {
        assert!(cloister_python::canary::OUTLAST.contains(&format!("\"{BEGUN}\"")));
    }
}
