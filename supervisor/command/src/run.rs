//! `run`: one script in a throwaway sandbox, for a terminal. The only place where a layer can be left
//! out, so that it can be seen which of two stops an attempt.

use std::process::ExitCode;

use cloister_program::log::{self, LogFormat};
use cloister_protocol::{Answer, DEFAULT_PROFILE, ExecuteRequest, JobId, Tenant};
use tracing::level_filters::LevelFilter;

use crate::args;
use crate::beside::stand_beside;
use crate::error::Error;
use crate::layer::{self, LayerName};
use crate::policy::for_host;
use crate::script::read;
use cloister_engine::daemon::start;
use cloister_engine::link::event_loop::runtime;
use cloister_supervisor::confine::{self, require_root};
use cloister_supervisor::devices;
use cloister_supervisor::host::Host;
use cloister_supervisor::needs::has_loopback;

/// Runs the script and prints its answer. Exit codes: 0 a result, 1 anything else.
///
/// # Errors
/// What kept it from running.
pub fn run(arguments: &args::Run) -> Result<ExitCode, Error> {
    require_root()?;
    // What a client is not told, an operator is.
    log::start(LogFormat::Text, |filter| filter.with_default(LevelFilter::ERROR))?;
    let mut policy = for_host(&arguments.common.policy)?;
    // Of its own: beside a running supervisor neither ids nor control groups may be shared.
    let claim = stand_beside(&mut policy, 1)?;
    if let Some(profile) = &arguments.profile {
        policy.profiles.retain(|name, _| name == profile || name == DEFAULT_PROFILE);
    }
    let request = ExecuteRequest {
        script: read(&arguments.script)?,
        profile: arguments.profile.clone(),
        ..ExecuteRequest::default()
    };
    let without = &arguments.without;
    if !without.is_empty() && !cfg!(feature = "leave-out") {
        // A zygote hears of its profile from the supervisor's side alone, which has no word for what is left out.
        policy.profiles.values_mut().for_each(|profile| profile.warm = None);
    }
    let group = format!("cloister-run-{}", std::process::id());
    let devices = devices::make(&policy, &group)?;
    // As the daemon would: what only full root may do must not pass for what holds. Of the filter jobs inherit the half, so
    // that whoever leaves theirs out means this one too.
    match without.contains(&LayerName::Seccomp) {
        true => confine::give_up(has_loopback(&policy))?,
        false => confine::confine(has_loopback(&policy))?,
    }
    runtime()?.block_on(async {
        let mut engine = start::start(&policy, Host::own(&claim, &group, devices)?, layer::without(without)).await?;
        let id = JobId::random();
        let outcome = async {
            let place = engine.enter(Tenant::default()).await?;
            let admitted = engine.admit(&place, &request, None)?;
            if arguments.explain {
                eprintln!("{}", admitted.explain());
            }
            admitted.run(&request).await
        };
        let outcome = outcome.await;
        let (answer, code) = match &outcome {
            Err(error) => (Answer::Refused { error, id }, ExitCode::FAILURE),
            Ok(outcome) => (outcome.answer(id), ExitCode::from(u8::from(outcome.verdict.is_err()))),
        };
        println!("{}", String::from_utf8_lossy(&answer.to_json()));
        engine.drain().await;
        Ok(code)
    })
}
