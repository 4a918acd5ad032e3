//! What a job is forked from: a profile's launcher, and its zygote if it keeps one.

use std::fmt::Debug;
use std::io;
use std::os::fd::BorrowedFd;
use std::pin::Pin;
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
    /// Answers for the filters of jobs that are recorded; none in a service.
    pub observer: Option<Arc<dyn Observer>>,
}

/// One who answers for a job's filter.
pub trait Observer: Debug + Send + Sync {
    /// Takes the listener of a process whose filter is about to be in force, and answers from then on.
    ///
    /// # Errors
    /// When the process cannot be looked into. That it has ended is told elsewhere.
    fn attach<'a>(self: Arc<Self>, process: BorrowedFd<'a>) -> Attaching<'a>;
}

/// See [`Observer::attach`].
pub type Attaching<'a> = Pin<Box<dyn Future<Output = io::Result<()>> + Send + 'a>>;

impl Forkers {
    /// For jobs that start cold.
    #[must_use]
    pub fn cold(launcher: Arc<Launcher>) -> Self {
        Self { launcher, zygote: None, observer: None }
    }

    /// For jobs that start warm.
    #[must_use]
    pub fn warm(launcher: Arc<Launcher>, zygote: Arc<Connection>) -> Self {
        Self { zygote: Some(zygote), ..Self::cold(launcher) }
    }

    /// For jobs that are recorded, which start cold.
    #[must_use]
    pub fn recorded(launcher: Arc<Launcher>, observer: Arc<dyn Observer>) -> Self {
        Self { observer: Some(observer), ..Self::cold(launcher) }
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
