//! Reload: at each SIGHUP the policy file is read again and put in force, whole or not at all.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cloister_policy::Policy;
use tokio::signal::unix::Signal;

use crate::daemon::change::{Reloaded, change};
use crate::daemon::needs::load_policy;
use crate::daemon::start::StartError;
use crate::door::engine::Engine;
use crate::door::readiness::ReloadState;
use crate::door::server::Server;

/// Why a file was refused.
#[derive(Debug, thiserror::Error)]
enum ReloadError {
    #[error("{0}")]
    File(String),
    #[error(transparent)]
    Start(#[from] StartError),
}

impl ReloadError {
    /// For anyone who can reach `/readyz`: what kind of thing is wrong. The log has the rest.
    fn in_public(&self) -> &'static str {
        match self {
            Self::File(_) => "the policy file cannot be read or has mistakes; the supervisor's log tells which",
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

/// Reads the file again at each hangup, for ever. Those that come while one is dealt with make one more
/// reload together: a [`Signal`] remembers that it came, not how often.
pub async fn at_each(mut hangup: Signal, engine: Arc<Engine>, server: Arc<Server>, path: PathBuf) {
    while hangup.recv().await.is_some() {
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
    Ok(change(engine, &read(path).await?).await?)
}

/// Reads the file beside the event loop: a file system that hangs keeps no request waiting.
async fn read(path: &Path) -> Result<Policy, ReloadError> {
    let path = path.to_owned();
    let read = tokio::task::spawn_blocking(move || load_policy(&path)).await;
    read.unwrap_or_else(|_| Err("reading the policy panicked, which is a bug of ours".to_owned()))
        .map_err(ReloadError::File)
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
