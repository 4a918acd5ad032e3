//! When the supervisor had a place for a request.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// The moment; clones are of the same.
#[derive(Clone, Debug, Default)]
pub struct PlaceGiven(Arc<OnceLock<Instant>>);

impl PlaceGiven {
    /// It is now, unless it was before.
    pub fn note(&self) {
        let _ = self.0.set(Instant::now());
    }

    /// When it was; `None` if it has not been.
    pub fn since(&self) -> Option<Instant> {
        self.0.get().copied()
    }
}
