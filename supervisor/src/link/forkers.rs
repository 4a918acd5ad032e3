//! What a job is forked from: a profile's launcher, and its zygote if it keeps one.

use std::sync::Arc;

use crate::link::connection::Connection;
use crate::link::launcher::Launcher;

/// What jobs are forked from. What has died meanwhile is found out by whoever asks it for something.
#[derive(Clone, Debug)]
pub struct Forkers {
    /// Builds cells, and starts cold jobs.
    pub launcher: Arc<Launcher>,
    /// Starts warm jobs.
    pub zygote: Option<Arc<Connection>>,
}

impl Forkers {
    /// For jobs that start cold.
    #[must_use]
    pub fn cold(launcher: Arc<Launcher>) -> Self {
        Self { launcher, zygote: None }
    }

    /// For jobs that start warm.
    #[must_use]
    pub fn warm(launcher: Arc<Launcher>, zygote: Arc<Connection>) -> Self {
        Self { zygote: Some(zygote), ..Self::cold(launcher) }
    }

    /// Ends the zygote or the launcher, should they hang, for whoever waits until a cell is dead: a
    /// process stays in its namespace until the one that forked it has asked for its end. Never completes.
    pub async fn end_if_hung(&self) {
        let zygote = async {
            if let Some(zygote) = &self.zygote {
                zygote.end_if_hung().await;
            }
        };
        tokio::join!(zygote, self.launcher.connection().end_if_hung());
        std::future::pending().await
    }
}
