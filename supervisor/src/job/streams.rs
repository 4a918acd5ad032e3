//! Both output streams of a job, or of a cell of a session.

use std::convert::Infallible;
use std::sync::Arc;

use cloister_protocol::Stream;
use tokio::net::unix::pipe::Receiver;

use crate::job::bounds::Bounds;
use crate::job::output::{Output, Printed};

/// Standard output and standard error.
#[derive(Debug)]
pub struct Streams {
    stdout: Output,
    stderr: Output,
}

impl Streams {
    /// What comes through these pipes, as far as the bounds let it be kept, where it is looked at meanwhile.
    #[must_use]
    pub fn new([stdout, stderr]: [Arc<Receiver>; 2], bounds: &Bounds, printed: &Printed) -> Self {
        Self {
            stdout: Output::new(stdout, bounds.stdout_bytes, Arc::clone(&printed.stdout)),
            stderr: Output::new(stderr, bounds.stderr_bytes, Arc::clone(&printed.stderr)),
        }
    }

    /// Takes what was printed by now: [`Output::read_available`].
    pub fn take_printed(&self) {
        self.stdout.read_available();
        self.stderr.read_available();
    }

    /// Passes on what goes in and what comes out, for as long as anybody waits for the job.
    pub async fn pump<T>(&self, feed: impl Future<Output = T>) -> Infallible {
        tokio::join!(feed, self.stdout.read_to_end(), self.stderr.read_to_end());
        std::future::pending().await
    }

    /// As text, and which of it is not whole.
    pub async fn into_text(self) -> (String, String, Vec<Stream>) {
        let (stdout, cut_stdout) = self.stdout.into_text().await;
        let (stderr, cut_stderr) = self.stderr.into_text().await;
        let cut = [(cut_stdout, Stream::Stdout), (cut_stderr, Stream::Stderr)];
        (stdout, stderr, cut.into_iter().filter_map(|(cut, stream)| cut.then_some(stream)).collect())
    }
}
