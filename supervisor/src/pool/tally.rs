//! How often what serves a profile had to be started again, and why, for the gateway's metrics.

use std::sync::{Mutex, MutexGuard};

use cloister_protocol::Restarts;

/// How often a profile's launcher and zygote had to be started again. A profile that a reload changes
/// goes on counting where it was.
#[derive(Debug, Default)]
pub struct Tally(Mutex<Counts>);

/// The counts of a [`Tally`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Of launchers.
    pub launcher: Restarts,
    /// Of zygotes.
    pub zygote: Restarts,
}

/// Why something is gone and has to be started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// It died by itself, or somebody killed it.
    Died,
    /// It did not answer and was ended.
    Hung,
}

impl Tally {
    /// The counts so far.
    pub fn counts(&self) -> Counts {
        *self.lock()
    }

    /// A launcher is gone, and with it the zygote below it, if it had one.
    pub fn launcher_gone(&self, why: Gone, had_zygote: bool) {
        let mut counts = self.lock();
        count(&mut counts.launcher, why);
        if had_zygote {
            count(&mut counts.zygote, why);
        }
    }

    /// A zygote is gone.
    pub fn zygote_gone(&self, why: Gone) {
        count(&mut self.lock().zygote, why);
    }

    /// A zygote's time was up, and another is in its place.
    pub fn zygote_renewed(&self) {
        self.lock().zygote.renewed += 1;
    }

    /// Goes on where another stopped, which was of the same profile before a reload changed it.
    pub fn succeed(&self, before: &Self, had_zygote: bool) {
        let Counts { mut launcher, mut zygote } = before.counts();
        launcher.reload += 1;
        zygote.reload += u64::from(had_zygote);
        let mut counts = self.lock();
        counts.launcher = sum(counts.launcher, launcher);
        counts.zygote = sum(counts.zygote, zygote);
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().expect("nothing panics while it holds this lock")
    }
}

fn count(restarts: &mut Restarts, why: Gone) {
    match why {
        Gone::Died => restarts.died += 1,
        Gone::Hung => restarts.hung += 1,
    }
}

fn sum(one: Restarts, other: Restarts) -> Restarts {
    Restarts {
        died: one.died + other.died,
        hung: one.hung + other.hung,
        reload: one.reload + other.reload,
        renewed: one.renewed + other.renewed,
    }
}
