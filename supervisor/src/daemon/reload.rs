//! Reload: at each SIGHUP, and where it is asked for at each change, the policy file is read again and put in force, whole or
//! not at all.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cloister_supervisor::powers::{NotRead, Powers};
use cloister_terms::Policy;
use tokio::signal::unix::Signal;

use crate::daemon::change::{Reloaded, change};
use crate::daemon::start::StartError;
use crate::daemon::watched::Watched;
use crate::door::engine::Engine;
use crate::door::readiness::ReloadState;
use crate::door::server::Server;

/// Why a file was refused.
#[derive(Debug, thiserror::Error)]
enum ReloadError {
    #[error(transparent)]
    Policy(#[from] NotRead),
    #[error("reading the policy panicked, which is a bug of ours")]
    Panicked,
    #[error(transparent)]
    Start(#[from] StartError),
}

impl ReloadError {
    /// For anyone who can reach `/readyz`: what kind of thing is wrong. The log has the rest.
    fn in_public(&self) -> &'static str {
        match self {
            Self::Policy(why) if why.is_of_the_file => {
                "the policy file cannot be read or has mistakes; the supervisor's log tells which"
            }
            Self::Policy(_) | Self::Panicked => "the policy could not be read; the supervisor's log tells why",
            Self::Start(StartError::Broken(_)) => {
                "the sandbox does not hold under the new policy; the supervisor's log tells where"
            }
            Self::Start(
                StartError::TooFewFiles { .. }
                | StartError::TooFewIds { .. }
                | StartError::TooFewDevices { .. }
                | StartError::NoLoopback,
            ) => "the new policy needs a restart; the supervisor's log tells why",
            Self::Start(_) => "a profile of the new policy could not be started; the supervisor's log tells why",
        }
    }
}

/// What a reload comes of.
#[derive(Debug)]
pub struct Reasons {
    /// SIGHUP.
    pub hangup: Signal,
    /// Changes of the file, if they are watched.
    pub watched: Option<Watched>,
}

impl Reasons {
    /// Completes at the next one; `None` where there will be none.
    async fn next(&mut self) -> Option<()> {
        let Some(watched) = &self.watched else { return self.hangup.recv().await };
        let failed = tokio::select! {
            hangup = self.hangup.recv() => return hangup,
            changed = watched.changed() => changed.err(),
        };
        if let Some(error) = failed {
            tracing::error!("the policy's file is watched no more, SIGHUP still has it read again: {error}");
            self.watched = None;
            return self.hangup.recv().await;
        }
        Some(())
    }
}

/// Reads the file again at each of the reasons, for ever. Those that come while one is dealt with make one more
/// reload together: a [`Signal`] remembers that it came, not how often.
pub async fn at_each(mut reasons: Reasons, engine: Arc<Engine>, server: Arc<Server>, path: PathBuf) {
    while reasons.next().await.is_some() {
        server.set_reload(match reload(&engine, &path).await {
            Ok(done) => {
                tell(&done);
                (!done.needs_restart.is_empty()).then_some(ReloadState::NeedsRestart(done.needs_restart))
            }
            Err(refused) => {
                let in_force = &engine.digest()[..12];
                tracing::error!(policy = in_force, "reload refused, the policy in force stays: {refused}");
                Some(ReloadState::Refused(refused.in_public()))
            }
        });
    }
}

async fn reload(engine: &Engine, path: &Path) -> Result<Reloaded, ReloadError> {
    tracing::info!(path = %path.display(), "reload: reading the policy again");
    let policy = read(&engine.ground().powers).await?;
    Ok(change(engine, &policy).await?)
}

/// Has the file opened and read by the monitor, and takes in what it comes to, beside the event loop: neither a file system that
/// hangs nor a long policy keeps a request waiting.
async fn read(powers: &Arc<Powers>) -> Result<Policy, ReloadError> {
    let powers = Arc::clone(powers);
    Ok(tokio::task::spawn_blocking(move || powers.policy()).await.map_err(|_| ReloadError::Panicked)??)
}

fn tell(done: &Reloaded) {
    let Reloaded { digest, replaced, kept, needs_restart } = done;
    tracing::info!(policy = &digest[..12], replaced = replaced.join(","), kept, "reloaded");
    if !needs_restart.is_empty() {
        tracing::warn!(
            settings = needs_restart.join(","),
            "these settings changed too and need a restart to come into force"
        );
    }
}
