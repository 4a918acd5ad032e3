//! The trial of a build: each module is imported once, in a sandbox as jobs have it, by a process of its own that has given up
//! what the supervisor gives up; then those that can be are imported together in a process that others are forked from.
//!
//! Whether a module can be kept so is that process's to say: it refuses what a fork would lose.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use cloister_engine::daemon::start;
use cloister_engine::door::engine::Engine;
use cloister_engine::link::event_loop::runtime;
use cloister_engine::link::launcher::Guard;
use cloister_policy::packages::Module;
use cloister_policy::{Bytes, Children, DEFAULT_PROFILE, Mount, Policy, Profile, Warm};
use cloister_program::log::{self, LogFormat};
use cloister_protocol::{ExecuteRequest, Tenant};
use cloister_supervisor::confine::{self, require_root};
use cloister_supervisor::devices;
use cloister_supervisor::host::Host;
use cloister_supervisor::needs::has_loopback;
use serde::Deserialize;
use tracing::level_filters::LevelFilter;

use super::args::{self, IMPORTS};
use super::error::Error;
use super::parent::{self, end_with};
use super::progress::tell;
use crate::beside::stand_beside;
use crate::policy::checked;

/// What a sandbox runs for each module.
const SCRIPT: &str = include_str!("trial.py");

/// This program, which makes the sandboxes.
const OWN: &str = "/proc/self/exe";

/// How long a module may take: some compile what they need when they are first imported.
const LONGEST: Duration = Duration::from_secs(120);

/// The least memory that a module may take.
const MEMORY: Bytes = Bytes(4 << 30);

/// The least processes and threads.
const PROCESSES: u32 = 512;

/// What a sandbox says of a module.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Said {
    error: Option<String>,
    milliseconds: f64,
    bytes: u64,
    threads: u32,
    open: Vec<String>,
}

/// Tries these modules of a directory as those of a runtime; told as they are tried.
pub fn run(
    policy: &Path,
    runtime: &str,
    packages: &Path,
    site: &Path,
    modules: &[String],
) -> Result<Vec<Module>, Error> {
    let mut command = Command::new(OWN);
    command.args(["runtime", IMPORTS, "--policy"]).arg(policy).args(["--runtime", runtime, "--packages"]).arg(packages);
    command.arg("--site").arg(site).args([parent::OPTION, &parent::own(), "--"]).args(modules);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let said =
        child.and_then(std::process::Child::wait_with_output).map_err(|error| Error::Trial(error.to_string()))?;
    if !said.status.success() {
        return Err(Error::Trial(format!("it was not done ({})", said.status)));
    }
    serde_json::from_slice(&said.stdout).map_err(|error| Error::Trial(error.to_string()))
}

/// The process that does it: prints what came of each module.
///
/// # Errors
/// What kept it from trying any.
pub fn imports(arguments: &args::Imports) -> Result<Vec<Module>, crate::error::Error> {
    require_root()?;
    end_with(arguments.parent).map_err(crate::error::Error::Orphan)?;
    log::start(LogFormat::Text, |filter| filter.with_default(LevelFilter::OFF))?;
    let mut policy = checked(&arguments.policy)?.look().policy;
    let mut profile = profile(&mut policy, arguments);
    // The ids are for the warm ones too.
    policy.profiles = [(profile.name.clone(), profile.clone())].into();
    let claim = stand_beside(&mut policy, 2)?;
    let warm = profile.clone();
    profile.warm = None;
    policy.profiles = [(profile.name.clone(), profile)].into();
    let group = format!("cloister-try-{}", std::process::id());
    let devices = devices::make(&policy, &group)?;
    confine::confine(has_loopback(&policy))?;
    runtime()?.block_on(async {
        let engine = start::start(&policy, Host::own(&claim, &group, devices)?, Guard::default()).await?;
        let mut tried = Vec::new();
        for module in &arguments.modules {
            tried.push((module.clone(), one(&engine, module).await));
        }
        let modules = judge(&engine, &policy, &warm, tried).await;
        let mut engine = engine;
        engine.drain().await;
        Ok(modules)
    })
}

/// A profile of the runtime's as jobs have it, with room for any import.
fn profile(policy: &mut Policy, arguments: &args::Imports) -> Profile {
    if let Some(runtime) = policy.runtimes.get_mut(&arguments.runtime) {
        runtime.mounts.retain(|mount| mount.inside != arguments.site);
        runtime.mounts.push(Mount { host: arguments.packages.clone(), inside: arguments.site.clone() });
    }
    let own = policy.profiles.values().find(|profile| profile.runtime == arguments.runtime);
    let mut profile = own.unwrap_or(&policy.profiles[DEFAULT_PROFILE]).clone();
    profile.name = DEFAULT_PROFILE.to_owned();
    profile.runtime.clone_from(&arguments.runtime);
    (profile.wall_time, profile.cpu_time) = (LONGEST, LONGEST);
    profile.memory = profile.memory.max(MEMORY);
    profile.processes = profile.processes.max(PROCESSES);
    let renew = Duration::from_secs(24 * 3600);
    let (imports, memory) = (Vec::new(), Some(Bytes(0)));
    profile.warm = Some(Warm { imports, parked: 1, renew, memory, idle: renew, children: Children::Forked });
    profile
}

/// Imports one in a sandbox of its own.
async fn one(engine: &Engine, module: &str) -> Said {
    let args = serde_json::value::to_raw_value(&[module]).expect("a text has a form in JSON");
    let request = ExecuteRequest { script: SCRIPT.to_owned(), args: Some(args), ..ExecuteRequest::default() };
    let failed = |why: String| Said { error: Some(why), ..Said::default() };
    let outcome = async {
        let place = engine.enter(Tenant::default()).await?;
        engine.admit(&place, &request, None)?.run(&request).await
    };
    let said = match outcome.await {
        Ok(outcome) => match outcome.verdict {
            Ok(result) => serde_json::from_str(result.get()).unwrap_or_else(|error| failed(error.to_string())),
            Err(failure) => failed(failure.message),
        },
        Err(failure) => failed(failure.message),
    };
    match &said.error {
        None => tell(format_args!("  {module}: {} ms", said.milliseconds)),
        Some(why) => tell(format_args!("  {module}: {why}")),
    }
    said
}

/// Which of them a process that others are forked from can have imported: together those of which nothing speaks against it,
/// without the ones that it then names; each of the others by itself.
async fn judge(engine: &Engine, policy: &Policy, warm: &Profile, tried: Vec<(String, Said)>) -> Vec<Module> {
    let doubtful = |said: &Said| said.threads > 0 || !said.open.is_empty();
    let well = tried.iter().filter(|(_, said)| said.error.is_none());
    let (alone, mut together): (Vec<_>, Vec<_>) = well.partition(|(_, said)| doubtful(said));
    let mut refused: Vec<(String, String)> = Vec::new();
    while !together.is_empty() {
        let names: Vec<_> = together.iter().map(|(name, _)| name.clone()).collect();
        let Err(why) = kept(engine, policy, warm, &names).await else { break };
        let named = names
            .iter()
            .position(|name| why.contains(&format!("import {name} ")) || why.contains(&format!("import {name}:")));
        // One that it does not name may be any: the last is the first to be left out.
        let (name, _) = together.remove(named.unwrap_or(names.len() - 1));
        refused.push((name.clone(), why));
    }
    for (name, said) in alone {
        let open = (!said.open.is_empty()).then(|| format!("its import leaves open: {}", said.open.join(", ")));
        let why = match open {
            Some(open) => Some(open),
            None => kept(engine, policy, warm, std::slice::from_ref(name)).await.err(),
        };
        refused.extend(why.map(|why| (name.clone(), why)));
    }
    let module = |(name, said): (String, Said)| {
        let why = said.error.map(|why| format!("it cannot be imported: {why}"));
        let why = why.or_else(|| refused.iter().find(|(other, _)| *other == name).map(|(_, why)| why.clone()));
        let forked = why.is_none();
        Module { name, milliseconds: said.milliseconds, bytes: said.bytes, forked, why: why.unwrap_or_default() }
    };
    tried.into_iter().map(module).collect()
}

/// Whether a process that others are forked from can be made with these; why not, in its words.
async fn kept(engine: &Engine, policy: &Policy, profile: &Profile, modules: &[String]) -> Result<(), String> {
    let mut profile = profile.clone();
    profile.warm.iter_mut().for_each(|warm| warm.imports = modules.to_vec());
    let pool = start::start_pool(policy, &profile, engine.ground().clone())
        .await
        .map_err(|error| plain(&error.to_string()))?;
    pool.filled().await;
    Ok(())
}

/// The words of it that are the module's own.
fn plain(why: &str) -> String {
    let words = why.split_once("import ").map_or(why, |(before, _)| &why[before.len()..]);
    words.split("; take it out").next().unwrap_or(words).trim().to_owned()
}
