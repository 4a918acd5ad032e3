//! A zygote that has imported more than its profile's own, and one that is wanted.

use std::sync::{Arc, Weak};
use std::time::Instant;

use cloister_protocol::ImportSet;

use crate::link::connection::Connection;
use crate::pool::parked::Parked;

/// A zygote with more imports, and its children.
#[derive(Debug)]
pub struct Grown {
    /// What was asked for.
    pub asked: ImportSet,
    /// What of that there is, in it and by those that it was forked from.
    pub set: ImportSet,
    /// Its children.
    pub parked: Arc<Parked>,
    /// It.
    pub zygote: Arc<Connection>,
    /// What it was forked from, and what that was in the end: the profile's own.
    pub parent: Weak<Connection>,
    /// See above.
    pub root: Weak<Connection>,
    /// What it holds, and what those did that it was forked from and that are gone, in bytes.
    pub bytes: u64,
    /// What it and those that it was forked from hold beside the profile's own, in bytes.
    pub with_parents: u64,
    /// When a request was last served from it.
    pub used: Instant,
}

/// A set that a zygote is to be made for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Which.
    pub set: ImportSet,
    /// How much its tenants want it.
    pub weight: f64,
    /// Whether there is one of it, that was forked from a zygote which is no longer the profile's.
    pub again: bool,
    /// What one of it holds, in bytes, if that is known: of one for which there was no room.
    pub bytes: Option<u64>,
}

/// How many sets are looked at for which there was no room.
const LOOKED_AT: usize = 8;

/// The most wanted of these, in order. Where there is no room for the first of those whose size is not known, there is none for others.
#[must_use]
pub fn first(mut all: Vec<Wanted>) -> Vec<Wanted> {
    all.sort_by(|one, other| other.weight.total_cmp(&one.weight));
    let (mut known, mut unknown) = (0, 0);
    all.retain(|one| {
        let (count, most) = if one.bytes.is_some() { (&mut known, LOOKED_AT) } else { (&mut unknown, 1) };
        *count += usize::from(!one.again);
        one.again || *count <= most
    });
    all
}

/// Whether they are one.
#[must_use]
pub fn is(one: &Weak<Connection>, other: &Arc<Connection>) -> bool {
    std::ptr::eq(one.as_ptr(), Arc::as_ptr(other))
}

#[cfg(test)]
mod tests {
    use cloister_protocol::ImportSet;

    use super::{LOOKED_AT, Wanted, first};

    #[test]
    fn one_of_unknown_size_is_looked_at_and_a_few_of_known_and_all_that_are_there_already() {
        let wanted = |weight, again, bytes| Wanted { set: ImportSet::default(), weight, again, bytes };
        let mut all = vec![wanted(1.0, true, None), wanted(2.0, false, None), wanted(3.0, false, None)];
        all.extend((0..20).map(|number| wanted(4.0 + f64::from(number), false, Some(1))));
        let first = first(all);
        assert_eq!(first.len(), LOOKED_AT + 2);
        assert!(first.is_sorted_by(|one, other| one.weight >= other.weight));
        assert!(first[LOOKED_AT].weight > 2.5 && first[LOOKED_AT + 1].again);
    }
}
