//! What is known of a job's calls of tools, and what it has not read of what they came to.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use cloister_protocol::Calls as Told;
use tokio::time::Instant;

/// The calls of one job.
#[derive(Debug, Default)]
pub struct Table {
    /// The number of the last.
    pub last: u32,
    /// The calls that wait, and until when.
    pub open: BTreeMap<u32, Instant>,
    /// What they came to and the job has not read.
    pub unread: VecDeque<Vec<u8>>,
    /// In bytes.
    pub unread_bytes: u64,
    /// Whether the job has closed its end.
    pub closed: bool,
    /// Whether it is dead.
    pub ended: bool,
    /// What they came to, counted.
    pub told: Told,
    /// How long the job has waited for them.
    pub waited: Duration,
    /// Since when it waits, and what it had used of processors' time by then.
    pub round: Option<(Instant, Option<Duration>)>,
}

impl Table {
    /// The job has closed its end, and hears of nothing any more.
    pub fn close(&mut self) {
        (self.closed, self.unread) = (true, VecDeque::new());
    }

    /// The job is to read this.
    pub fn put(&mut self, reply: Vec<u8>) {
        self.unread_bytes += reply.len() as u64;
        self.unread.push_back(reply);
    }
}
