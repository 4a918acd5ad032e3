//! Whether what hands out one after another has stopped to do so while some are asked of it.

use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Watches over who hands something out.
#[derive(Debug, Default)]
pub struct Stall(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    asked: usize,
    since: Option<Instant>,
}

/// One that is asked for, until this is dropped.
#[derive(Debug)]
pub struct Awaited<'a>(&'a Stall);

impl Stall {
    /// One more is asked for.
    #[must_use]
    pub fn ask(&self) -> Awaited<'_> {
        let mut state = self.lock();
        state.asked += 1;
        if state.asked == 1 {
            state.since = Some(Instant::now());
        }
        Awaited(self)
    }

    /// For how long nothing was handed out of what is asked for.
    #[must_use]
    pub fn lasts(&self) -> Duration {
        let state = self.lock();
        state.since.filter(|_| state.asked > 0).map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nothing panics while it holds this lock")
    }
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.asked -= 1;
        state.since = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Stall;

    #[test]
    fn it_lasts_from_the_last_that_came_and_only_while_more_are_asked_for() {
        let stall = Stall::default();
        assert_eq!(stall.lasts(), Duration::ZERO);
        let (one, two) = (stall.ask(), stall.ask());
        std::thread::sleep(Duration::from_millis(2));
        let before = stall.lasts();
        assert!(before >= Duration::from_millis(2));
        drop(one);
        assert!(stall.lasts() < before);
        drop(two);
        assert_eq!(stall.lasts(), Duration::ZERO);
    }
}
