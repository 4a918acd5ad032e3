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

use crate::args;
use crate::beside::stand_beside;
use crate::error::Error;
use crate::layer;
use crate::learn::judge::Judge;
use crate::learn::recorder::Recorder;
use crate::learn::snippet::Snippet;
use crate::policy::for_host;
use crate::script::read;
use cloister_engine::job::bounds::Bounds;
use cloister_engine::job::conversation::Conversation;
use cloister_engine::job::outcome::Outcome;
use cloister_engine::job::prepare_error::PrepareError;
use cloister_engine::job::prepared::{Begun, START_TIME};
use cloister_engine::job::slots::Slots;
use cloister_engine::link::event_loop::runtime;
use cloister_engine::link::forkers::Forkers;
use cloister_engine::link::launcher::{Brings, Launcher};
use cloister_engine::pool::profile;
use cloister_supervisor::claim::Claim;
use cloister_supervisor::confine::require_root;
use cloister_supervisor::devices;
use cloister_supervisor::host::Host;

/// The exit code when the script came to no result, so that what is printed may lack what comes after.
const UNFINISHED: u8 = 3;

/// Runs the script, prints its answer to standard error and the piece of policy to standard output. Exit
/// codes: 0 the script came to a result, 3 it did not, 1 nothing was learned.
///
/// # Errors
/// What kept it from running.
pub fn learn(arguments: &args::Learn) -> Result<ExitCode, Error> {
    if arguments.socket.is_some() || std::env::var_os("LISTEN_FDS").is_some() {
        return Err(Error::ForADaemon);
    }
    require_root()?;
    let file = &arguments.common.policy;
    let mut policy = for_host(file)?;
    let text = std::fs::read_to_string(file).map_err(|error| Error::Again(file.clone(), error))?;
    let name = arguments.profile.as_str();
    let known = policy.profiles.keys().cloned().collect::<Vec<_>>().join(", ");
    policy.profiles.retain(|profile, _| profile == name);
    // A warm interpreter has imported before it is confined, and what it did for that would be missing.
    policy.profiles.values_mut().for_each(|profile| profile.warm = None);
    let claim = stand_beside(&mut policy, 1)?;
    let Some(profile) = policy.profiles.get(name) else {
        return Err(Error::NoProfile { name: name.to_owned(), known });
    };
    let request = ExecuteRequest { script: read(&arguments.script)?, ..ExecuteRequest::default() };
    let (outcome, recorder) = runtime()?.block_on(record(&policy, &claim, profile, &request))?;
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
async fn record(
    policy: &Policy,
    claim: &Claim,
    of: &Profile,
    request: &ExecuteRequest,
) -> Result<(Outcome, Arc<Recorder>), Error> {
    let group = format!("cloister-learn-{}", std::process::id());
    let devices = devices::make(policy, &group)?;
    let spec = profile::spec(policy, of, devices.as_ref());
    let recorder = Arc::new(Recorder::new(Judge::new(&spec)?, &spec));
    let bounds = profile::bounds(policy, of);
    let size = request.script.len() as u64;
    if size > bounds.script_bytes {
        return Err(Error::LongScript { size, profile: of.name.clone(), most: bounds.script_bytes });
    }
    let Host { ids, tree, devices, powers, library: _ } = Host::own(claim, &group, devices)?;
    let tree = Arc::new(tree);
    let slots = Arc::new(Slots::new((Arc::clone(&tree), Arc::clone(&powers)), ids, devices.as_ref())?);
    slots.resize(1)?;
    let adopt = |pid| powers.adopt(&tree, pid);
    let brings = Brings { library: None, interpreter: powers.interpreter(&spec)? };
    let launcher = Launcher::start(&layer::recorded(), spec.clone(), ids, brings, adopt).await?;
    let forkers = Forkers::cold(Arc::new(launcher));
    let lease = slots.lease().await;
    let begun = Begun::new(&forkers, &spec, profile::limits(of), lease, &slots).await;
    let outcome = match begun {
        Ok(begun) => run_recorded(begun, &recorder, request, &bounds).await,
        Err(error) => Err(error.into()),
    };
    drop(forkers);
    slots.wait_for_all().await;
    outcome.map(|outcome| (outcome, recorder))
}

async fn run_recorded(
    begun: Begun,
    recorder: &Arc<Recorder>,
    request: &ExecuteRequest,
    bounds: &Bounds,
) -> Result<Outcome, Error> {
    let ready = async {
        let attached = Arc::clone(recorder).attach(begun.process()).await;
        attached.map_err(Error::Listener)?;
        Ok::<_, Error>(begun.ready().await?)
    };
    let late = |_| Err(PrepareError::TooSlow(START_TIME).into());
    let prepared = tokio::time::timeout(START_TIME, ready).await.unwrap_or_else(late)?;
    recorder.begin_script();
    Ok(prepared.run(request, bounds, &Conversation::alone()).await?)
}

fn answer(outcome: &Outcome) -> Vec<u8> {
    let answer: Answer<'_> = outcome.answer(JobId::random());
    answer.to_json()
}
