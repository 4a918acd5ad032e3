//! What one job uses, from the moment when it is handed to the supervisor until the last byte of its answer has left.
//!
//! Whatever way a job ends, and if its client leaves, it is counted: the last who has its meter tells.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cloister_protocol::{ErrorCode, KernelCount};

use crate::metrics::Outcome;
use crate::upstream::place_given::PlaceGiven;
use crate::usage::events::Remembered;
use crate::usage::ledger;
use crate::usage::record::{Begun, Ended};

/// One job's; clones are of the same.
#[derive(Clone, Debug)]
pub struct Meter(Arc<Job>);

#[derive(Debug)]
struct Job {
    /// Where it is counted against quotas.
    counted: Option<ledger::CountedJob>,
    /// Where it is told of.
    event: Mutex<Option<(Remembered, Begun)>>,
    /// When the supervisor had a place for it.
    given: PlaceGiven,
    /// How many processors it may use at once, in thousandths, and for how long, if that is known.
    processors: Option<(u32, Duration)>,
    end: Mutex<End>,
}

#[derive(Clone, Copy, Debug, Default)]
struct End {
    verdict: Option<(Outcome, Option<KernelCount>)>,
    bytes_out: u64,
}

impl Meter {
    /// Of a job that is about to be handed on.
    pub fn new(
        counted: Option<ledger::CountedJob>,
        event: Option<(Remembered, Begun)>,
        processors: Option<(u32, Duration)>,
    ) -> Self {
        let (given, end) = (PlaceGiven::default(), Mutex::default());
        Self(Arc::new(Job { counted, event: Mutex::new(event), given, processors, end }))
    }

    /// What notes when the supervisor has a place for it.
    pub fn given(&self) -> PlaceGiven {
        self.0.given.clone()
    }

    /// It runs under this profile, if it runs: the one that it was chosen for is no more.
    pub fn is_for(&self, profile: &str) {
        let mut event = self.0.event.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, begun)) = event.as_mut() {
            profile.clone_into(&mut begun.profile);
        }
    }

    /// What became of it, and what it used, if that was counted.
    pub fn settle(&self, outcome: Outcome, counted: Option<KernelCount>) {
        let mut end = self.0.end();
        if end.verdict.is_none() {
            end.verdict = Some((outcome, counted));
            drop(end);
            self.0.charge(outcome, counted);
        }
    }

    /// So much of its answer has left.
    pub fn sent(&self, bytes: u64) {
        self.0.end().bytes_out = bytes;
    }
}

impl Job {
    /// Whether any of it ran.
    fn ran(&self, outcome: Outcome) -> Option<bool> {
        match outcome {
            Outcome::Returned => Some(true),
            Outcome::Failed(ErrorCode::MissingPackages) => Some(false),
            Outcome::Failed(code) if code.status() == 422 => Some(true),
            Outcome::Failed(ErrorCode::Lost | ErrorCode::Internal) => None,
            // A session may be over before its cell has begun, or while that runs.
            Outcome::Failed(ErrorCode::SessionEnded) | Outcome::Served | Outcome::Abandoned => {
                self.given.since().map_or(Some(false), |_| None)
            }
            Outcome::Failed(_) => Some(false),
        }
    }

    /// The most processor time that it can have used, where nobody has counted.
    fn at_most(&self) -> Duration {
        let (millicpus, wall) = self.processors.unwrap_or((1000, Duration::MAX));
        let ran = self.given.since().map_or(Duration::ZERO, |since| since.elapsed().min(wall));
        ran.mul_f64(f64::from(millicpus) / 1000.0)
    }

    fn charge(&self, outcome: Outcome, counted: Option<KernelCount>) {
        let Some(account) = &self.counted else { return };
        match (self.ran(outcome), counted) {
            (Some(false), _) => account.give_back(),
            (_, Some(counted)) => account.charge(counted.cpu),
            (_, None) => account.charge(self.at_most()),
        }
    }

    fn end(&self) -> MutexGuard<'_, End> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let End { verdict, bytes_out } = *self.end();
        let (outcome, counted) = verdict.unwrap_or((Outcome::Abandoned, None));
        if verdict.is_none() {
            self.charge(outcome, None);
        }
        let event = self.event.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let Some((place, begun)) = event else { return };
        let ran = self.ran(outcome);
        let ended = Ended::counted(outcome.name(), ran, counted, bytes_out);
        let ended = if counted.is_none() && ran != Some(false) { ended.at_most(self.at_most()) } else { ended };
        place.tell(begun.with(&ended));
    }
}
