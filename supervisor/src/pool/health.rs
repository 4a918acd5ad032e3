//! Whether something can be made at all, as far as it was tried of late.

use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// So many failures in a row are no accident.
const FAILS: u32 = 3;

/// How long one attempt speaks for those to come.
const FRESH: Duration = Duration::from_secs(5);

/// How the attempts of late have gone.
#[derive(Debug, Default)]
pub struct Health(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    last: Option<Instant>,
    under_way: bool,
}

impl Health {
    /// An attempt went well, or not.
    pub fn note(&self, well: bool) {
        let mut state = self.lock();
        state.failures = if well { 0 } else { state.failures.saturating_add(1) };
        state.last = Some(Instant::now());
    }

    /// Whether attempts fail, and not by accident.
    #[must_use]
    pub fn fails(&self) -> bool {
        self.lock().failures >= FAILS
    }

    /// Begins an attempt for its own sake, if none was made of late and no such is under way.
    #[must_use]
    pub fn begin(&self) -> bool {
        let mut state = self.lock();
        let begins = !state.under_way && state.last.is_none_or(|last| last.elapsed() >= FRESH);
        state.under_way |= begins;
        begins
    }

    /// That attempt is over.
    pub fn end(&self) {
        self.lock().under_way = false;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nothing panics while it holds this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::Health;

    #[test]
    fn one_failure_is_an_accident_three_are_not_and_one_success_ends_them() {
        let health = Health::default();
        assert!(health.begin() && !health.begin());
        for fails in [false, false, true, true] {
            health.note(false);
            assert_eq!(health.fails(), fails);
        }
        health.end();
        assert!(!health.begin(), "it was tried just now");
        health.note(true);
        assert!(!health.fails());
    }
}
