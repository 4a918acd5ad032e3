//! `learn`: one script in a throwaway sandbox whose filter lets pass, and records, what a policy could allow;
//! then what the script used beyond its profile, as a piece of policy.
//!
//! To let calls pass is safe for the operator's own script only. All other layers stay in force, and so does
//! the refusal of what no policy may allow. See `docs/learn.md`.

mod judge;
mod paths;
mod purpose;
mod recorder;
mod snippet;

use std::process::ExitCode;
use std::sync::Arc;

use cloister_policy::{Policy, Profile};
use cloister_protocol::{Answer, ExecuteRequest, JobId};
use cloister_sandbox::cgroup::Tree;

use crate::daemon::confine::require_root;
use crate::daemon::devices;
use crate::daemon::needs::{id_range, load_policy};
use crate::job::outcome::Outcome;
use crate::job::output::Printed;
use crate::job::prepared::{Prepared, START_TIME};
use crate::job::slots::Slots;
use crate::link::event_loop::runtime;
use crate::link::forkers::Forkers;
use crate::link::launcher::Launcher;
use crate::pool::profile;
use crate::tools::args;
use crate::tools::beside::stand_beside;
use crate::tools::learn::judge::Judge;
use crate::tools::learn::recorder::Recorder;
use crate::tools::learn::snippet::Snippet;
use crate::tools::script::read;

/// The exit code when the script came to no result, so that what is printed may lack what comes after.
const UNFINISHED: u8 = 3;

/// Runs the script, prints its answer to standard error and the piece of policy to standard output. Exit
/// codes: 0 the script came to a result, 3 it did not, 1 nothing was learned.
///
/// # Errors
/// What kept it from running, for a person.
pub fn learn(arguments: &args::Learn) -> Result<ExitCode, String> {
    if arguments.socket.is_some() || std::env::var_os("LISTEN_FDS").is_some() {
        return Err("learn starts a sandbox of its own, for an operator at a terminal: it lets pass what the policy \
                    refuses, so it is never for the socket of a daemon that others use"
            .to_owned());
    }
    require_root()?;
    let file = &arguments.common.policy;
    let mut policy = load_policy(file)?;
    let text = std::fs::read_to_string(file).map_err(|error| format!("read {}: {error}", file.display()))?;
    let name = arguments.profile.as_str();
    let known = policy.profiles.keys().cloned().collect::<Vec<_>>().join(", ");
    policy.profiles.retain(|profile, _| profile == name);
    // A warm interpreter has imported before it is confined, and what it did for that would be missing.
    policy.profiles.values_mut().for_each(|profile| profile.warm = None);
    let _claim = stand_beside(&mut policy, 1).map_err(|error| error.to_string())?;
    let Some(profile) = policy.profiles.get(name) else {
        return Err(format!("there is no profile {name:?}, expected one of: {known}"));
    };
    let request = ExecuteRequest {
        script: read(&arguments.script)?,
        args: None,
        kwargs: None,
        stdin: None,
        profile: None,
        timeout_ms: None,
        files: Vec::new(),
    };
    let (outcome, recorder) = runtime()?.block_on(record(&policy, profile, &request))?;
    eprintln!("{}", String::from_utf8_lossy(&answer(&outcome)));
    let seen = std::mem::take(&mut *recorder.seen());
    let script = match arguments.script.file_name() {
        Some(name) if name != "-" => name.to_string_lossy(),
        _ => "the script".into(),
    };
    let snippet = Snippet { policy: &policy, profile, text: &text, file, script: &script, known: &known };
    print!("{}", snippet.write(&seen, outcome.verdict.is_ok())?);
    Ok(if outcome.verdict.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(UNFINISHED) })
}

/// Runs the script in a sandbox that differs from the profile's in its filter alone.
async fn record(policy: &Policy, of: &Profile, request: &ExecuteRequest) -> Result<(Outcome, Arc<Recorder>), String> {
    let group = format!("cloister-learn-{}", std::process::id());
    let devices = devices::make(policy, &group)?;
    let mut spec = profile::spec(policy, of, &[], devices.as_ref());
    let told = |error: cloister_sandbox::Error| error.to_string();
    let recorder = Arc::new(Recorder::new(Judge::new(&spec).map_err(told)?, of.path_rules.clone()));
    spec.recorded = true;
    let bounds = profile::bounds(of);
    let size = request.script.len() as u64;
    if size > bounds.script_bytes {
        return Err(format!("script is {size} bytes, profile {:?} accepts {}", of.name, bounds.script_bytes));
    }
    let tree = Arc::new(Tree::create(&group).map_err(told)?);
    let ids = id_range(policy);
    tree.delegate_to(ids.base).map_err(told)?;
    let slots = Arc::new(Slots::new(Arc::clone(&tree), ids, devices.as_ref(), 1).map_err(told)?);
    let launcher =
        Launcher::start(spec.clone(), ids, |pid| tree.adopt_launcher(pid)).await.map_err(|error| error.to_string())?;
    let forkers = Forkers::recorded(Arc::new(launcher), Arc::clone(&recorder) as _);
    let lease = slots.lease().await;
    let outcome = match Prepared::new(&forkers, &spec, profile::limits(of), lease, &slots, START_TIME).await {
        Ok(prepared) => {
            recorder.begin_script();
            prepared.run(request, &bounds, &Printed::default()).await
        }
        Err(error) => Err(error),
    };
    drop(forkers);
    slots.wait_for_all().await;
    outcome.map(|outcome| (outcome, recorder)).map_err(|error| error.to_string())
}

fn answer(outcome: &Outcome) -> Vec<u8> {
    let answer: Answer<'_> = outcome.answer(JobId::random());
    answer.to_json()
}
