//! Files that are read again on SIGHUP and when they change.
//!
//! A change is seen by looking once a second, which works on every file system and however the
//! file is replaced (in place, by rename, by a symbolic link, as Kubernetes does). What cannot be
//! used is told in the log, and what was in force stays so.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::error::Error;

/// How often is looked.
const EVERY: Duration = Duration::from_secs(1);

/// What tells one state of a file from another: device, inode, size, and times in nanoseconds.
type Looks = (u64, u64, u64, i64, i64, i64, i64);

/// Files that make up one thing.
pub struct Watched {
    what: &'static str,
    files: Vec<PathBuf>,
    seen: Vec<Option<Looks>>,
    apply: Box<dyn Fn() -> Result<(), Error> + Send>,
}

impl Watched {
    /// Files that have just been read, and how to read them again.
    pub fn new(
        what: &'static str,
        files: Vec<PathBuf>,
        apply: impl Fn() -> Result<(), Error> + Send + 'static,
    ) -> Self {
        let seen = looks(&files);
        Self { what, files, seen, apply: Box::new(apply) }
    }

    fn look(&mut self, asked: bool) {
        let now = looks(&self.files);
        if !asked && now == self.seen {
            return;
        }
        self.seen = now;
        // A bug in here must not end the watching: what is revoked later has to be.
        let done = panic::catch_unwind(AssertUnwindSafe(&self.apply));
        match done.unwrap_or_else(|_| Err(Error::Bug)) {
            Ok(()) => tracing::info!(what = self.what, "read again"),
            Err(error) => {
                tracing::error!(what = self.what, error = error.to_string(), "not read again: the former stay in force")
            }
        }
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").field("what", &self.what).field("files", &self.files).finish_non_exhaustive()
    }
}

/// Watches until the process ends.
///
/// # Errors
/// SIGHUP cannot be listened for.
pub fn start(mut watched: Vec<Watched>) -> Result<(), Error> {
    let mut hangup = signal(SignalKind::hangup()).map_err(Error::Signals)?;
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let asked = tokio::select! {
                _ = hangup.recv() => true,
                _ = ticks.tick(), if !watched.is_empty() => false,
            };
            // A file system that hangs keeps no request waiting.
            let look = move || {
                watched.iter_mut().for_each(|files| files.look(asked));
                watched
            };
            watched = tokio::task::spawn_blocking(look).await.expect("what is applied is caught when it panics");
        }
    });
    Ok(())
}

fn looks(files: &[PathBuf]) -> Vec<Option<Looks>> {
    let look = |file: &PathBuf| {
        let found = fs::metadata(file).ok()?;
        let times = (found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec());
        Some((found.dev(), found.ino(), found.size(), times.0, times.1, times.2, times.3))
    };
    files.iter().map(look).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use tokio::sync::mpsc;

    use super::{Error, Watched, start};

    #[tokio::test]
    async fn what_goes_wrong_once_does_not_end_the_watching() {
        let file = std::env::temp_dir().join(format!("cloister-watched-{}", std::process::id()));
        fs::write(&file, "a").expect("a file");
        let (applied, mut seen) = mpsc::unbounded_channel();
        let watched = Watched::new("a file", vec![file.clone()], {
            let file = file.clone();
            move || {
                let text = fs::read_to_string(&file).map_err(Error::Listen)?;
                applied.send(text.clone()).expect("the test waits");
                assert!(text != "panics", "a bug");
                if text == "fails" { Err(Error::Manual(text)) } else { Ok(()) }
            }
        });
        start(vec![watched]).expect("signals");
        for text in ["panics", "fails", "goes on"] {
            fs::write(file.with_extension("new"), text).expect("a file");
            fs::rename(file.with_extension("new"), &file).expect("in its place");
            let read = tokio::time::timeout(Duration::from_secs(60), seen.recv()).await.expect("it is watched");
            assert_eq!(read.as_deref(), Some(text));
        }
        fs::remove_file(&file).expect("it is there");
    }
}
