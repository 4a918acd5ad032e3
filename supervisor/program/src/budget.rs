//! The memory that all bodies of requests may take together while they arrive and wait, and answers that are kept here.
//!
//! Counted as bytes come, never as they are announced: who announces much and sends little takes little.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What is left for all.
#[derive(Debug)]
pub struct Budget(AtomicUsize);

/// What one body has taken; given back when it is dropped.
#[derive(Debug)]
pub struct Taken {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    /// So many bytes.
    pub fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self(AtomicUsize::new(bytes)))
    }

    /// Nothing yet, for one body.
    pub fn open(self: &Arc<Self>) -> Taken {
        Taken { budget: Arc::clone(self), bytes: 0 }
    }
}

impl Taken {
    /// Takes more; `false` when there is not that much left.
    pub fn take(&mut self, bytes: usize) -> bool {
        let left = |left: usize| left.checked_sub(bytes);
        let taken = self.budget.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_ok();
        self.bytes += if taken { bytes } else { 0 };
        taken
    }

    /// So much of it, as another body's; all of it, if it is less.
    #[must_use]
    pub fn split(&mut self, bytes: usize) -> Self {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Self { budget: Arc::clone(&self.budget), bytes }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.budget.0.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::Budget;

    #[test]
    fn what_is_taken_comes_back() {
        let budget = Budget::new(10);
        let (mut one, mut two) = (budget.open(), budget.open());
        assert!(one.take(6) && two.take(4) && !two.take(1) && one.take(0));
        drop(two);
        assert!(one.take(4) && !one.take(1));
        drop(one);
        assert!(budget.open().take(10));
        let mut whole = budget.open();
        assert!(whole.take(8));
        let part = whole.split(3);
        drop(whole);
        assert!(budget.open().take(7) && !budget.open().take(8));
        drop(part);
        assert!(budget.open().take(10));
    }
}
