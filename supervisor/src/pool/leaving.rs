//! Zygotes that were let go of and still hold memory: a job that was forked from one shares its pages for as long as it runs.

use std::sync::{Arc, Weak};

use crate::link::connection::Connection;

/// Those that have jobs yet, each with what it holds, in bytes.
#[derive(Debug, Default)]
pub struct Leaving(Vec<(Weak<Connection>, u64)>);

impl Leaving {
    /// One is let go of. Who runs a job of it has a hold of it.
    pub fn add(&mut self, zygote: &Arc<Connection>, bytes: u64) {
        self.0.push((Arc::downgrade(zygote), bytes));
    }

    /// What they hold, those that are there yet.
    pub fn bytes(&mut self) -> u64 {
        self.0.retain(|(zygote, _)| zygote.strong_count() > 0);
        self.0.iter().map(|(_, bytes)| bytes).fold(0, |all, bytes| all.saturating_add(*bytes))
    }
}
