//! The sets for which no zygote could be kept of late, and why.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use cloister_protocol::ImportSet;

/// How long one is remembered, and how many are.
const REFUSED: Duration = Duration::from_secs(600);
const MOST_REFUSED: usize = 256;

/// Why no zygote is kept for a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// All of it is there without one.
    Needless,
    /// It could not be imported, or not in a process that is forked.
    Failed,
    /// There was no room for it, which holds so much, in bytes. There may be, once it is wanted more or others less.
    NoRoom(u64),
    /// There can be none.
    NeverRoom,
}

/// Those that were refused of late, the last first.
#[derive(Debug, Default)]
pub struct Refused(VecDeque<(ImportSet, Instant, Refusal)>);

impl Refusal {
    /// As it is told.
    #[must_use]
    pub fn word(self) -> Option<&'static str> {
        match self {
            Self::Needless => None,
            Self::Failed => Some("failed"),
            Self::NoRoom(_) | Self::NeverRoom => Some("memory"),
        }
    }
}

impl Refused {
    /// One more; what was known of it before is forgotten.
    pub fn add(&mut self, set: ImportSet, why: Refusal, now: Instant) {
        self.0.retain(|(refused, ..)| *refused != set);
        self.0.truncate(MOST_REFUSED - 1);
        self.0.push_front((set, now + REFUSED, why));
    }

    /// What was there without them may be so no longer.
    pub fn forget_needless(&mut self) {
        self.0.retain(|(_, _, why)| *why != Refusal::Needless);
    }

    /// Whether none of a set is to be tried for now.
    #[must_use]
    pub fn holds(&self, set: &ImportSet, now: Instant) -> bool {
        self.of(set, now).is_some_and(|why| !matches!(why, Refusal::NoRoom(_)))
    }

    /// What one of a set holds for which there was no room, in bytes.
    #[must_use]
    pub fn size(&self, set: &ImportSet, now: Instant) -> Option<u64> {
        match self.of(set, now)? {
            Refusal::NoRoom(bytes) => Some(bytes),
            _ => None,
        }
    }

    fn of(&self, set: &ImportSet, now: Instant) -> Option<Refusal> {
        self.0.iter().find(|(refused, until, _)| refused == set && now < *until).map(|(.., why)| *why)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use cloister_protocol::ImportSet;

    use super::{MOST_REFUSED, REFUSED, Refusal, Refused};

    #[test]
    fn the_last_that_is_known_of_a_set_counts_for_ten_minutes() {
        let (set, now) = (ImportSet::new(vec!["a".to_owned()]), Instant::now());
        let mut refused = Refused::default();
        refused.add(set.clone(), Refusal::Failed, now);
        assert!(refused.holds(&set, now) && refused.size(&set, now).is_none());
        refused.add(set.clone(), Refusal::NoRoom(7), now);
        assert!(!refused.holds(&set, now) && refused.size(&set, now) == Some(7));
        assert_eq!(refused.size(&set, now + REFUSED), None);
        refused.add(set.clone(), Refusal::Needless, now);
        refused.forget_needless();
        assert!(!refused.holds(&set, now));
        refused.add(set.clone(), Refusal::NeverRoom, now);
        for number in 1..MOST_REFUSED {
            refused.add(ImportSet::new(vec![number.to_string()]), Refusal::Failed, now);
        }
        assert!(refused.holds(&set, now));
        refused.add(ImportSet::default(), Refusal::Failed, now);
        assert!(!refused.holds(&set, now), "so many are remembered");
    }
}
