//! Room for what is kept warm beside the profiles' own: how much there is for all together, who has to go where there is none
//! for one more, and that one after the other comes to be.

use std::sync::{Arc, Mutex, MutexGuard, Weak};

use cloister_protocol::ImportSet;
use tokio::sync::{Semaphore, SemaphorePermit};

/// How many zygotes all profiles together have beside their own, and how many children each keeps parked at most.
pub const MOST: usize = 32;
pub const PARKED: u32 = 2;

/// How much more one has to be wanted than the one whose place it takes.
const MORE: f64 = 2.0;

/// What one is taken to need while there is none to compare with, in bytes.
const GUESS: u64 = 16 << 20;

/// What is kept for a profile's scripts.
pub trait Kept: std::fmt::Debug + Send + Sync {
    /// How many zygotes, and what they hold, in bytes.
    fn held(&self) -> (usize, u64);

    /// What those hold that were let go of, in bytes, for as long as a job of one runs.
    fn leaving(&self) -> u64;

    /// What they may hold, in bytes.
    fn may_hold(&self) -> u64;

    /// The one that is wanted least of those that no other was forked from, how much, and what it holds, in bytes.
    fn least(&self) -> Option<(ImportSet, f64, u64)>;

    /// Lets go of one, in favour of another.
    fn let_go_of(&self, set: &ImportSet);
}

/// What is kept for the scripts of all profiles.
#[derive(Debug)]
pub struct Warmth {
    all: Mutex<Vec<Weak<dyn Kept>>>,
    turn: Semaphore,
}

impl Default for Warmth {
    fn default() -> Self {
        Self { all: Mutex::default(), turn: Semaphore::new(1) }
    }
}

impl Warmth {
    /// From now on these are among them, for as long as they are there.
    pub fn take_in(&self, sets: Weak<dyn Kept>) {
        self.lock().push(sets);
    }

    /// How many zygotes there are, and what they hold, in bytes.
    #[must_use]
    pub fn held(&self) -> (usize, u64) {
        self.all().iter().map(|sets| sets.held()).fold((0, 0), |(a, b), (c, d)| (a + c, b + d))
    }

    fn all(&self) -> Vec<Arc<dyn Kept>> {
        let mut all = self.lock();
        all.retain(|sets| sets.strong_count() > 0);
        all.iter().filter_map(Weak::upgrade).collect()
    }

    /// Where one more of a profile's that takes so much has no room: those of whom one would have to go, and how much is lacking.
    fn crowd(&self, own: &Arc<dyn Kept>, bytes: u64) -> Option<(Vec<Arc<dyn Kept>>, u64)> {
        let (all, (number, held)) = (self.all(), self.held());
        let most = all.iter().map(|sets| sets.may_hold()).max().unwrap_or(0);
        let of_all = held.saturating_add(bytes).saturating_sub(most);
        let of_own = own.held().1.saturating_add(bytes).saturating_sub(own.may_hold());
        if of_own > 0 {
            return Some((vec![Arc::clone(own)], of_own.max(of_all)));
        }
        (number >= MOST || of_all > 0).then_some((all, of_all))
    }

    /// Whether there could be room for one more that is wanted so much. If it is not known how much it takes, it is taken to be as
    /// much as others do, and that one that goes makes room enough. While some that was let go of is still held by jobs, nothing else
    /// goes in favour of another: that would give no room either.
    #[must_use]
    pub fn may_have_room(&self, own: &Arc<dyn Kept>, known: Option<u64>, weight: f64) -> bool {
        let (number, held) = own.held();
        let each = if number == 0 { GUESS.min(own.may_hold()) } else { held / number as u64 };
        let leaving = self.all().iter().map(|sets| sets.leaving()).fold(0, u64::saturating_add);
        let Some((crowd, lacking)) = self.crowd(own, known.unwrap_or(each).saturating_add(leaving)) else {
            return true;
        };
        leaving == 0 && least(&crowd, weight).is_some_and(|(_, _, freed)| known.is_none() || freed >= lacking)
    }

    /// Makes room for one more. Whether there is.
    #[must_use]
    pub fn make_room(&self, own: &Arc<dyn Kept>, bytes: u64, weight: f64) -> bool {
        while let Some((crowd, _)) = self.crowd(own, bytes) {
            let Some((sets, set, _)) = least(&crowd, weight) else { return false };
            sets.let_go_of(&set);
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<dyn Kept>>> {
        self.all.lock().expect("nothing panics while it holds this lock")
    }

    /// A turn to make one. They are made one after the other.
    pub async fn turn(&self) -> SemaphorePermit<'_> {
        self.turn.acquire().await.expect("the semaphore is never closed")
    }
}

/// The least wanted of all these, if something that is wanted so much may have its place, and what it holds, in bytes.
fn least(crowd: &[Arc<dyn Kept>], weight: f64) -> Option<(&Arc<dyn Kept>, ImportSet, u64)> {
    let all = crowd.iter().filter_map(|sets| sets.least().map(|least| (sets, least)));
    let (sets, (set, least, bytes)) = all.min_by(|(_, (_, one, _)), (_, (_, other, _))| one.total_cmp(other))?;
    (MORE * least <= weight).then_some((sets, set, bytes))
}

/// A quarter of the host's memory, `sysinfo(2)`.
#[must_use]
pub fn a_quarter() -> u64 {
    nix::sys::sysinfo::sysinfo().map_or(0, |host| host.ram_total() / 4)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use cloister_protocol::ImportSet;

    use super::{Kept, MOST, Warmth};

    /// Zygotes by name, how much each is wanted, and what it holds; what all may hold, and what those do that were let go of.
    #[derive(Debug)]
    struct Zygotes(Mutex<Vec<(String, f64, u64)>>, u64, Mutex<u64>);

    impl Kept for Zygotes {
        fn held(&self) -> (usize, u64) {
            let all = self.0.lock().expect("no test panics here");
            (all.len(), all.iter().map(|(.., bytes)| bytes).sum())
        }

        fn leaving(&self) -> u64 {
            *self.2.lock().expect("as above")
        }

        fn may_hold(&self) -> u64 {
            self.1
        }

        fn least(&self) -> Option<(ImportSet, f64, u64)> {
            let all = self.0.lock().expect("as above");
            let least = all.iter().min_by(|(_, one, _), (_, other, _)| one.total_cmp(other));
            least.map(|(name, weight, bytes)| (ImportSet::new(vec![name.clone()]), *weight, *bytes))
        }

        fn let_go_of(&self, set: &ImportSet) {
            self.0.lock().expect("as above").retain(|(name, ..)| set.names() != [name.clone()]);
        }
    }

    fn kept(warmth: &Warmth, may_hold: u64, zygotes: &[(&str, f64, u64)]) -> Arc<dyn Kept> {
        let zygotes = zygotes.iter().map(|(name, weight, bytes)| ((*name).to_owned(), *weight, *bytes)).collect();
        taken_in(warmth, Zygotes(Mutex::new(zygotes), may_hold, Mutex::default()))
    }

    fn taken_in(warmth: &Warmth, zygotes: Zygotes) -> Arc<dyn Kept> {
        let kept: Arc<dyn Kept> = Arc::new(zygotes);
        warmth.take_in(Arc::downgrade(&kept));
        kept
    }

    #[test]
    fn one_goes_only_for_what_is_wanted_twice_as_much() {
        let warmth = Warmth::default();
        let own = kept(&warmth, 100, &[("a", 3.0, 60), ("b", 1.0, 40)]);
        assert!(!warmth.may_have_room(&own, None, 1.9) && !warmth.make_room(&own, 40, 1.9));
        assert_eq!(own.held(), (2, 100));
        assert!(warmth.may_have_room(&own, None, 2.0) && warmth.make_room(&own, 40, 2.0));
        assert_eq!(own.held(), (1, 60));
        assert!(warmth.make_room(&own, 40, 0.0), "there is room");
        assert!(!warmth.make_room(&own, 101, f64::MAX), "there is never so much");
    }

    #[test]
    fn where_it_is_known_what_one_takes_the_one_that_goes_has_to_make_room_enough() {
        let warmth = Warmth::default();
        let own = kept(&warmth, 100, &[("a", 1.0, 40), ("b", 5.0, 40)]);
        assert!(warmth.may_have_room(&own, None, 2.0), "as large as the others, it has the place of one");
        assert!(warmth.may_have_room(&own, Some(20), 0.0) && warmth.may_have_room(&own, Some(60), 2.0));
        assert!(!warmth.may_have_room(&own, Some(60), 1.9) && !warmth.may_have_room(&own, Some(61), 2.0));
    }

    #[test]
    fn while_jobs_hold_what_was_let_go_of_nothing_else_goes() {
        let warmth = Warmth::default();
        let held = vec![("a".to_owned(), 1.0, 40)];
        let own = taken_in(&warmth, Zygotes(Mutex::new(held.clone()), 100, Mutex::new(40)));
        assert!(
            !warmth.may_have_room(&own, None, 9.0),
            "there are 20 left, and nobody else's going would make it more"
        );
        let (other, free) = (Warmth::default(), Zygotes(Mutex::new(held), 100, Mutex::new(20)));
        let free = taken_in(&other, free);
        assert!(other.may_have_room(&free, None, 0.0), "there is room beside it");
    }

    #[test]
    fn all_profiles_together_have_as_much_as_one_of_them_may() {
        let warmth = Warmth::default();
        let (small, large) = (kept(&warmth, 50, &[("a", 1.0, 30)]), kept(&warmth, 100, &[("b", 2.0, 60)]));
        assert!(!warmth.make_room(&large, 20, 1.0), "of neither");
        assert!(warmth.make_room(&large, 20, 2.0), "of the other, which is wanted less");
        assert_eq!((small.held(), large.held()), ((0, 0), (1, 60)));
        assert!(!warmth.make_room(&small, 51, 9.0), "a profile's own bound holds, whatever is left for others");
        assert_eq!(large.held(), (1, 60), "and nobody else goes for that");
    }

    #[test]
    fn there_are_no_more_than_so_many_however_little_they_hold() {
        let warmth = Warmth::default();
        let names: Vec<_> = (0..MOST).map(|number| format!("a{number}")).collect();
        let all: Vec<_> = names.iter().map(|name| (name.as_str(), 1.0, 0)).collect();
        let (full, other) = (kept(&warmth, 100, &all), kept(&warmth, 100, &[]));
        assert!(!warmth.may_have_room(&other, None, 1.9) && !warmth.make_room(&other, 0, 1.9));
        assert!(warmth.make_room(&other, 0, 2.0));
        assert_eq!(full.held(), (MOST - 1, 0));
    }
}
